"""The tables of the page as values; the template writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from latbench.report.contents import Entry, Table
from latbench.report.sample import measured, positive, predicted
from latbench.report.sections.across_backends import measured_beside
from latbench.report.sections.headline import best_of, rating
from latbench.report.sections.limit_sentences import SHORT
from latbench.results import BackendResult, PredictorCosts, ReportData, SearchResult
from latbench.text import (
    ABSENT,
    NBSP,
    NOT_MEASURED,
    flatten,
    known,
    magnitude,
    number,
    rough,
    short_percent,
    shorten,
    signed,
)
from latbench.timing.metric import SIZE, Metric

SEARCH_ROWS = 500
CONDITION_ROWS = 200


def _sortable(value: float | None) -> float | None:
    return value if known(value) else None


def _rate(value: tuple[float, float, float] | None, write: Callable[[float], str]) -> Entry:
    """A figure with its interval below it."""
    if value is None:
        return Entry(ABSENT)
    texts = [write(v) for v in value]
    low = texts[1].removesuffix("%").rstrip()  # the unit stands once: the table is wide enough
    interval = f"{low} to {texts[2]}" if all(map(math.isfinite, value[1:])) else ""
    return Entry(texts[0], interval, value[0])


def _ratings(metric: Metric) -> tuple[tuple[str, str, Callable[[float], str]], ...]:
    """Name, title and writer of each figure about a predictor."""
    return (
        ("mape", "MAPE", short_percent),
        ("rmse", f"RMSE ({metric.shown_unit})", metric.figure),
        ("within_5", f"Within 5{NBSP}%", short_percent),
        ("within_10", f"Within 10{NBSP}%", short_percent),
        ("spearman", "Spearman", number),
        ("kendall", "Kendall", number),
    )


def predictors_table(backend: BackendResult) -> Table:
    """Makes the table of a backend's predictors side by side, the lowest MAPE first."""

    def mape(row: tuple[Entry, ...]) -> float:
        return math.inf if row[1].value is None else row[1].value

    ratings = _ratings(backend.metric)
    rows = [
        (
            Entry(p.name),
            *(_rate(rating(p, key), write) for key, _, write in ratings),
            *_costs(p.costs),
        )
        for p in backend.predictors
    ]
    return Table(
        f"Predictors on {backend.backend}, cross-validated; bootstrap intervals below each value",
        ("Predictor", *(title for _, title, _ in ratings), *_COSTS),
        tuple(sorted(rows, key=mape)),
    )


_COSTS = ("One fit (s)", "Predictions a second", "Size", f"In 90{NBSP}% intervals")


def _costs(costs: PredictorCosts | None) -> tuple[Entry, ...]:
    if costs is None:
        return (Entry(ABSENT),) * len(_COSTS)
    return (
        Entry(f"{costs.fit_s:.2g}", value=costs.fit_s),
        Entry(rough(costs.predicted_per_s), value=costs.predicted_per_s),
        Entry(SIZE.show(costs.model_bytes, 3), value=costs.model_bytes),
        Entry(short_percent(costs.coverage_90), value=_sortable(costs.coverage_90)),
    )


def architectures_table(backend: BackendResult, ends: int) -> Table | None:
    """Makes the table of the ``ends`` architectures of lowest and as many of highest value.

    It is None when nothing was measured.
    """
    metric, truth = backend.metric, measured(backend)
    order = np.flatnonzero(positive(truth))
    order = order[np.argsort(truth[order], kind="stable")]
    if not order.size:
        return None
    best = best_of(backend.predictors)
    guess = predicted(best) if best else np.full(truth.shape, np.nan)
    ranks = range(order.size)
    shown = [*ranks] if order.size <= 2 * ends else [*ranks[:ends], *ranks[-ends:]]
    rows = tuple(_architecture(backend, int(order[r]), r + 1, guess) for r in shown)
    what = "All"
    if len(shown) < order.size:
        what = f"The {ends} of lowest and the {ends} of highest {metric.label}, of"
    columns: tuple[str, ...] = ("Architecture", "Rank", f"Measured ({metric.shown_unit})")
    if best:
        columns += (f"{shorten(best.name, 30)} ({metric.shown_unit})", "Error")
    caption = f"{what} {order.size:,} architectures on {backend.backend}"
    return Table(caption, columns, tuple(r[: len(columns)] for r in rows), filter=True)


def _architecture(
    backend: BackendResult, i: int, rank: int, guess: np.typing.NDArray[np.float64]
) -> tuple[Entry, ...]:
    true, said = backend.measured[i], float(guess[i])
    error = said / true - 1
    return (
        Entry(shorten(backend.architectures[i], 1000), code=True),
        Entry(f"{rank:,}", value=rank),
        Entry(backend.metric.figure(true), value=true),
        Entry(backend.metric.figure(said), value=_sortable(said)),
        Entry(signed(error), value=_sortable(abs(error))),
    )


def searches_table(data: ReportData, metric: Metric) -> Table:
    """Makes the table of every search for a metric.

    It has what each promised, what was measured, and what it cost.
    """
    searches, unit = [s for s in data.searches if s.metric == metric], metric.shown_unit
    listed = searches[:SEARCH_ROWS]
    # What the networks take on the backends that they were not searched for.
    others = list(dict.fromkeys(name for s in listed for name in s.measured_elsewhere))
    judges = list(dict.fromkeys(s.judge for s in listed))
    by = f" by {judges[0]}" if len(judges) == 1 and judges[0] else ""
    price = "λ" if all(s.target is None for s in listed) else "λ or target"
    rows = tuple((*_search(data, s, by), *_elsewhere(s, others)) for s in listed)
    left = len(searches) - len(rows)
    return Table(
        f"Derived networks: predicted beside measured {metric.label}",
        ("Run", price, f"Predicted{by} ({unit})", f"Measured ({unit})", "Prediction's error",
         f"Against λ{NBSP}={NBSP}0", "Accuracy", "Parameters", "MACs",
         *(f"On {shorten(name, 60)} ({unit})" for name in others)),
        rows,
        note=f"{left:,} more runs are not listed." if left else "",
    )  # fmt: skip


