"""The measurement of what searches found: on the backends that they paid for, and on others."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.backends import make_backend, require
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.errors import ParseError, UsageError
from latbench.experiment.result_files import load_result, result_json
from latbench.files import read_json, write_json
from latbench.models import Model
from latbench.progress import ProgressBars
from latbench.results import SearchResult
from latbench.spaces import AnySpace
from latbench.store import Store
from latbench.store.records import current_options
from latbench.timing.metric import ENERGY
from latbench.timing.noise import WIDE
from latbench.timing.protocol import Protocol
from latbench.validation import checked

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel

ENERGY_S = 2.0  # each network runs so long for its energy


@dataclass(frozen=True)
class Conditions:
    """The conditions of a verification: the backend and how it is measured.

    ``device`` is the one that the backend's predictor is for, and each network runs ``energy_s``
    seconds for its energy (0: not measured).
    """

    name: str
    backend: Backend
    protocol: Protocol
    device: str | None = None
    energy_s: float = 0.0


def conditions_of(
    models: Mapping[str, LatencyModel], names: Sequence[str] | None = None
) -> list[Conditions]:
    """Sets up the backends of these names, or those of the models.

    They are set up as for the measurements that their models were fitted on; with their defaults
    where there is no model.

    Raises UsageError for a wrong option and for models of what is counted, BackendUnavailable for
    an unknown name or one that cannot run here, ParseError where only a model's card names a module
    that is not imported, and for a card whose options are none.
    """
    for metric in (model.metric for model in models.values()):
        if metric.counted:
            raise UsageError(
                f"{metric.label} are counted, not measured; leave --measure and --store out, and "
                "measure what was found with `latbench measure --model`"
            )
    found = []
    for name in dict.fromkeys(models if names is None else names):
        card = models[name].card if name in models else None
        known: dict[str, Any] = dict(card.conditions) if card else {}
        source = f"the card of the {name} model" if names is None else None
        try:
            options = current_options(name, known.get("options", {}))
        except ValueError as error:
            raise ParseError(f"the card of the {name} model: {error}; fit it again") from None
        backend = make_backend(name, source, **options)
        require(backend)
        values = {"version": 1} | known["protocol"] if "protocol" in known else {}
        protocol = checked(Protocol, values, f"the card of the {name} model")
        energy_s = ENERGY_S if any(m.metric == ENERGY for m in models.values()) else 0.0
        found.append(Conditions(name, backend, protocol, card.device if card else None, energy_s))
    return found


def verify(
    results: Sequence[Path], space: AnySpace, conditions: Sequence[Conditions], path: Path,
    bars: ProgressBars,
) -> None:  # fmt: skip
    """Measures what searches found and writes it into their result files, with how wide its noise
    is.

    The networks are timed side by side in the same rounds, each twice; what the store already has
    is not measured again. Another device than a predictor's gives a UserWarning.

    Args:
        results: The result files.
        space: The space of the searches.
        conditions: The backends to measure on.
        path: The store that takes the measurements.
        bars: The progress bars.
    """
    found = [load_result(file) for file in results]
    for file, result in zip(results, measured(found, space, conditions, path, bars), strict=True):
        write_json(file, {**read_json(file), "result": result_json(result)})


def measured(
    results: Sequence[SearchResult], space: AnySpace, conditions: Sequence[Conditions], path: Path,
    bars: ProgressBars,
) -> list[SearchResult]:  # fmt: skip
    """Returns the results with what their networks were measured to cost, see ``verify``.

    Args:
        results: What the searches found.
        space: The space of the searches.
        conditions: The backends to measure on.
        path: The store that takes the measurements.
        bars: The progress bars.

    Returns:
        The results, in their order.
    """
    derived = [space.parse(text) for text in dict.fromkeys(r.architecture for r in results)]
    sets: dict[str, int] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, space) as store:
        for c in conditions:
            sets[c.name] = time_found(store, c, derived, bars)
            _check_device(store, sets[c.name], c)
        return [measured_in(store, sets, result) for result in results]


def time_found(
    store: Store, conditions: Conditions, architectures: Sequence[Any], bars: ProgressBars,
    models: Sequence[Model] = (),
) -> int:  # fmt: skip
    """Times each architecture and model twice, and once more what scattered.

    A verdict waits for it, and few visits have wide intervals: one row of a quiet demo had ± 33 %
    (2026-11-29), where its second timing was 1.5 % away.

    Args:
        store: The store that takes the measurements.
        conditions: The backend and how it is measured.
        architectures: What the searches found.
        bars: The progress bars.
        models: Models that need not be of the space.

    Returns:
        The number of the measurement set.
    """
    what = "models" if models else "what was found"
    with bars.bar(f"measure {what} on {conditions.name}") as step:

        def timed(retry_noisy: float) -> int:
            return run_campaign(
                store, conditions.backend, architectures=architectures, models=models,
                protocol=conditions.protocol,
                options=CampaignOptions(
                    retest=1.0, energy_s=conditions.energy_s, retry_noisy=retry_noisy
                ),
                report=lambda p: step(p.done, p.total, p.note),
            ).set_id  # fmt: skip

        found = timed(math.inf)
        if any((store.noise(found, str(a)) or 0.0) > WIDE for a in (*architectures, *models)):
            timed(WIDE)
    return found


def measured_in(store: Store, sets: Mapping[str, int], result: SearchResult) -> SearchResult:
    """Returns the result with what its network was measured to cost in a store, and the noise of
    that.

    ``sets`` are the measurement sets by backend name.
    """
    costs, noise, metric = dict[str, float](), dict[str, float](), result.metric.name
    for name, set_id in sets.items():
        cost = store.value(set_id, result.architecture, metric)
        if cost is None:
            continue
        costs[name] = cost
        of = store.noise(set_id, result.architecture, metric)
        if of is not None:
            noise[name] = of
    elsewhere = {name: cost for name, cost in costs.items() if name != result.backend}
    return dataclasses.replace(
        result, measured=costs.get(result.backend), measured_elsewhere=elsewhere, noise=noise
    )


def _check_device(store: Store, set_id: int, conditions: Conditions) -> None:
    device = store.find_set(set_id=set_id).set.device
    if conditions.device not in (None, device):
        warnings.warn(
            f"measured on {device!r}, but the {conditions.name} predictor is for "
            f"{conditions.device!r}; fit one here to search for this device",
            UserWarning,
            stacklevel=3,
        )
