"""The timing of a space's operators on a backend: a campaign of models like any other."""

from __future__ import annotations

from collections.abc import Callable

from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.campaign import Progress
from latbench.operators import RETEST
from latbench.operators.candidates import candidates, models_of
from latbench.operators.pools import Timed
from latbench.store import Store
from latbench.timing.protocol import Protocol


def time_operators(
    store: Store, backend: Backend, *, protocol: Protocol | None = None,
    options: CampaignOptions | None = None, retry_failed: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Timed:  # fmt: skip
    """Times every operator of the store's space at each of its layers, alone.

    Equal ones are timed once. Rows that the store already has are left alone.

    Args:
        store: The open store that takes the rows.
        backend: The backend.
        protocol: How one timing is taken; None takes the defaults.
        options: How the campaign is run; None takes the defaults, with more retests.
        retry_failed: Whether operators that could not be timed before are tried again.
        report: Called with the progress after each row.

    Returns:
        The latencies.

    Raises:
        UsageError: For a space without operators.
        LatbenchError: As ``run_campaign`` raises it.
    """
    found = candidates(store.space)
    models = models_of(found)
    outcome = run_campaign(
        store, backend, models=list(models.values()), protocol=protocol,
        options=options or CampaignOptions(retest=RETEST), report=report,
        retry_failed=retry_failed,
    )  # fmt: skip
    reasons = store.failures(outcome.set_id)
    seconds, failed = dict[tuple[str, str], float](), dict[tuple[str, str], str]()
    for one in found:
        if not one.runs:
            continue
        text = str(models[one.network])
        value = store.value(outcome.set_id, text)
        if value is None:
            failed[one.layer, one.operator] = reasons.get(text, "it was not timed")
        else:
            seconds[one.layer, one.operator] = value
    summary = store.find_set(set_id=outcome.set_id)
    return Timed(summary.set.backend, seconds, summary.noise_floor, failed)
