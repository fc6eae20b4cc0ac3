"""Small HTML tables: what a notebook shows of a dataset, a store or a model.

Plain elements without styles of their own, so that they look like the notebook around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def _row(cells: Iterable[object], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A ``<table>``; every text is escaped.

    >>> table("a < b", ["n"], [[1]])
    '<table><caption>a &lt; b</caption><tr><th>n</th></tr><tr><td>1</td></tr></table>'
    """
    head = _row(columns, "th") if columns else ""
    body = "".join(_row(row, "td") for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{head}{body}</table>"


def facts(caption: str, values: Mapping[str, object]) -> str:
    """A table of names and values, one a row."""
    return table(caption, (), values.items())
