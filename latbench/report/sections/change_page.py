"""The page that sets two sides next to each other and says what changed beyond the noise."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from latbench.comparison.significance import Comparison
from latbench.comparison.variance import Change
from latbench.report.charts.change_charts import (
    change_against_latency,
    change_histogram,
    distributions,
    rows_to_draw,
)
from latbench.report.contents import Contents, Entry, Figure, Part, Section, Table
from latbench.report.page import compose
from latbench.report.sample import NAMED_ROWS, POINTS_A_PLOT
from latbench.report.sections.change_sentences import (
    RULE,
    conditions,
    differing,
    order,
    sentences,
    verdict,
    when,
)
from latbench.report.sections.page_tables import floor_text
from latbench.text import ABSENT, shorten, signed
from latbench.timing.metric import LATENCY

ROWS_LISTED = 500
UNIT = LATENCY.shown_unit


def render_changes(
    comparisons: Sequence[Comparison], title: str, remarks: Sequence[str] = ()
) -> str:
    """Makes the page of one comparison or more (one a backend), as text.

    ``remarks`` end its summary.
    """
    several = len(comparisons) > 1
    found = [_section(i, c, len(comparisons)) for i, c in enumerate(comparisons)]
    headline = [s for c in comparisons for s in (sentences(c)[:2] if several else sentences(c))]
    return compose(
        Contents(
            title=title,
            space=str(comparisons[0].a.space),
            created=time.strftime("%Y-%m-%d %H:%M"),
            headline=[*headline, *remarks],
            sections=found,
            notes=RULE,
        )
    )


def _section(i: int, c: Comparison, of: int) -> Section:
    parts = [Part("The change as a whole", _explained(c, of), table=whole_table(c))]
    if c.paired:
        parts += _paired(c, of)
    else:
        parts.append(Part("Distributions", (), (Figure(distributions(c)),)))
        if c.shared:
            parts.append(Part("Architectures", table=architectures_table(c, c.shared)))
    parts.append(Part("The two sides", table=sides_table(c)))
    changed = differing(c)
    nothing = () if changed else ("Both sides have the same conditions.",)
    parts.append(
        Part("What differs in conditions", nothing, table=differing_table(c) if changed else None)
    )
    parts.append(Part("All conditions", table=all_conditions_table(c), folded=True))
    return Section(f"changes-{i}", f"Changes on {c.a.set.backend}", tuple(parts))


def _explained(c: Comparison, of: int) -> tuple[str, ...]:
    """The sentences that the summary has no room for."""
    return tuple(sentences(c)[2:]) if of > 1 else ()


def _paired(c: Comparison, of: int) -> list[Part]:
    limit = min(POINTS_A_PLOT, NAMED_ROWS // of)
    drawn = rows_to_draw(c, limit)
    remarks = ["Point at a dot to see its architecture, or move the focus to the plot and use the "
               "arrow keys."]  # fmt: skip
    if len(drawn) < len(c.ranks):
        remarks.append(
            f"The plot shows {len(drawn):,} of {len(c.ranks):,} architectures: those beyond the "
            "noise first, others picked at random. Figures in words and tables use every one."
        )
    figures = (
        Figure(change_against_latency(c, limit), "Over latency"),
        Figure(change_histogram(c), "Distribution"),
    )
    table = architectures_table(c, max(20, ROWS_LISTED // of))
    return [
        Part("Change of every shared architecture", tuple(remarks), figures, layout="pairs"),
        Part("Architectures", table=table),
    ]  # fmt: skip


def _change(title: str, change: Change | None) -> tuple[Entry, ...]:
    if change is None:
        return (Entry(title), Entry(ABSENT), Entry(ABSENT), Entry("different canaries"))
    verdict = "nothing can be said" if change.vague else "within noise"
    if change.clear:
        verdict = "slower" if change.value > 0 else "faster"
    return (
        Entry(title),
        Entry(signed(change.value), value=change.value),
        Entry(f"{signed(change.low)} to {signed(change.high)}"),
        Entry(verdict),
    )


def whole_table(c: Comparison) -> Table:
    """Makes the table of the backend's change in seconds and its two parts."""
    rows = (
        _change("Latency of the backend", c.whole),
        _change("The canary's latency", c.canary),
        _change("Latency relative to the canary", c.relative),
    )
    what = "mean over shared architectures" if c.paired else "difference of the samples' means"
    columns = ("What", "From A to B", "95 % interval", "Verdict")
    return Table(f"Change as a whole, {what}", columns, rows)


