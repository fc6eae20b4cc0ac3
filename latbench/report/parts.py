"""What a part of the page is: a heading with remarks, drawings and a table."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from latbench.report.tables import Table


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; ``heading`` stands above it."""

    drawing: Markup
    heading: str = ""
    caption: str = ""
    text: str = ""


@dataclass(frozen=True)
class Part:
    """A level-3 heading and what stands below it. ``layout`` is a CSS class for the figures."""

    heading: str
    remarks: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    legend: str = ""
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
