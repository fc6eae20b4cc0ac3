"""What is drawn inside a plot: points, lines, bands, bars, rules and the legend.

Series differ by colour, by marker and by dash pattern, so that they can be told apart without
colour. A series' style is its position: its colour is ``s0``, ``s1``, ... in ``page.css``, its
marker ``m0``, ``m1``, ... there. Beyond as many series as colours these go together otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup

from latbench.report.svg import CHARACTER, Frame, element, group

STYLES = 7
# Each is drawn from its centre. "h0" is a dot: the stroke's round cap.
MARKERS = (
    "h0",
    "m-2.2-2.2h4.4v4.4h-4.4z",
    "m0-2.9l2.7 4.8h-5.4z",
    "m0-3l3 3-3 3-3-3z",
    "m0 2.9l2.7-4.8h-5.4z",
    "m-2.2-2.2l4.4 4.4m0-4.4l-4.4 4.4",
    "m-2.8 0h5.6m-2.8-2.8v5.6",
)
DASHES = (None, "7 3", "2 2.5", "9 3 2 3", "4 2", "12 3", "1 3")
CHUNK = 250  # points a path; overlapping translucent paths show where points are dense
POINT = tuple[float, float]


def style(series: int) -> str:
    """The CSS classes of a series: of its colour and of its marker."""
    return f"s{series % STYLES} m{_marker(series)}"


def _marker(series: int) -> int:
    """Which of ``MARKERS``: in every round of the colours, the next one along."""
    return (series + series // STYLES) % STYLES


def _dash(series: int) -> str | None:
    """As ``_marker``, but three along: a colour's second line is not nearly like its first."""
    return DASHES[(series + 3 * (series // STYLES)) % STYLES]


def _xy(frame: Frame, x: float, y: float) -> str:
    return f"{frame.x(x):g} {frame.y(y):g}"


def points(
    frame: Frame, at: Sequence[POINT], series: int = 0, rows: Sequence[int] | None = None
) -> Markup:
    """A cloud of markers. ``rows`` are the points' numbers in the page's list of architectures;
    with them, the page's script shows a point's name and values."""
    shape = MARKERS[_marker(series)]
    paths = []
    for start in range(0, len(at), CHUNK):
        part = at[start : start + CHUNK]
        named = None
        if rows is not None:
            named = ",".join(
                f"{row} {x:.4g} {y:.4g}"
                for row, (x, y) in zip(rows[start : start + CHUNK], part, strict=True)
            )
        d = "".join(f"M{_xy(frame, x, y)}{shape}" for x, y in part)
        paths.append(element("path", d=d, data_points=named))
    sparse = "" if len(at) > CHUNK else " few"
    return group(paths, class_=f"points {style(series)}{sparse}")


def line(frame: Frame, at: Iterable[POINT], series: int = 0, title: str = "") -> Markup:
    """A line through points with its marker at some of them; interrupted where y is not finite."""
    pieces: list[list[POINT]] = [[]]
    for x, y in at:
        if math.isfinite(x) and math.isfinite(y):
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    d = "".join("M" + "L".join(_xy(frame, x, y) for x, y in piece) for piece in pieces if piece)
    return _drawn_line(frame, d, [p for piece in pieces for p in piece], series, title)


def step(frame: Frame, at: Sequence[POINT], series: int = 0, title: str = "") -> Markup:
    """A line that holds each value until the next x: an empirical distribution. Not empty."""
    moves = [f"H{frame.x(x):g}V{frame.y(y):g}" for x, y in at[1:]]
    return _drawn_line(frame, f"M{_xy(frame, *at[0])}{''.join(moves)}", at, series, title)


def _drawn_line(frame: Frame, d: str, at: Sequence[POINT], series: int, title: str) -> Markup:
    every = max(1, len(at) // 5)
    dots = "".join(
        f"M{_xy(frame, x, y)}{MARKERS[_marker(series)]}" for x, y in at[every // 2 :: every]
    )
    children = [element("title", title)] if title else []
    children.append(element("path", class_="line", d=d, stroke_dasharray=_dash(series)))
    return group([*children, element("path", class_="dots", d=dots)], class_=style(series))


def bars(frame: Frame, edges: Sequence[float], heights: Sequence[float],
         titles: Sequence[str], series: int = 0) -> Markup:  # fmt: skip
    """A histogram: bar i stands between edges i and i + 1 and says ``titles[i]`` when touched."""
    drawn = []
    bottom = frame.box[3]
    for left, right, height, title in zip(edges, edges[1:], heights, titles, strict=False):
        if height > 0:
            x, y = frame.x(left), frame.y(height)
            width = max(0.6, frame.x(right) - x - 0.8)
            drawn.append(element("rect", element("title", title), x=x + 0.4, y=y, width=width,
                                 height=max(0.0, bottom - y)))  # fmt: skip
    return group(drawn, class_=f"bars {style(series)}")


def ratio_band(frame: Frame, share: float, name: str) -> Markup:
    """The area where y is within ``share`` of x, as CSS class ``name``."""
    low, high = frame.x_axis.low, frame.x_axis.high
    above = [_xy(frame, x, x * (1 + share)) for x in (low, high)]
    below = [_xy(frame, x, x * (1 - share)) for x in (high, low)]
    return element("path", class_=f"band {name}", d="M" + "L".join(above + below) + "Z")


def diagonal(frame: Frame) -> Markup:
    """The line where y equals x."""
    ends = (frame.x_axis.low, frame.x_axis.high)
    return element("path", class_="rule", d="M" + "L".join(_xy(frame, v, v) for v in ends))


def vertical(frame: Frame, x: float, text: str = "") -> Iterator[Markup]:
    """A dashed line at x with a label beside its top: at its left where there is room."""
    at, top = frame.x(x), frame.box[1]
    room = at - frame.box[0] > CHARACTER * (len(text) + 1)
    yield element("path", class_="rule", d=f"M{at} {top}V{frame.box[3]}", stroke_dasharray="4 3")
    if text:
        side, anchor = (-5, "end") if room else (5, None)
        yield element("text", text, class_="note", x=at + side, y=top + 10, text_anchor=anchor)


def levels(
    frame: Frame, at: Mapping[float, str], lines: Sequence[Sequence[POINT]],
    points: Sequence[POINT] = (),
) -> Iterator[Markup]:  # fmt: skip
    """Dashed lines at some y with their labels, to be drawn after ``lines`` and ``points``.

    A label is where it covers the fewest points; else at the end that the lines are further away
    from, and above its own line where there is room. It is left out where it would lie on another
    label.
    """
    cloud = [(frame.x(x), frame.y(y)) for x, y in points]

    def covered(x: float, label_y: float, text: str) -> int:
        """How many points a label at ``x`` (an end of the frame) and ``label_y`` lies on."""
        width = CHARACTER * len(text) + 8
        return sum(abs(px - x) < width and -14 < py - label_y < 6 for px, py in cloud)

    left, top, right, bottom = frame.box
    ends = [[frame.y(line[i][1]) for line in lines if line] for i in (0, -1)]
    last = math.inf
    for value in sorted(at):
        y = frame.y(value)
        yield element("path", class_="rule", d=f"M{left:g} {y}H{right:g}", stroke_dasharray="4 3")
        first = y - 5 if y - top > 16 else y + 13
        near = [min((abs(e - first) for e in end), default=0.0) for end in ends]
        sides = [(left + 4, None), (right - 4, "end")]
        if near[1] > near[0]:
            sides.reverse()
        heights = [h for h in (first, y + 13) if last - h > 13 and h < bottom]
        places = [(x, h, anchor) for h in heights for x, anchor in sides]
        if places:
            text = at[value]
            x, last, anchor = min(places, key=lambda p: covered(p[0], p[1], text))
            yield element("text", text, class_="note", x=x, y=last, text_anchor=anchor)


def whiskers(frame: Frame, at: Iterable[tuple[float, float, float]], series: int = 0) -> Markup:
    """A thin upright bar for each (x, low, high)."""
    d = "".join(f"M{_xy(frame, x, low)}V{frame.y(high):g}" for x, low, high in at)
    return group([element("path", class_="whisker", d=d)], class_=style(series))


def legend_mark(series: int, with_line: bool = False) -> Markup:
    """A small drawing of a series' marker, and its line, for a legend in HTML."""
    parts = []
    if with_line:
        parts.append(element("path", class_="line", d="M1 7H29",
                             stroke_dasharray=_dash(series)))  # fmt: skip
    parts.append(element("path", class_="dots", d=f"M15 7{MARKERS[_marker(series)]}"))
    return element("svg", group(parts, class_=style(series)), class_="mark", viewBox="0 0 30 14",
                   aria_hidden="true")  # fmt: skip


def legend(names: Sequence[str], with_line: bool = False) -> Markup:
    """An HTML list of series and their marks; empty for fewer than two."""
    if len(names) < 2:
        return Markup("")
    items = [element("li", legend_mark(i, with_line), name) for i, name in enumerate(names)]
    return element("ul", *items, class_="legend")