def architectures_table(c: Comparison, limit: int) -> Table:
    """Makes the table of the ``limit`` architectures that changed most.

    Those beyond the noise stand first.
    """
    listed = order(c)[:limit]
    rows = tuple(_architecture(c, i) for i in listed)
    what = "All" if len(listed) == len(c.ranks) else f"The {len(listed):,} most changed of"
    columns = (
        "Architecture", f"A ({UNIT})", f"B ({UNIT})", "Change", "Verdict", "Against the mean",
        "Verdict on that",
    )  # fmt: skip
    caption = f"{what} {len(c.ranks):,} shared architectures on {c.a.set.backend}"
    return Table(caption, columns, rows, filter=True)


def _architecture(c: Comparison, i: int) -> tuple[Entry, ...]:
    absolute, against = c.absolute, c.against
    change, apart = float(absolute.change[i]), float(against.change[i])
    ends = (absolute.low[i], absolute.high[i])
    interval = f"{signed(ends[0])} to {signed(ends[1])}" if all(map(math.isfinite, ends)) else ""
    return (
        Entry(shorten(c.text(i), 1000), code=True),
        Entry(LATENCY.figure(float(c.a_s[i])), value=float(c.a_s[i])),
        Entry(LATENCY.figure(float(c.b_s[i])), value=float(c.b_s[i])),
        Entry(signed(change), interval, change),
        Entry(verdict(change, bool(absolute.beyond[i]), c.judged)),
        Entry(signed(apart), value=apart),
        Entry(verdict(apart, bool(against.beyond[i]), c.judged, against=True)),
    )


def sides_table(c: Comparison) -> Table:
    """Makes the table of what was measured on each side, when, and how well it repeats."""
    sides = (c.a, c.b)
    rows = [
        ("Store", [str(s.path) for s in sides]),
        ("Set", [str(s.set_id) for s in sides]),
        ("Measured", [when(s) for s in sides]),
        ("Architectures", [f"{len(s.ranks):,}" for s in sides]),
        ("Timed twice", [f"{len(s.pairs):,}" for s in sides]),
        ("Failed in the set", [f"{s.failed:,}" for s in sides]),
        ("Noise floor inside the campaign", [floor_text(s.noise_floor) for s in sides]),
        ("Noise floor between occasions", [floor_text(s.floors.between) for s in sides]),
        ("Canary", [LATENCY.show(s.anchor_s) for s in sides]),
    ]
    return _texts("What was measured on each side", rows)


def differing_table(c: Comparison) -> Table:
    """Makes the table of the conditions that differ."""
    rows = [(k, [v or ABSENT for v in pair]) for k, pair in differing(c).items()]
    return _texts("Conditions that differ", rows)


def all_conditions_table(c: Comparison) -> Table:
    """Makes the table of every condition of both sides."""
    a, b = conditions(c.a), conditions(c.b)
    rows = [(k, [side.get(k, ABSENT) for side in (a, b)]) for k in {**a, **b}]
    return _texts("All conditions of both sides", rows)


def _texts(caption: str, rows: Sequence[tuple[str, Sequence[str]]]) -> Table:
    entries = tuple(
        (Entry(shorten(name, 100)), *(Entry(shorten(text, 500)) for text in texts))
        for name, texts in rows
    )
    return Table(caption, ("Property", "A", "B"), entries, text_columns=3)
