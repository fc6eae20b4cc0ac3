"""Drawings of chains: a block a row, from the input down to the output.

A row has the block's name, a box with what was chosen for it, and a bar for its channels. The bar's
length goes with the square root of the channels: a chain has fifty times as many at its end as at
its beginning, and both are to be seen. A line parts the stages, each of which begins with its size
in pixels. A row is as wide as a telephone, and 22 of them are no longer than its screen is tall.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from latbench.report.cells.svg import SvgDrawing, element, group
from latbench.report.theme import VARIABLES
from latbench.spaces.drawing import ChainGraph, ChainStep
from latbench.text import count, plural, shorten

PITCH = 21  # from block to block
BREAK = 11  # more of it between stages
BOX = 17  # a box's height
LETTER = 6.8  # the width of a character: of digits in the widest of the usual fonts
LONGEST = 30  # characters of a name or of an operation; more are in the box's title
BAR, BAR_HEIGHT = 92, 7  # the longest bar
GAP = 9  # between columns
MARGIN = 6
# The colour of a block, by the side of its kernel.
KERNELS = {1: "c6", 3: "c0", 5: "c1", 7: "c3"}
_KERNEL = re.compile(r"(?<![a-z])k(?:ernel)?[=_ ]?(\d+)|(\d+)x\d", re.IGNORECASE)
_EXPANSION = re.compile(r"(?<![a-z])e(?:xpansion)?[=_ ]?(\d+)", re.IGNORECASE)
_NOTHING = re.compile(r"(skip|none|zero|identity)(?![a-z])", re.IGNORECASE)


def is_nothing(operation: str) -> bool:
    """Returns whether an operation passes on what it reads: ``"skip"`` and the like."""
    return _NOTHING.match(operation) is not None


def block_look(operation: str) -> tuple[str, float]:
    """Returns the theme's name for the colour of a block, and how much of it fills the box.

    The colour is that of the kernel's side: the number behind a ``k``, or one before an ``x``. The
    more a block expands its channels (the number behind an ``e``, in hundredths beyond 20), the
    fuller the box. What says no kernel is of one colour, and what does nothing has none.
    """
    if not operation or is_nothing(operation):
        return "soft", 0.06
    kernel = next(filter(None, itertools.chain(*_KERNEL.findall(operation))), "")
    expansion = _EXPANSION.search(operation)
    times = float(expansion[1]) if expansion else 3.0
    times = times / 100 if times > 20 else times  # some spaces count hundredths
    fill = 0.05 * min(times, 8)
    return KERNELS.get(int(kernel), "c4") if kernel else "c2", max(fill, 0.1)


def stages(graph: ChainGraph) -> list[tuple[ChainStep, ...]]:
    """Returns the chain's steps in runs of one size."""
    return [tuple(run) for _, run in itertools.groupby(graph.steps, lambda step: step.size)]


def describe_chain(graph: ChainGraph) -> str:
    """Describes the chain in words, for a screen reader."""
    said = []
    for run in stages(graph):
        blocks = [
            f"{' '.join(filter(None, (step.name, step.operation)))}, "
            f"{plural(step.channels, 'channel')}"
            for step in run
        ]
        said.append(f"At {plural(run[0].size, 'pixel')}: {'; '.join(blocks)}.")
    return " ".join(said)


def draw_chain(graph: ChainGraph, colours: Mapping[str, str] = VARIABLES) -> SvgDrawing:
    """Draws a chain in a theme's colours, its input at the top, its output at the bottom."""
    rows = list(_rows(graph))
    pen = _ChainPen(rows, colours)
    lines = group(pen.lines(), fill="none")
    labels = group(pen.labels(), fill=colours["soft"])
    boxes = group(pen.boxes(), fill=colours["ink"], text_anchor="middle")
    height = rows[-1].y + PITCH / 2 + MARGIN
    parts = (lines, labels, boxes)
    return SvgDrawing(graph.title, describe_chain(graph), parts, pen.width, height)


