"""Accuracy against measured cost: the front of each backend, and what was found for one of them
measured on the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from latbench.metric import Metric
from latbench.report import marks
from latbench.report.data import ReportData, SearchResult
from latbench.report.headline import measured_beside, middle
from latbench.report.limits import inside_noise
from latbench.report.marks import legend
from latbench.report.parts import Figure, Part
from latbench.report.same import ALONE, found_for
from latbench.report.svg import Axis, Frame, span
from latbench.report.tables import Entry, Table, accuracy_entry, signed
from latbench.report.text import NOT_MEASURED, known, percent, plural, shorten
from latbench.verdicts import Difference, difference

FROM = 3  # a front of fewer points says nothing
_READING = (
    "Each row is a search, each column a backend that its network was measured on. Below a value: "
    "against what was found for that backend itself with the same goal."
)
Point = tuple[float, float]  # cost, accuracy


def pareto(points: Sequence[Point]) -> list[int]:
    """The points that no other one beats: lower cost and higher accuracy. By rising cost.

    >>> pareto([(1.0, 0.9), (2.0, 0.8), (3.0, 0.95), (1.0, 0.7)])
    [0, 2]
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    best, front = -math.inf, []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            front.append(i)
    return front


def each_once(searches: Sequence[SearchResult]) -> list[SearchResult]:
    """A search for accuracy alone pays for no backend, and may stand in the data once for each."""
    seen: set[str] = set()
    kept = []
    for s in searches:
        if s.plain and s.architecture in seen:
            continue
        kept.append(s)
        if s.plain:
            seen.add(s.architecture)
    return kept


def front_parts(data: ReportData, metric: Metric) -> list[Part]:
    """The measured fronts and the table of what was found for whom; nothing for few searches."""
    searches = each_once([s for s in data.searches if s.metric == metric])
    on = list(dict.fromkeys(b for s in searches for b in (s.backend, *s.measured_elsewhere)))
    names = list(dict.fromkeys(found_for(s) for s in searches))
    figures = [f for backend in on if (f := _front(searches, backend, names, metric))]
    parts = []
    if figures:
        remark = (
            "A line joins the networks that no other one found for the same backend beats in both "
            "accuracy and measured cost, whatever their noise."
        )
        parts.append(
            Part("Measured fronts", (remark,), tuple(figures), legend(names, True),
                 layout="multiples")
        )  # fmt: skip
    if len([n for n in names if n != ALONE]) > 1:
        remarks = (_READING, *worth_sentences(searches))
        table = worth_table(searches, on, metric)
        parts.append(Part("Found for one, measured on all", remarks, table=table))
    return parts


def _points(searches: Sequence[SearchResult], backend: str, metric: Metric) -> list[Point]:
    costs = [(s.cost_on(backend), s.accuracy) for s in searches]
    return [(metric.scale * c, a) for c, a in costs if known(c) and known(a)]


def _front(
    searches: Sequence[SearchResult], backend: str, names: Sequence[str], metric: Metric
) -> Figure | None:
    groups = [
        _points([s for s in searches if found_for(s) == name], backend, metric) for name in names
    ]
    everything = [p for group in groups for p in group]
    if len(everything) < FROM:
        return None
    x_axis = Axis(*span((x for x, _ in everything), 0.06), f"{metric.title} ({metric.shown_unit})")
    y_axis = Axis(*span((y for _, y in everything), 0.08), "Accuracy", percent=True)
    frame = Frame(x_axis, y_axis, 360, 280)
    drawn, said = [], []
    for i, (name, group) in enumerate(zip(names, groups, strict=True)):
        best = [group[k] for k in pareto(group)]
        if best:
            drawn.append(marks.line(frame, best, i, f"front of {name}"))
            drawn.append(marks.points(frame, group, i))
            cheapest, dearest = best[0], best[-1]
            said.append(f"found for {name}: {_said(cheapest, metric)} to {_said(dearest, metric)}")
    label = f"Front of accuracy and {metric.label} measured on {backend}"
    return Figure(frame.draw(drawn, label, f"{'; '.join(said)}."), f"Measured on {backend}")


def _said(point: Point, metric: Metric) -> str:
    return f"{percent(point[1])} at {metric.show(point[0] / metric.scale, 3)}"


def worth_table(searches: Sequence[SearchResult], on: Sequence[str], metric: Metric) -> Table:
    """Every search beside its measured costs on all backends."""

    def entry(s: SearchResult, backend: str) -> Entry:
        cost = s.cost_on(backend)
        if not known(cost):
            return Entry(NOT_MEASURED)
        return Entry(metric.figure(cost), _against(s, backend, searches), cost)

    rows = tuple(
        (Entry(shorten(found_for(s), 100)), Entry(s.goal), accuracy_entry(s),
         *(entry(s, backend) for backend in on))
        for s in searches
    )  # fmt: skip
    columns = (f"On {shorten(name, 60)} ({metric.shown_unit})" for name in on)
    return Table(
        f"Measured {metric.label} of what was found for each backend",
        ("Found for", "Goal", "Accuracy", *columns), rows, text_columns=2,
    )  # fmt: skip


def _against(s: SearchResult, backend: str, searches: Sequence[SearchResult]) -> str:
    """The cost relative to what was found for the backend itself with the same goal."""
    if s.plain or found_for(s) == backend:
        return ""
    found = _beside_own(s, backend, searches)
    if found is None:
        return ""
    return f"{signed(found.change)} against its own{', within noise' * found.within_noise}"


def _beside_own(
    s: SearchResult, backend: str, searches: Sequence[SearchResult]
) -> Difference | None:
    """The cost on a backend beside that of what was found for the backend itself with the goal of
    ``s``, the median where these are several."""
    same = (backend, s.goal_key)
    return measured_beside(
        [s], [o for o in searches if (found_for(o), o.goal_key) == same], backend
    )


def worth_sentences(searches: Sequence[SearchResult]) -> list[str]:
    """For each pair of backends, what searching for the one itself is worth there: the median over
    goals of the measured cost of what was found for the other one, relative to its own."""
    names = list(dict.fromkeys(found_for(s) for s in searches if not (s.plain or s.together)))
    sentences = []
    for own in names:
        for other in names:
            pairs = [
                found
                for s in searches
                if other != own
                and found_for(s) == other
                and (found := _beside_own(s, own, searches)) is not None
            ]
            change = middle(found.change for found in pairs)
            if change is None:
                continue
            whole = difference(1 + change, 1, [found.noise for found in pairs])
            where = "above" if change > 0 else "below" if change < 0 else "from"
            doubt = inside_noise(whole)
            sentences.append(
                f"On {own}, the {searches[0].metric.label} of what was found for {other} is "
                f"{percent(abs(change))} {where} that of what was found for {own} itself "
                f"(median of {plural(len(pairs), 'goal')}){f', {doubt}' if doubt else ''}."
            )
    return sentences
