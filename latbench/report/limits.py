"""Whether searches with a target kept it, in words."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from latbench.numerals import number
from latbench.report.data import SearchResult
from latbench.report.text import known, percent, plural, shown


def kept(runs: Sequence[SearchResult], floor: float | None) -> str:
    """One sentence on searches for one target on one backend; what was measured counts.

    ``floor`` is the noise floor (a fraction): a limit that is nearer than that is neither kept nor
    missed beyond doubt.
    """
    first = runs[0]
    assert first.target is not None
    start = f"On {first.backend}, search for {first.goal}"
    judged = [s for s in runs if known(s.measured)]
    if not judged:
        return f"{start} {_by_prediction(runs)}; what counts, the measurement, is missing."
    held = sum(s.met_measured is True for s in judged)
    # The median; a measured value for one run.
    cost = statistics.median(s.measured for s in judged if s.measured is not None)
    verb = "kept its limit" if held else "missed its limit"
    what = shown(first.metric, cost)
    if len(judged) > 1:
        verb, what = f"kept its limit in {held} of {plural(len(judged), 'run')}", f"median {what}"
    return f"{start} {verb} as measured: {what}, {_beside(cost / first.target - 1, floor)}."


def _by_prediction(runs: Sequence[SearchResult]) -> str:
    # Older files do not say what the prediction said.
    held = sum(s.predicted <= (s.target or 0) if s.met is None else s.met for s in runs)
    if len(runs) > 1:
        return f"kept its limit in {held} of {plural(len(runs), 'run')} by prediction only"
    return f"{'kept' if held else 'missed'} its limit by prediction only"


def _beside(excess: float, floor: float | None) -> str:
    """The distance from the limit beside the noise floor."""
    if excess == 0:
        return "just the limit"
    by = f"{number(1 + excess, 2)} times the limit"
    if excess < 1:
        by = f"{percent(abs(excess))} {'above' if excess > 0 else 'below'} the limit"
    if floor is None:
        return f"{by}; noise floor unknown, so this may be chance"
    if abs(excess) <= floor:
        return f"{by}, within the noise floor of {percent(floor)}: too close to tell"
    return f"{by}, beyond the noise floor of {percent(floor)}"