@dataclass(frozen=True)
class _Row:
    """A step, the middle of its row, whether it begins a stage, and whether it is an end of the
    chain rather than a block."""

    step: ChainStep
    y: float
    begins: bool
    is_end: bool

    @property
    def name(self) -> str:
        """What stands before the box: nothing where the box has the name."""
        return "" if self.is_end or not self.step.operation else self.step.name

    @property
    def said(self) -> str:
        """What stands in the box."""
        return self.step.operation if self.name else self.step.name

    @property
    def figure(self) -> str:
        """What stands behind the bar."""
        return count(self.step.channels) + (" channels" if self.is_end and self.begins else "")


def _rows(graph: ChainGraph) -> Iterator[_Row]:
    y, last = MARGIN - PITCH / 2, len(graph.steps) - 1
    numbers = itertools.count()
    for run in stages(graph):
        for step in run:
            number, begins = next(numbers), step is run[0]
            y += PITCH + (BREAK if begins and number else 0)
            yield _Row(step, y, begins, number in (0, last))


def _room(texts: Iterator[str]) -> float:
    return LETTER * min(LONGEST, max(map(len, texts), default=0))


class _ChainPen:
    def __init__(self, rows: list[_Row], colours: Mapping[str, str]) -> None:
        self.rows, self.colours = rows, colours
        names = _room(row.name for row in rows)
        self.names = MARGIN + _room(self.size(row) for row in rows) + (GAP + names if names else 0)
        self.box = self.names + GAP
        self.box_width = max(60.0, _room(row.said for row in rows) + 14)
        self.bars = self.box + self.box_width + GAP
        ends = (self.bar(row) + LETTER * len(row.figure) for row in rows)
        self.width = math.ceil(self.bars + max(ends) + 4 + MARGIN)

    @staticmethod
    def size(row: _Row) -> str:
        """The size in pixels, where a stage begins; a single pixel is no image any more."""
        return f"{row.step.size:,} px" if row.begins and row.step.size > 1 else ""

    def bar(self, row: _Row) -> float:
        """The length of a row's bar; the ends of the chain have none."""
        most = max((r.step.channels for r in self.rows if not r.is_end), default=1)
        return 0.0 if row.is_end else BAR * math.sqrt(row.step.channels / most)

    def lines(self) -> Iterator[Markup]:
        """What parts the stages, and what connects the boxes."""
        middle = self.box + self.box_width / 2
        for above, below in itertools.pairwise(self.rows):
            if below.begins:
                d = f"M{MARGIN} {(above.y + below.y) / 2:g}H{self.width - MARGIN}"
                yield element("path", d=d, stroke=self.colours["faint"])
            d = f"M{middle:g} {above.y + BOX / 2:g}V{below.y - BOX / 2:g}"
            yield element("path", d=d, stroke=self.colours["soft"], stroke_width=1.4)

    def labels(self) -> Iterator[Markup]:
        """Sizes, names, and bars with their figures."""
        for row in self.rows:
            y = row.y + 4
            if size := self.size(row):
                yield element("text", size, x=MARGIN, y=y)
            if row.name:
                yield element("text", shorten(row.name, LONGEST), x=self.names, y=y,
                              text_anchor="end")  # fmt: skip
            length = self.bar(row)
            if length:
                yield element("rect", x=self.bars, y=row.y - BAR_HEIGHT / 2, width=length,
                              height=BAR_HEIGHT, rx=1.5, fill=self.colours["soft"],
                              fill_opacity=0.45)  # fmt: skip
            x = self.bars + length + (4 if length else 0)
            yield element("text", row.figure, x=x, y=y)

    def boxes(self) -> Iterator[Markup]:
        """The blocks, and the ends of the chain."""
        for row in self.rows:
            colour, fill = ("soft", 0.0) if row.is_end else block_look(row.step.operation)
            whole = (element("title", row.said),) if len(row.said) > LONGEST else ()
            yield element("rect", *whole, x=self.box, y=row.y - BOX / 2, width=self.box_width,
                          height=BOX, rx=6 if row.is_end else 4, fill=self.colours[colour],
                          fill_opacity=fill, stroke=self.colours[colour],
                          stroke_dasharray="3 2.5" if is_nothing(row.step.operation) else None,
                          )  # fmt: skip
            text = shorten(row.said.replace("_", " "), LONGEST)
            yield element("text", text, x=self.box + self.box_width / 2, y=row.y + 4)
