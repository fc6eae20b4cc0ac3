"""A set measured again on another day: what its figures are off by when they are used later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from latbench.backends import make_backend, require
from latbench.campaign.campaign import CampaignOutcome, measuring, outcome_of
from latbench.campaign.filling import Filling, Progress
from latbench.campaign.plan import Task
from latbench.campaign.spec import CampaignOptions, MeasurerSpec, saved
from latbench.errors import NotEnoughData, UsageError, quoted
from latbench.models import Model
from latbench.store import MeasurementSet, Store
from latbench.store.occasions import sentinels


def recheck(
    store: Store,
    *,
    backend: str | None = None,
    set_id: int | None = None,
    n: int | None = None,
    models: Sequence[Model] = (),
    options: CampaignOptions | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> CampaignOutcome:
    """Times architectures of a set again, so that the store knows its floor between occasions.

    The set is chosen as by ``Store.find_set``. Nothing that is in the store changes: the timings
    are further ones of the same architectures.

    Args:
        store: The store of the set.
        backend: The backend whose set is meant; None where the store has one only.
        set_id: The number of the set; None where the backend has one only.
        n: The number of architectures to time, over the range of their latencies; None takes the
            set's sentinels.
        models: Models that may be among them; a store knows their names and not their weights.
        options: How the campaign is run; None takes the defaults.
        report: Called with the progress after each row.

    Returns:
        What was measured.

    Raises:
        UsageError: Where this machine does not measure the set as it was (another device, runtime
            version or protocol), or latbench never did (``latbench.store.foreign``).
        NotEnoughData: Where there is nothing to check.
        ParseError: Where the store names a backend that a file may not import.
        LatbenchError: As ``run_campaign`` raises it.
    """
    found = store.find_set(backend, set_id)
    if found.foreign:
        source = quoted(str(found.set.options.get("source", "somebody else")))
        raise UsageError(
            f"set {found.id} of {store.path} holds latencies that {source} measured and not "
            "latbench, so that nothing here can time them again; measure into a set of your own "
            "(`latbench measure`), and recheck that one"
        )
    chosen = make_backend(found.set.backend, f"the store {store.path}", **found.set.options)
    require(chosen)
    texts = {str(model) for model in models}
    tasks = [Task(a, repeat, None) for a, repeat in sentinels(store, found.id, n, texts)]
    if not tasks:
        raise NotEnoughData(
            f"set {found.id} of {store.path} has no architecture that was timed twice, to be "
            "checked by; name how many to measure again with -n"
        )
    options = options or CampaignOptions()
    spec = MeasurerSpec.of(store.space, chosen, found.set.protocol)
    with (
        saved(models) as folders,
        measuring(store, chosen, replace(spec, models=folders), options, report) as started,
    ):
        measurers, times = started
        _same(found.set, measurers[0].set, found.id)
        work = Filling(store, found.id, measurers, report, options.block)
        work.measure(tasks)
        work.finish()
    return outcome_of(found.id, work, 0, measurers, times)


def _same(there: MeasurementSet, here: MeasurementSet, set_id: int) -> None:
    """Raises UsageError where a set's conditions are not those of today."""
    for name in ("device", "version", "canary"):
        was, now = getattr(there, name), getattr(here, name)
        if was != now:
            raise UsageError(
                f"set {set_id} was measured with {name} {was!r}, and here it is {now!r}: its "
                "figures cannot be checked by these; measure into another set, and see what "
                "changed with `latbench changes A B`"
            )
