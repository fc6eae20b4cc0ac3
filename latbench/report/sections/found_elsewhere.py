"""The table of the networks that were found for one backend, measured on the others."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.report.contents import Entry, Table
from latbench.report.sections.across_backends import beside_own
from latbench.report.sections.page_tables import accuracy_entry
from latbench.report.sections.same_network import found_for
from latbench.results import SearchResult
from latbench.text import NOT_MEASURED, known, shorten, signed
from latbench.timing.metric import Metric


def worth_table(searches: Sequence[SearchResult], on: Sequence[str], metric: Metric) -> Table:
    """Makes the table of every search beside its measured costs on the backends ``on``."""

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
    found = beside_own(s, backend, searches)
    if found is None:
        return ""
    return f"{signed(found.change)} against its own{', within noise' * found.within_noise}"
