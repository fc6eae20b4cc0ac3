"""The summary in words. It says nothing that the data do not, and names chance where it may be it.

What a measured value says beyond its noise, ``latbench.timing.verdicts`` decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from latbench.report.sample import floor_of
from latbench.report.sections.across_backends import measured_beside, middle, worth_sentences
from latbench.report.sections.limit_sentences import UNKNOWN, inside_noise, kept
from latbench.report.sections.pruning_sections import pruning_sentences
from latbench.results import BackendResult, PredictorResult, ReportData, SearchResult
from latbench.text import listing, plural, rounded_percent, short_percent
from latbench.timing.metric import LATENCY, Metric, shown
from latbench.timing.noise import beside_reachable, concern

# What every search with a penalty or a target is compared with.
_PLAIN = "the one found without penalty, λ = 0"


def headline(data: ReportData) -> list[str]:
    """Returns the summary's sentences, the most important first; never empty.

    Where searches were for several backends, the most important is what that is worth on each.
    """
    metrics = dict.fromkeys(s.metric for s in data.searches)
    worth = [
        said for metric in metrics
        for said in worth_sentences([s for s in data.searches if s.metric == metric])
    ]  # fmt: skip
    sentences = [s for group in _by_target(data.searches) for s in _searches(group)]
    sentences += pruning_sentences(data.pruned)
    sentences += [s for b in data.backends if (s := best_predictor(b))]
    sentences += [s for b in data.backends if (s := failures(b))]
    doubts = [s for b in data.backends if (s := _doubt(b))]
    if sentences:
        return worth + sentences + doubts
    rows = sum(len(b.architectures) for b in data.backends)
    if rows:
        on = listing(list(dict.fromkeys(b.backend for b in data.backends)))
        return [
            f"{plural(rows, 'measurement')} on {on}; no predictor was fitted and no search run.",
            *doubts,
        ]
    return ["Nothing was measured yet."]


def _by_target(searches: Sequence[SearchResult]) -> list[list[SearchResult]]:
    """Searches that can be compared: for one metric on one backend."""
    groups: dict[tuple[str, Metric], list[SearchResult]] = {}
    for s in searches:
        if s.together:
            continue  # stands in the table of fronts
        groups.setdefault((s.backend, s.metric), []).append(s)
    return list(groups.values())


def _searches(searches: list[SearchResult]) -> list[str]:
    """One sentence for each goal; for more than three, only for the best of them."""
    plain = [s for s in searches if s.plain]
    priced = sorted(
        (s for s in searches if not s.plain), key=lambda s: (s.penalty_weight, s.target or 0)
    )
    goals = list(dict.fromkeys(s.goal for s in priced))
    runs = [[s for s in priced if s.goal == goal] for goal in goals]
    metric = searches[0].metric
    if not runs:
        return [_alone(plain, _start(plain, "without a penalty"))]
    if len(runs) > 3:
        runs = [min(runs, key=lambda r: _truth(r) or math.inf)]
    said = [_sentence(plain, r) for r in runs]
    if len(goals) > 3:
        what = "penalty weights" if all(s.target is None for s in priced) else "goals"
        said[0] += f" This is the lowest {metric.label} of {len(goals)} {what}."
    return said


def _truth(runs: Sequence[SearchResult]) -> float | None:
    """Median measured value; the median predicted one when nothing was measured."""
    return middle(s.measured for s in runs) or middle(s.predicted for s in runs)


def _sentence(plain: list[SearchResult], runs: list[SearchResult]) -> str:
    metric, start = runs[0].metric, _start(runs, f"with the penalty ({runs[0].goal})")
    if runs[0].target is not None:
        start = f"{kept(runs)} It found a network"
    if not plain:
        return _alone(runs, start) + " There is no run without penalty to compare it with."
    ends = f"accuracy {_accuracies(runs, plain)}{_how_many(runs, plain)}."
    found = measured_beside(runs, plain, runs[0].backend)
    high, low = (middle(s.measured for s in group) for group in (plain, runs))
    if found is None or not (high and low):
        high, low = (middle(s.predicted for s in group) for group in (plain, runs))
        if not (high and low):
            return f"{start} whose {metric.label} was not measured; {ends}"
        return (
            f"{start} {_compared(metric, 1 - low / high)} by prediction only "
            f"({shown(metric, low)} against {shown(metric, high)}; not measured); {ends}"
        )
    both = f"{shown(metric, low)} against {shown(metric, high)}"
    if said := inside_noise(found):
        return (
            f"{start} whose measured {metric.label} differs by {short_percent(abs(found.change))} "
            f"from that of {_PLAIN} ({both}), {said}; {ends}"
        )
    doubt = UNKNOWN if found.noise is None else ""
    overlap = "; the runs' ranges overlap" if _overlap(plain, runs) else ""
    return f"{start} {_compared(metric, -found.change)} (measured: {both}{doubt}{overlap}); {ends}"


def _start(runs: Sequence[SearchResult], how: str) -> str:
    return f"On {runs[0].backend}, search {how} found a network"


def _compared(metric: Metric, less: float) -> str:
    """Says what a share less than without penalty means, or more where it is negative.

    An example is "31 % faster than the one found ...".
    """
    if less == 0:
        return f"{metric.equal} as {_PLAIN}"
    share = (metric.less if less > 0 else metric.more).format(rounded_percent(abs(less)))
    return f"{share} than {_PLAIN}"


def _overlap(plain: Sequence[SearchResult], runs: Sequence[SearchResult]) -> bool:
    """Whether the measured ranges of two groups of several runs overlap."""
    a, b = ([s.measured for s in g if s.measured is not None] for g in (plain, runs))
    return len(a) + len(b) > 2 and max(min(a), min(b)) <= min(max(a), max(b))


def _how_many(runs: Sequence[SearchResult], plain: Sequence[SearchResult]) -> str:
    if len(runs) == len(plain) == 1:
        return " (one run each)"
    return f" (medians of {plural(len(runs), 'run')} with and {len(plain):,} without penalty)"


def _accuracies(runs: Sequence[SearchResult], plain: Sequence[SearchResult]) -> str:
    ours, theirs = (middle(s.accuracy for s in group) for group in (runs, plain))
    if ours is None and theirs is None:
        return "not measured"
    texts = [short_percent(a) if a is not None else "not measured" for a in (ours, theirs)]
    return f"{texts[0]} against {texts[1]}"


def _alone(runs: Sequence[SearchResult], start: str) -> str:
    true, accuracy = middle(s.measured for s in runs), middle(s.accuracy for s in runs)
    metric, predicted = runs[0].metric, middle(s.predicted for s in runs)
    of = "" if metric == LATENCY else f" of {metric.label}"
    if true:
        cost = f"of {shown(metric, true)}{of} (measured)"
    elif predicted is not None:
        cost = f"of {shown(metric, predicted)}{of} by prediction (not measured)"
    else:
        cost = f"whose {metric.label} was not measured"
    rated = "not measured" if accuracy is None else short_percent(accuracy)
    many = f" (medians of {plural(len(runs), 'run')})" if len(runs) > 1 else ""
    return f"{start} {cost}, accuracy {rated}{many}."


def rating(predictor: PredictorResult, name: str) -> tuple[float, float, float] | None:
    """Returns a figure's (value, low, high); None when it is absent or not finite."""
    found = predictor.metrics.get(name)
    return found if found is not None and math.isfinite(found[0]) else None


