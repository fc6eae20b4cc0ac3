"""Charts inside a page: their specifications and data as JSON, and the script that draws them.

Charts are compiled from Vega-Lite to Vega here, so that the page needs Vega alone and not
Vega-Lite's compiler: 0.59 MB of script instead of 0.90 (vl-convert 1.9.0, 2026-11-29). Vega's
expressions are interpreted on the page, not turned into functions, so that its policy need not
allow ``eval``. Columns of data and texts stand on the page once, however many charts show them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from latbench.report.theme import LIGHT, LOCALE, VARIABLES, config

if TYPE_CHECKING:
    import altair as alt

# Where vl-convert 1.9 keeps Vega and the interpreter that belongs to it.
_SNIPPET = """
import { View, formatLocale, parse } from "https://cdn.jsdelivr.net/npm/vega@6.2.0/+esm.js"
import { expressionInterpreter } from "https://cdn.jsdelivr.net/npm/vega-interpreter@2.0.0/+esm.js"
window.latbench = { View, formatLocale, parse, expressionInterpreter };
"""
_VARIABLE_OF = {LIGHT[name]: variable for name, variable in VARIABLES.items()}


@cache
def library() -> str:
    """Returns Vega and its interpreter as one script, safe inside a ``<script>`` element."""
    import vl_convert

    bundled: str = vl_convert.javascript_bundle(_SNIPPET)
    # Such text can only stand in a literal, of a text or a regular expression; as what it is by its
    # number, it means the same there.
    bundled = re.sub(r"<(?=/script|script|!--)", r"\\x3c", bundled)
    return f"(() => {{{bundled}}})();"


class EmbeddedCharts:
    """The charts of one page, which are written into it as JSON."""

    def __init__(self) -> None:
        self._specifications: list[Any] = []
        self._tables: dict[str, dict[str, Any]] = {}
        self._texts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._specifications)

    def add(self, chart: alt.TopLevelMixin) -> int:
        """Takes in a chart; returns its number on the page."""
        import vl_convert

        specification: dict[str, Any] = chart.to_dict(validate=False)
        for name, rows in specification.pop("datasets", {}).items():
            self._tables.setdefault(name, self._columns(rows))
        specification["config"] = {
            **config(VARIABLES),
            "autosize": {"type": "fit-x", "contains": "padding"},
        }
        compiled = vl_convert.vegalite_to_vega(specification)
        # These are the same on all charts, and the page's script puts them back.
        for key in ("$schema", "config"):
            compiled.pop(key, None)
        self._specifications.append(_with_variables(compiled))
        return len(self._specifications) - 1

    def _columns(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A table by columns; texts as their numbers in the page's list of them."""
        columns: dict[str, Any] = {}
        for field in rows[0] if rows else ():
            values = [row.get(field) for row in rows]
            texts = [v for v in values if isinstance(v, str)]
            if len(texts) == len(values):
                numbers = [self._texts.setdefault(t, len(self._texts)) for t in texts]
                columns[field] = {"texts": numbers}
            else:
                columns[field] = values
        return columns

    def as_json(self) -> dict[str, Any]:
        """Returns what the page's script reads."""
        return {
            "charts": self._specifications,
            "tables": self._tables,
            "texts": list(self._texts),
            "config": _config(),
            "locale": LOCALE,
        }


@cache
def _config() -> dict[str, Any]:
    """Returns Vega's part of the configuration, compiled from an empty chart."""
    import vl_convert

    empty = {"data": {"values": [{}]}, "mark": "point", "config": config(VARIABLES)}
    found: dict[str, Any] = vl_convert.vegalite_to_vega(empty)["config"]
    return found


def _with_variables(value: Any) -> Any:
    """A specification with the CSS variables in the place of the light colours."""
    if isinstance(value, str):
        return _VARIABLE_OF.get(value, value)
    if isinstance(value, Mapping):
        return {key: _with_variables(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_variables(inner) for inner in value]
    return value