def _elsewhere(s: SearchResult, others: Sequence[str]) -> tuple[Entry, ...]:
    values = [s.measured_elsewhere.get(name) for name in others]
    return tuple(Entry(s.metric.figure(v) if v else NOT_MEASURED, value=v) for v in values)


def _search(data: ReportData, s: SearchResult, by: str) -> tuple[Entry, ...]:
    true = s.measured if known(s.measured) else None
    error = s.predicted / true - 1 if true else None
    change, remark = against_plain(data, s)
    return (
        Entry(shorten(s.label, 200), s.backend),
        _price(s),
        Entry(s.metric.figure(s.predicted), "" if by else s.judge, _sortable(s.predicted)),
        Entry(s.metric.figure(true) if true else NOT_MEASURED, value=true),
        Entry(signed(error), value=_sortable(error)),
        Entry(signed(change), remark, value=_sortable(change)),
        accuracy_entry(s),
        Entry(magnitude(s.parameters), value=s.parameters),
        Entry(magnitude(s.macs), value=s.macs),
    )


def accuracy_entry(s: SearchResult) -> Entry:
    """Writes the mean accuracy over training seeds, and their deviation below it."""
    if not known(s.accuracy):
        return Entry(NOT_MEASURED)
    spread = f"± {short_percent(s.deviation)}, {len(s.accuracies)} seeds" if s.deviation else ""
    return Entry(short_percent(s.accuracy), spread, _sortable(s.accuracy))


def _price(s: SearchResult) -> Entry:
    """The penalty weight, or the target."""
    if s.target is not None:
        said = "missed by prediction" if s.met is False else ""
        if (verdict := s.verdict) is not None:
            said = SHORT[verdict]
        return Entry(f"≤ {s.metric.show(s.target, 3)}", said, s.target)
    return Entry(f"{s.penalty_weight:g}", value=_sortable(s.penalty_weight))


def against_plain(data: ReportData, search: SearchResult) -> tuple[float | None, str]:
    """Returns a search's change in measured cost against the runs without penalty.

    It is relative to the median of those for the same metric on the same backend, a fraction or
    None; with it comes "within noise" where no difference can be claimed, else an empty text.
    """
    target = (search.backend, search.metric)
    plain = [s for s in data.searches if (s.backend, s.metric) == target and s.plain]
    found = None if plain == [search] else measured_beside([search], plain, search.backend)
    if found is None:
        return None, ""
    return found.change, "within noise" if found.within_noise else ""


def machine_table(data: ReportData) -> Table:
    """Makes the table of the machine that the figures were taken on."""
    rows = tuple((Entry(shorten(k, 100)), Entry(shorten(v, 500))) for k, v in data.machine.items())
    return Table("Machine", ("Property", "Value"), rows[:CONDITION_ROWS], text_columns=2)


def conditions_table(data: ReportData) -> Table:
    """Makes the table of each backend's device, versions and settings, one column a backend."""
    backends = _of_one_metric(data.backends)
    flat = [
        {"device": b.device, "measured": f"{len(b.architectures):,}", "failed": f"{b.failed:,}",
         "noise floor": floor_text(b.noise_floor),
         "noise floor between occasions": floor_text(b.floor_between)} | flatten(b.conditions)
        for b in backends
    ]  # fmt: skip
    keys = list(dict.fromkeys(key for values in flat for key in values))[:CONDITION_ROWS]
    rows = tuple(
        (Entry(shorten(key, 100)), *(Entry(shorten(v.get(key, ABSENT), 500)) for v in flat))
        for key in keys
    )
    columns = ("Condition", *unique_names(backends))
    return Table("Conditions of each backend", columns, rows, text_columns=len(columns))


def floor_text(noise_floor: float | None) -> str:
    """Writes the noise floor in per cent, or "not measured"."""
    return short_percent(noise_floor) if known(noise_floor) else NOT_MEASURED


def _of_one_metric(backends: Sequence[BackendResult]) -> list[BackendResult]:
    """Leaves out further metrics of a set of measurements that is there already."""
    kept: list[BackendResult] = []
    for b in backends:
        same = [k for k in kept if (k.backend, k.device) == (b.backend, b.device)]
        if all(k.metric == b.metric or k.conditions != b.conditions for k in same):
            kept.append(b)
    return kept


def unique_names(backends: Iterable[BackendResult]) -> list[str]:
    """Returns backends' names, with the device where one occurs twice with the same metric."""
    listed = list(backends)
    names = [(b.backend, b.metric) for b in listed]
    return [
        f"{b.backend}, {b.device}" if names.count((b.backend, b.metric)) > 1 else b.backend
        for b in listed
    ]


def agreement_table(pairs: Sequence[tuple[str, str, int, float]]) -> Table:
    """Makes the table of Spearman's correlation of pairs of backends.

    ``pairs`` are both names, the number of architectures that they share, and the correlation over
    these.
    """
    rows = tuple(
        (Entry(a), Entry(b), Entry(f"{n:,}", value=n), Entry(number(rho), value=_sortable(rho)))
        for a, b, n, rho in pairs
    )
    columns = ("Backend", "Other backend", "Shared architectures", "Spearman")
    return Table("Do the backends rank architectures alike?", columns, rows, text_columns=2)
