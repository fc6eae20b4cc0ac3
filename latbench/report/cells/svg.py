"""SVG elements as text that is escaped when an element is made, so that what comes from data can
never become an element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

FONT_SIZE = 11


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Writes an SVG element; ``class_`` gives class, underscores give hyphens, None is left out.

    >>> str(element("text", "a < b", class_="tick", text_anchor="end"))
    '<text class="tick" text-anchor="end">a &lt; b</text>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def group(children: Iterable[str], **attributes: object) -> Markup:
    """Puts a ``<g>`` around elements."""
    return element("g", *children, **attributes)


@dataclass(frozen=True)
class SvgDrawing:
    """A drawing: its title, what it shows in words, its elements, and their size in pixels."""

    title: str
    description: str
    elements: tuple[Markup, ...]
    width: float
    height: float

    def svg(self, **attributes: object) -> Markup:
        """Returns the drawing as an ``<svg>``, with a name and a description for screen readers."""
        return element(
            "svg", element("desc", self.description), *self.elements,
            viewBox=f"0 0 {self.width:g} {self.height:g}", role="img", aria_label=self.title,
            font_size=FONT_SIZE, **attributes,
        )  # fmt: skip


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
