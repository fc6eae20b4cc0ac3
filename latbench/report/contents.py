"""The values that a page holds: sections of parts, and in these charts, drawings and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True)
class Entry:
    """One field of a table: its text, a second line in small type, and the number that it is
    sorted by."""

    text: str
    small: str = ""
    value: float | None = None
    code: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption. Numeric columns are set flush right; ``filter`` offers a search
    of its rows, as every long table does."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    text_columns: int = 1
    filter: bool = False
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart, or a drawing, with a heading above it and a caption below; ``text`` is what a
    reader can copy."""

    chart: alt.TopLevelMixin | None = None
    heading: str = ""
    caption: str = ""
    text: str = ""
    drawing: Markup | None = None

    @property
    def description(self) -> str:
        """Returns what a screen reader says of the chart: its description, or else the heading."""
        said = getattr(self.chart, "description", None)
        return said if isinstance(said, str) else self.heading

    @property
    def ratio(self) -> str:
        """Returns the shape of the room that the page keeps for the chart, as CSS writes it."""
        width, height = (getattr(self.chart, side, None) for side in ("width", "height"))
        if isinstance(width, int | float) and isinstance(height, int | float):
            return f"{width}/{height + 60}"
        return "4/3"


@dataclass(frozen=True)
class Part:
    """A level-3 heading and what stands below it. ``layout`` is a CSS class for the figures."""

    heading: str
    remarks: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    layout: str = "wide"
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A level-2 heading, its anchor and its parts."""

    id: str
    heading: str
    parts: tuple[Part, ...]
    intro: str = ""


@dataclass(frozen=True)
class Contents:
    """The whole of what a page shows; ``headline`` is never empty."""

    title: str
    space: str
    created: str
    headline: Sequence[str]
    sections: Sequence[Section]
    machine: Table | None = None
    conditions: Table | None = None
    notes: Sequence[str] = ()

    @property
    def has_charts(self) -> bool:
        """Returns whether the page needs the library that draws charts."""
        return any(f.chart is not None for s in self.sections for p in s.parts for f in p.figures)
