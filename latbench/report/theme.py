"""The look of charts, drawings of cells and the page: their colours, and what tells series apart.

Series differ by colour, by marker and by dash pattern, so that they can be told apart without
colour. A series' look is its position among the names of its chart; beyond as many series as
colours, colours, markers and dashes go together otherwise.

Charts are made in the light colours. On the page each of these becomes the CSS variable of its
name, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# c0 to c6: Okabe and Ito (2008), told apart by colour-blind readers, the strongest contrast first.
LIGHT = {
    "page": "#ffffff", "panel": "#f7f7f5", "ink": "#1c1c1a", "soft": "#5b5b57",
    "faint": "#deded9", "grid": "#ecece8", "edge": "#d1d1ce", "link": "#00568a",
    "c0": "#0072b2", "c1": "#d55e00", "c2": "#009e73", "c3": "#b4679a", "c4": "#c98500",
    "c5": "#2f9ad6", "c6": "#3a3a38",
}  # fmt: skip
DARK = {
    "page": "#161719", "panel": "#1e2023", "ink": "#e8e8e4", "soft": "#a9aaa6",
    "faint": "#3a3c40", "grid": "#2a2c30", "edge": "#505154", "link": "#7cc4f2",
    "c0": "#4ba3dd", "c1": "#f0803c", "c2": "#2fc698", "c3": "#d78fb9", "c4": "#e6b03c",
    "c5": "#7fd0ff", "c6": "#d0d0cc",
}  # fmt: skip
VARIABLES = {name: f"var(--{name})" for name in LIGHT}
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif'

COLOURS = tuple(LIGHT[f"c{i}"] for i in range(7))
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right",
)  # fmt: skip
DASHES: tuple[list[float], ...] = (
    [1, 0], [7, 3], [2, 2.5], [9, 3, 2, 3], [4, 2], [12, 3], [1, 3],
)  # fmt: skip
# How numbers are written: as d3-format says, with a space before the sign of per cent.
LOCALE = {
    "decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "percent": "\u00a0%",
}  # fmt: skip


def look(series: int) -> tuple[str, str, list[float]]:
    """Returns a series' colour, marker and dashes.

    Every round of the colours has the next marker along and dashes three along, so that a colour's
    second line is not nearly like its first.
    """
    n, turn = len(COLOURS), series // len(COLOURS)
    return COLOURS[series % n], SHAPES[(series + turn) % n], DASHES[(series + 3 * turn) % n]


def style_sheet() -> str:
    """Writes the colours as CSS variables, the dark ones for readers who prefer them."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in colours.items())
        for colours in (LIGHT, DARK)
    )
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def config(colours: Mapping[str, str]) -> dict[str, Any]:
    """Returns Vega-Lite's configuration of axes, legends and text in these colours."""
    text = {
        "labelColor": colours["soft"],
        "titleColor": colours["soft"],
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    }
    return {
        "font": FONT,
        "background": "transparent",
        "view": {"stroke": "transparent"},
        # What a chart says to a screen reader is its description, not each of its marks.
        "aria": True,
        "mark": {"aria": False},
        "axis": {
            **text,
            "aria": False,
            "gridColor": colours["grid"],
            "domainColor": colours["soft"],
            "ticks": False,
            "labelPadding": 6,
            "tickCount": 5,
            "labelOverlap": "greedy",
        },
        "axisY": {
            "domain": False,
            # Above the axis, so that it takes no width.
            "titleAngle": 0,
            "titleAlign": "left",
            "titleAnchor": "end",
            "titleY": -10,
            "titleX": 0,
        },
        "axisX": {"labelFlush": True},
        "legend": {
            **text,
            "aria": False,
            "labelColor": colours["ink"],
            "title": None,
            "orient": "bottom",
            "columns": 2,
            "labelLimit": 180,
            "symbolStrokeWidth": 0,
            "symbolOpacity": 1,
        },
        "text": {"fontSize": 11},
        "header": text,
    }
