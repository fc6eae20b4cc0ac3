"""The decisions of ``latbench.timing.verdicts`` in words."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from latbench.results import SearchResult
from latbench.text import number, plural, short_percent
from latbench.timing.metric import shown
from latbench.timing.verdicts import Difference, LimitVerdict, Verdict

# Of one network, in a table; and of runs in a sentence, alone and with how many of them.
SHORT: dict[Verdict, str] = {
    "kept": "kept as measured",
    "missed": "missed as measured",
    "too close": "too close to tell",
}
_ALONE: dict[Verdict, str] = {
    "kept": "kept its limit as measured",
    "missed": "missed its limit as measured",
    "too close": "came too close to its limit to tell",
}
_BESIDES: dict[Verdict, str] = {"missed": "missed it in", "too close": "too close to tell in"}
UNKNOWN = "; noise unknown, so this may be chance"


def tally(runs: Sequence[SearchResult]) -> Counter[Verdict]:
    """Counts the runs of one goal by their verdicts on its first backend, as measured.

    A run kept the limit, missed it, or came too close to tell.
    """
    return Counter(verdict.verdict for verdict in _judged(runs))


def _judged(runs: Sequence[SearchResult]) -> list[LimitVerdict]:
    return [one for s in runs if (one := s.verdicts.get(s.backend))]


def kept(runs: Sequence[SearchResult]) -> str:
    """Returns one sentence on searches for one target on one backend.

    What was measured counts.
    """
    first = runs[0]
    start = f"On {first.backend}, search for {first.goal}"
    judged = _judged(runs)
    if not judged:
        return f"{start} {_by_prediction(runs)}; what counts, the measurement, is missing."
    # The median; a measured value for one run.
    excess = statistics.median(one.excess for one in judged)
    what = shown(first.metric, first.limits[first.backend] * (1 + excess))
    if len(judged) == 1:
        (one,) = judged
        return f"{start} {_ALONE[one.verdict]}: {what}, {_above(excess)}{_beside(one)}."
    counts = tally(runs)
    besides = ", ".join(f"{said} {counts[v]}" for v, said in _BESIDES.items() if counts[v])
    many = f"kept its limit in {counts['kept']} of {plural(len(judged), 'run')} as measured"
    doubt = UNKNOWN if all(one.noise is None for one in judged) else ""
    return (
        f"{start} {many}{f' ({besides})' if besides else ''}: median {what}, "
        f"{_above(excess)}{doubt}."
    )


def _by_prediction(runs: Sequence[SearchResult]) -> str:
    # Older files do not say what the prediction said.
    held = sum(s.predicted <= (s.target or 0) if s.met is None else s.met for s in runs)
    if len(runs) > 1:
        return f"kept its limit in {held} of {plural(len(runs), 'run')} by prediction only"
    return f"{'kept' if held else 'missed'} its limit by prediction only"


def _above(excess: float) -> str:
    """How far a cost is from its limit."""
    if excess == 0:
        return "just the limit"
    if excess < 1:
        return f"{short_percent(abs(excess))} {'above' if excess > 0 else 'below'} the limit"
    return f"{number(1 + excess, 2)} times the limit"


def _beside(one: LimitVerdict) -> str:
    """Says whether the distance from the limit is within the noise or beyond it."""
    if one.noise is None:
        return UNKNOWN
    where = "within" if one.verdict == "too close" else "beyond"
    # What has no noise is beyond any.
    return f", {where} the noise of {short_percent(one.noise)}" if one.noise > 0 else ""


def inside_noise(found: Difference) -> str:
    """Says that no difference can be claimed; empty where one can."""
    if not found.within_noise:
        return ""
    return f"inside the noise of {short_percent(found.noise)}: no difference can be claimed"
