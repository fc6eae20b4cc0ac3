"""Axes for hand-written SVG: elements, scales with round ticks, and the frame around a plot.

Everything is ``Markup``: text and attribute values are escaped when an element is made, so what
comes from data can never become an element. Colours are CSS variables (see ``page.css``), so that
one drawing serves light, dark and print. Pixel sizes are those of a phone: a plot is 360 wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from markupsafe import Markup, escape

from latbench.numerals import number

CHARACTER = 6.1  # width of an average character at the 11 px of tick labels


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An SVG element; ``class_`` gives class, underscores give hyphens, None is left out.

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
    """A ``<g>`` around elements."""
    return element("g", *children, **attributes)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def linear_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About ``n`` round numbers (1, 2, 2.5 or 5 times a power of ten) within ``[low, high]``."""
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Powers of ten within ``[low, high]``, with their 2 and 5 fold where there is room.

    Falls back to ``linear_ticks`` where the range holds fewer than two of them.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**d for d in decades for m in multiples]
        ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
        if len(ticks) <= n + 2:
            break
    else:
        ticks = ticks[:: math.ceil(len(ticks) / n)]
    return ticks if len(ticks) >= 2 else linear_ticks(low, high, n)


@dataclass(frozen=True)
class Scale:
    """Maps values ``low..high`` to pixels ``start..stop``, linearly or by logarithm."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        if self.log:
            share = math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self, n: int = 5) -> list[float]:
        """Round values to label."""
        return (log_ticks if self.log else linear_ticks)(self.low, self.high, n)


def span(values: Iterable[float], pad: float = 0.04, zero: bool = False) -> tuple[float, float]:
    """The range to draw of finite values, with a margin; never empty.

    ``zero`` lets a range of positive values begin at 0.
    """
    finite = [v for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if zero and low >= 0:
        return 0.0, high * (1 + pad) or 1.0
    if high - low <= 1e-9 * max(abs(high), abs(low)):
        margin = 0.05 * abs(high) or 0.5
        return low - margin, high + margin
    return low - pad * (high - low), high + pad * (high - low)


def log_span(values: Iterable[float], pad: float = 0.05) -> tuple[float, float]:
    """As ``span`` for a logarithmic axis; values that are not positive are left out."""
    low, high = span((math.log(v) for v in values if v > 0), pad)
    return math.exp(low), math.exp(high)


def tick_labels(ticks: Sequence[float], percent: bool = False) -> list[str]:
    """Labels with the same number of decimals where the ticks are evenly spaced."""
    shown = [100 * t if percent else t for t in ticks]
    step = min((b - a for a, b in pairwise(shown)), default=0)
    even = len(shown) > 2 and abs(shown[-1] - shown[0] - step * (len(shown) - 1)) < 1e-6 * step
    if even:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
            decimals += 1
        texts = [f"{v:,.{decimals}f}" for v in shown]
    else:
        texts = [number(v).rstrip("0").rstrip(".") if "." in number(v) else number(v)
                 for v in shown]  # fmt: skip
    return [f"{t} %" if percent else t for t in texts]


@dataclass(frozen=True)
class Axis:
    """What one direction of a plot shows: its range, its name with the unit, how it is written."""

    low: float
    high: float
    label: str
    log: bool = False
    percent: bool = False
    whole: bool = False  # counts: no tick between whole numbers

    def labelled(self, n: int) -> list[tuple[float, str]]:
        """Ticks and their texts."""
        ticks = Scale(self.low, self.high, 0, 1, self.log).ticks(n)
        if self.whole:
            ticks = [t for t in ticks if abs(t - round(t)) < 1e-9]
        return list(zip(ticks, tick_labels(ticks, self.percent), strict=True))


@dataclass(frozen=True)
class Frame:
    """The area of a plot and its two axes; ``draw`` puts marks into it."""

    x_axis: Axis
    y_axis: Axis
    width: int = 360
    height: int = 280
    show_y: bool = True

    @cached_property
    def left(self) -> float:
        """Room for the widest label of the y axis."""
        if not self.show_y:
            return 10
        return 12 + CHARACTER * max((len(t) for _, t in self.y_axis.labelled(5)), default=0)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge of the plotting area, pixels."""
        return self.left, (26 if self.show_y else 8), self.width - 14, self.height - 42

    @cached_property
    def x(self) -> Scale:
        """Horizontal scale."""
        left, _, right, _ = self.box
        return Scale(self.x_axis.low, self.x_axis.high, left, right, self.x_axis.log)

    @cached_property
    def y(self) -> Scale:
        """Vertical scale; larger values are higher."""
        _, top, _, bottom = self.box
        return Scale(self.y_axis.low, self.y_axis.high, bottom, top, self.y_axis.log)

    def x_labels(self) -> list[tuple[float, str]]:
        """As many labels as fit beside each other."""
        ticks: list[tuple[float, str]] = []
        for n in (5, 4, 3, 2):
            ticks = self.x_axis.labelled(n)
            if self._fit(ticks):
                break
        while not self._fit(ticks):  # long labels on a logarithmic axis
            ticks = ticks[::2]
        return ticks

    def _fit(self, ticks: Sequence[tuple[float, str]]) -> bool:
        """Whether labels leave room between each other; a single one does."""
        ends = [(self.x(v), CHARACTER * (len(t) + 1) / 2) for v, t in ticks]
        return all(a + half <= b - other for (a, half), (b, other) in pairwise(ends))

    def _axes(self) -> Iterable[Markup]:
        left, top, right, bottom = self.box
        for value, text in self.x_labels():
            x = self.x(value)
            # A label at the edge is moved in, so that it is not cut off.
            at = min(x, self.width - 2 - CHARACTER * len(text) / 2)
            yield element("path", class_="grid", d=f"M{x} {top}V{bottom}")
            yield element("text", text, class_="tick", x=at, y=bottom + 16, text_anchor="middle")
        if self.show_y:
            for value, text in self.y_axis.labelled(5):
                y = self.y(value)
                yield element("path", class_="grid", d=f"M{left} {y}H{right}")
                yield element("text", text, class_="tick", x=left - 6, y=y + 4, text_anchor="end")
            yield element("text", self.y_axis.label, class_="axis", x=2, y=13)
        yield element("path", class_="base", d=f"M{left} {bottom}H{right}")
        middle = (left + right) / 2
        yield element("text", self.x_axis.label, class_="axis", x=middle, y=self.height - 7,
                      text_anchor="middle")  # fmt: skip

    def draw(self, marks: Iterable[str], label: str, description: str = "", **data: str) -> Markup:
        """The finished ``<svg>``. ``marks`` are clipped to the plotting area.

        ``label`` is what a screen reader says, ``description`` what it adds; ``data`` become
        ``data-`` attributes.
        """
        left, top, right, bottom = self.box
        # A nested svg clips without an id, so ids stay unique however many plots a page has.
        width, height = right - left + 3, bottom - top + 3
        view = f"{left:g} {top - 3:g} {width:g} {height:g}"
        clipped = element("svg", *marks, x=left, y=top - 3, width=width, height=height,
                          viewBox=view)  # fmt: skip
        return drawing(self.width, self.height, [*self._axes(), clipped], label, description,
                       **{f"data_{k}": v for k, v in data.items()})  # fmt: skip


def drawing(
    width: float, height: float, children: Iterable[str], label: str, description: str = "",
    **attributes: object,
) -> Markup:  # fmt: skip
    """An ``<svg role="img">`` with its name and description for screen readers."""
    described = [element("desc", description)] if description else []
    return element("svg", *described, *children, viewBox=f"0 0 {width:g} {height:g}", role="img",
                   aria_label=label, **{"class_": "plot", **attributes})  # fmt: skip
