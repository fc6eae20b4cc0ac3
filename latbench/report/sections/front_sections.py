"""Accuracy against measured cost: the front of each backend, and what was found for one of them
measured on the others."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from latbench.report.charts.search_charts import front
from latbench.report.contents import Figure, Part
from latbench.report.sections.across_backends import worth_sentences
from latbench.report.sections.found_elsewhere import worth_table
from latbench.report.sections.same_network import ALONE, found_for
from latbench.results import ReportData, SearchResult
from latbench.timing.metric import Metric

_READING = (
    "Each row is a search, each column a backend that its network was measured on. Below a value: "
    "against what was found for that backend itself with the same goal."
)


def each_once(searches: Sequence[SearchResult]) -> list[SearchResult]:
    """Returns the searches, each of those for accuracy alone once.

    Such a search pays for no backend, and may stand in the data once for each.
    """
    seen: set[str] = set()
    kept = []
    for s in searches:
        if s.plain and s.architecture in seen:
            continue
        kept.append(s)
        if s.plain:
            seen.add(s.architecture)
    return kept


def _measured_on(searches: Sequence[SearchResult]) -> list[str]:
    return list(dict.fromkeys(b for s in searches for b in (s.backend, *s.measured_elsewhere)))


def fronts(searches: Sequence[SearchResult]) -> dict[str, alt.LayerChart]:
    """Draws the front of each backend that enough of the searches were measured on.

    The searches are all for the metric of the first one.
    """
    groups: dict[str, list[SearchResult]] = {}
    for s in each_once(searches):
        groups.setdefault(found_for(s), []).append(s)
    charts = {b: front(groups, b, searches[0].metric) for b in _measured_on(searches)}
    return {backend: chart for backend, chart in charts.items() if chart is not None}


def front_parts(data: ReportData, metric: Metric) -> list[Part]:
    """Makes the measured fronts; nothing where there are too few searches for one."""
    searches = each_once([s for s in data.searches if s.metric == metric])
    figures = [Figure(c, f"Measured on {b}") for b, c in fronts(searches).items()]
    if not figures:
        return []
    remark = (
        "A line joins the networks that no other one found for the same backend beats in both "
        "accuracy and measured cost, whatever their noise."
    )
    return [Part("Measured fronts", (remark,), tuple(figures), layout="multiples")]


def worth_parts(data: ReportData, metric: Metric) -> list[Part]:
    """Makes the table of what was found for whom; nothing where all was for one backend."""
    searches = each_once([s for s in data.searches if s.metric == metric])
    if len({found_for(s) for s in searches} - {ALONE}) < 2:
        return []
    remarks = (_READING, *worth_sentences(searches))
    table = worth_table(searches, _measured_on(searches), metric)
    return [Part("Found for one, measured on all", remarks, table=table)]
