"""The worth of a search for one backend against those for others: measured costs beside each other,
and the sentences about them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Sequence

from latbench.report.sections.limit_sentences import inside_noise
from latbench.report.sections.same_network import found_for
from latbench.results import SearchResult
from latbench.text import plural, short_percent
from latbench.timing.verdicts import Difference, difference


def middle(values: Iterable[float | None]) -> float | None:
    """Returns the median of the known values; None without any."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return statistics.median(finite) if finite else None


def measured_beside(
    runs: Sequence[SearchResult], plain: Sequence[SearchResult], backend: str
) -> Difference | None:
    """Returns the measured cost on a backend of what some runs found beside that of others.

    Both are medians; the result is None where either is not known.
    """
    costs = [middle(s.cost_on(backend) for s in group) for group in (runs, plain)]
    if not (costs[0] and costs[1]):
        return None
    return difference(costs[0], costs[1], [s.noise.get(backend) for s in (*runs, *plain)])


def beside_own(
    s: SearchResult, backend: str, searches: Sequence[SearchResult]
) -> Difference | None:
    """Returns the cost of a search's network on a backend beside that of what was found for the
    backend itself with the same goal, the median where these are several; None where either is not
    known."""
    same = (backend, s.goal_key)
    return measured_beside(
        [s], [o for o in searches if (found_for(o), o.goal_key) == same], backend
    )


def worth_sentences(searches: Sequence[SearchResult]) -> list[str]:
    """Says for each pair of backends what searching for the one itself is worth there.

    It is the median over goals of the measured cost of what was found for the other one, relative
    to its own, with the medians of their accuracies where these are known.
    """
    names = list(dict.fromkeys(found_for(s) for s in searches if not (s.plain or s.together)))
    sentences = []
    for own in names:
        for other in names:
            pairs = {
                s.goal_key: found
                for s in searches
                if other != own
                and found_for(s) == other
                and (found := beside_own(s, own, searches)) is not None
            }
            change = middle(found.change for found in pairs.values())
            if change is None:
                continue
            whole = difference(1 + change, 1, [found.noise for found in pairs.values()])
            where = "above" if change > 0 else "below" if change < 0 else "from"
            doubt = inside_noise(whole)
            sentences.append(
                f"On {own}, the {searches[0].metric.label} of what was found for {other} is "
                f"{short_percent(abs(change))} {where} that of what was found for {own} itself "
                f"(median of {plural(len(pairs), 'goal')}){f', {doubt}' if doubt else ''}"
                f"{_accuracies(searches, other, own, pairs)}."
            )
    return sentences


def _accuracies(searches: Sequence[SearchResult], a: str, b: str, goals: Collection[object]) -> str:
    """The accuracies of what was found for two backends with the same goals; empty where one is not
    known."""
    both = [
        middle(s.accuracy for s in searches if found_for(s) == name and s.goal_key in goals)
        for name in (a, b)
    ]
    known = [short_percent(one) for one in both if one is not None]
    return f"; accuracy {' against '.join(known)}" if len(known) == 2 else ""
