"""The networks that were found for one backend, measured on the others."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.report.contents import Entry, Table
from latbench.report.sections.headline import measured_beside, middle
from latbench.report.sections.limit_sentences import inside_noise
from latbench.report.sections.page_tables import accuracy_entry
from latbench.report.sections.same_network import found_for
from latbench.results import SearchResult
from latbench.text import NOT_MEASURED, known, plural, short_percent, shorten, signed
from latbench.timing.metric import Metric
from latbench.timing.verdicts import Difference, difference


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
    """Says for each pair of backends what searching for the one itself is worth there.

    It is the median over goals of the measured cost of what was found for the other one, relative
    to its own.
    """
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
                f"{short_percent(abs(change))} {where} that of what was found for {own} itself "
                f"(median of {plural(len(pairs), 'goal')}){f', {doubt}' if doubt else ''}."
            )
    return sentences
