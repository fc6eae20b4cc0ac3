"""What searches found, measured: on the backends that they paid for, and on others."""

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
from latbench.experiment.checking import checked
from latbench.metric import ENERGY
from latbench.noise import WIDE
from latbench.protocol import Protocol
from latbench.report.data import SearchResult
from latbench.spaces import AnySpace
from latbench.store import Store

if TYPE_CHECKING:
    from latbench.experiment.stages import Bars
    from latbench.predictors.model import LatencyModel

ENERGY_S = 2.0  # each network runs so long for its energy


@dataclass(frozen=True)
class Conditions:
    """How and on which backend is measured; ``device`` is the one that its predictor is for."""

    name: str
    backend: Backend
    protocol: Protocol
    device: str | None = None


def conditions_of(
    models: Mapping[str, LatencyModel], names: Sequence[str] | None = None
) -> list[Conditions]:
    """The backends of these names, or those of the models, set up as for the measurements that
    their models were fitted on; with their defaults where there is no model.

    Raises UsageError for a wrong option, BackendUnavailable for an unknown name or one that cannot
    run here, ParseError where only a model's card names a module that is not imported.
    """
    found = []
    for name in dict.fromkeys(models if names is None else names):
        card = models[name].card if name in models else None
        known: dict[str, Any] = dict(card.conditions) if card else {}
        source = f"the card of the {name} model" if names is None else None
        backend = make_backend(name, source, **known.get("options", {}))
        require(backend)
        values = {"version": 1} | known["protocol"] if "protocol" in known else {}
        protocol = checked(Protocol, values, f"the card of the {name} model")
        found.append(Conditions(name, backend, protocol, card.device if card else None))
    return found


def measured(
    results: Sequence[SearchResult], space: AnySpace, conditions: Sequence[Conditions],
    path: Path, bars: Bars,
) -> list[SearchResult]:  # fmt: skip
    """The results with what their networks were measured to cost, into the store at ``path``, and
    how wide the noise of that is.

    Each network is timed twice, all of them in the same rounds; what the store has already is not
    measured again. Warns (UserWarning) on another device than a predictor's.
    """
    metric = results[0].metric
    derived = [space.parse(text) for text in dict.fromkeys(r.architecture for r in results)]
    sets: dict[str, int] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, space) as store:
        for c in conditions:
            energy_s = ENERGY_S if metric == ENERGY else 0.0
            sets[c.name] = time_found(store, c.backend, c.name, derived, c.protocol, energy_s, bars)
            _check_device(store, sets[c.name], c)
        return [measured_in(store, sets, result) for result in results]


def time_found(
    store: Store, backend: Backend, name: str, architectures: Sequence[Any], protocol: Protocol,
    energy_s: float, bars: Bars,
) -> int:  # fmt: skip
    """Times each architecture twice, and once more what scattered; the measurement set.

    A verdict waits for it, and few visits have wide intervals: one row of a quiet demo had ± 33 %
    (2026-11-29), where its second timing was 1.5 % away.
    """
    with bars.bar(f"measure what was found on {name}") as step:

        def timed(retry_noisy: float) -> int:
            return run_campaign(
                store, backend, architectures=architectures, protocol=protocol,
                options=CampaignOptions(retest=1.0, energy_s=energy_s, retry_noisy=retry_noisy),
                report=lambda p: step(p.done, p.total, p.note),
            ).set_id  # fmt: skip

        found = timed(math.inf)
        if any((store.noise(found, str(a)) or 0.0) > WIDE for a in architectures):
            timed(WIDE)
    return found


def measured_in(store: Store, sets: Mapping[str, int], result: SearchResult) -> SearchResult:
    """The result with what its network was measured to cost in a store, and the noise of that.

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
