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
from latbench.metric import ENERGY, LATENCY, Metric
from latbench.protocol import Protocol
from latbench.report.data import SearchResult
from latbench.spaces import AnySpace
from latbench.store import Store
from latbench.store.schema import store_errors
from latbench.store.summary import METRIC_COLUMNS, noise_floor_of

if TYPE_CHECKING:
    from latbench.experiment.stages import Bars
    from latbench.predictors.model import LatencyModel

ENERGY_S = 2.0  # each network runs so long for its energy
# Architecture -> backend -> how far apart two measurements of it may be, a fraction.
Noise = dict[str, dict[str, float]]


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
        protocol = checked(Protocol, known.get("protocol", {}), f"the card of the {name} model")
        found.append(Conditions(name, backend, protocol, card.device if card else None))
    return found


def measured(
    results: Sequence[SearchResult], space: AnySpace, conditions: Sequence[Conditions],
    path: Path, bars: Bars,
) -> tuple[list[SearchResult], Noise]:  # fmt: skip
    """The results with what their networks were measured to cost, into the store at ``path``, and
    how wide the noise of that is.

    Each network is timed twice, all of them in the same rounds; what the store has already is not
    measured again. Warns (UserWarning) on another device than a predictor's.
    """
    metric = results[0].metric
    derived = [space.parse(text) for text in dict.fromkeys(r.architecture for r in results)]
    costs: dict[str, dict[str, float]] = {r.architecture: {} for r in results}
    noise: Noise = {text: {} for text in costs}
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, space) as store:
        for c in conditions:
            with bars.bar(f"measure what was found on {c.name}") as step:
                outcome = run_campaign(
                    store, c.backend, architectures=derived, protocol=c.protocol,
                    options=CampaignOptions(
                        retest=1.0, energy_s=ENERGY_S if metric == ENERGY else 0.0
                    ),
                    report=lambda p: step(p.done, p.total, ""),
                )  # fmt: skip
            _check_device(store, outcome.set_id, c)
            for text, of in costs.items():
                value = store.value(outcome.set_id, text, metric.name)
                if value is not None:
                    of[c.name] = value
                    noise[text][c.name] = _noise(store, outcome.set_id, text, metric)
    return [_with(result, costs[result.architecture]) for result in results], noise


def _noise(store: Store, set_id: int, architecture: str, metric: Metric) -> float:
    """How far from its true cost a measured one may lie, a fraction: the largest of the set's noise
    floor, the difference of the network's own two timings and, of a latency, the half width of
    their 95 % intervals. 0 where nothing is known of any."""
    column = METRIC_COLUMNS[metric.name]
    with store_errors(store.path):
        floor = noise_floor_of(store.connection, set_id, column)
        rows = store.connection.execute(
            f"SELECT {column}, half_width FROM main.measurements"
            f" WHERE set_id = ? AND rank = ? AND status = 'ok' AND {column} > 0",
            (set_id, store.rank(architecture)),
        ).fetchall()
    values = [value for value, _ in rows]
    known = [floor, 2 * (max(values) - min(values)) / (max(values) + min(values))]
    if metric == LATENCY:
        known += [half_width for _, half_width in rows]
    # One visit alone has an interval without end.
    return max((n for n in known if n is not None and math.isfinite(n)), default=0.0)


def _with(result: SearchResult, costs: Mapping[str, float]) -> SearchResult:
    elsewhere = {name: value for name, value in costs.items() if name != result.backend}
    return dataclasses.replace(
        result, measured=costs.get(result.backend), measured_elsewhere=elsewhere
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
