"""SVG elements as text that is escaped when an element is made, so that what comes from data can
never become an element."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


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


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