def best_of(predictors: Sequence[PredictorResult]) -> PredictorResult | None:
    """Returns the predictor with the lowest MAPE; None when none has one."""
    scored = [(m[0], i) for i, p in enumerate(predictors) if (m := rating(p, "mape"))]
    return predictors[min(scored)[1]] if scored else None


def best_predictor(backend: BackendResult) -> str:
    """Says how well the best predictor does, beside what the noise lets one reach.

    The text is empty without one.
    """
    best = best_of(backend.predictors)
    found = rating(best, "mape") if best else None
    if best is None or found is None:
        return ""
    value, low, high = found
    of = "" if backend.metric == LATENCY else f" of the {backend.metric.label}"
    among = (
        f"the best of {len(backend.predictors)} predictors, " if len(backend.predictors) > 1 else ""
    )
    interval = ""
    if math.isfinite(low) and math.isfinite(high):
        interval = f" (bootstrap interval {short_percent(low)} to {short_percent(high)})"
    on = f"{backend.backend} ({backend.device})" if backend.device else backend.backend
    said = f"On {on}, {among}{best.name}, is off by {short_percent(value)}{of} on average{interval}"
    said = said if among else said.replace(f"{best.name}, is", f"{best.name} is")
    beside = beside_reachable(found, floor_of(backend), short_percent)
    return f"{said}, {beside}.{_rivals(backend, best)}"


def _rivals(backend: BackendResult, best: PredictorResult) -> str:
    """Which predictors' intervals reach the best one's, so that the order may be chance."""
    ours = rating(best, "mape")
    rated = [(p.name, rating(p, "mape")) for p in backend.predictors if p is not best]
    names = [name for name, m in rated if ours and m and m[1] <= ours[2]]
    if not names:
        return ""
    if len(names) > 3:
        return f" The intervals of {len(names)} others overlap with this."
    verb = "overlaps" if len(names) == 1 else "overlap"
    return f" The interval{'' if len(names) == 1 else 's'} of {listing(names)} {verb} with this."


def _doubt(backend: BackendResult) -> str:
    """What is to be said of a wide noise floor; empty for a good one, or another metric's."""
    said = concern(floor_of(backend)) if backend.metric == LATENCY else None
    return f"On {backend.backend}, {said}." if said else ""


def failures(backend: BackendResult) -> str:
    """Says how many architectures could not be measured; empty when none."""
    if not backend.failed:
        return ""
    total = backend.failed + len(backend.architectures)
    share = short_percent(backend.failed / total)
    return f"{backend.failed:,} of {total:,} architectures failed on {backend.backend} ({share})."
