"""Tables that never break a word, at any width of the terminal.

A table that is too wide is laid out in the first of these ways that fits:

1. as it is: headings and long texts wrap between words;
2. what all rows share stands in one line above it;
3. unbreakable texts (architectures) are numbers, and stand in full below, to be copied;
4. both;
5. a single row stands upright, a value a line; several become two tables or more, one below the
   other, each with as many of the first columns as tell the rows apart (or the rows' numbers).

Where nothing is shown to a terminal (a file, a pipe) and COLUMNS does not say how wide it is, a row
is one line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from latbench.numerals import ABSENT

WHOLE = 26  # a cell of up to so many characters stays on one line: figures with an interval
PROSE = 16  # a column of longer texts is not made narrower than this
UNLIMITED = 10_000
_FRAME, _BESIDE = 1, 3  # characters: of a table, and of each column beside its text


class Styled(str):
    """A cell that a terminal shows in one of rich's styles; any other string is shown as it is.

    No cell is read as rich's markup: notations, names of devices and options have brackets.
    """

    style: str

    def __new__(cls, text: str, style: str) -> Styled:
        """``text`` in ``style``."""
        made = super().__new__(cls, text)
        made.style = style
        return made


@dataclass(frozen=True)
class Column:
    """A heading and the cells below it, plain texts."""

    heading: str
    cells: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether several rows share one cell."""
        return len(self.cells) > 1 and len(set(self.cells)) == 1

    @property
    def natural(self) -> int:
        """The width at which nothing wraps."""
        return max(cell_len(self.heading), *map(_length, self.cells), 1)

    @property
    def least(self) -> int:
        """The width below which a short cell or a word would break."""
        heading = _longest_word(self.heading)
        longest = max(map(_length, self.cells), default=0)
        if longest <= WHOLE:
            return max(heading, longest, 1)
        return max(heading, PROSE, *map(_longest_word, self.cells))


def _text(cell: str) -> Text:
    return Text(cell, style=cell.style if isinstance(cell, Styled) else "")


def _length(cell: str) -> int:
    return max((cell_len(line) for line in cell.split("\n")), default=0)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def width_of(console: Console) -> int:
    """Characters a line; a file or a pipe has no limit unless COLUMNS names one."""
    limited = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return console.width if limited else UNLIMITED


def print_table(console: Console, title: str, columns: Sequence[Column]) -> None:
    """Prints columns of equally many cells within the console's width, as described above."""
    width = width_of(console)
    free = width == UNLIMITED
    if title:
        console.print(Text(title, style="table.title"), soft_wrap=free)
    if not columns:
        return
    found = _layout(columns, width)
    if found.shared:
        said = "; ".join(f"{c.heading}: {c.cells[0].strip() or ABSENT}" for c in found.shared)
        console.print(Text(f"in every row: {said}"), soft_wrap=free)
    for table in found.tables:
        _print(console, table, width, headed=not found.upright)
    digits = len(str(len(found.texts)))
    for number, text in enumerate(found.texts, 1):
        # Not wrapped here: the terminal does that, and what is copied from it is one line.
        console.print(Text(f"{number:>{digits}}  {text}"), soft_wrap=True)


@dataclass(frozen=True)
class _Layout:
    """Columns said in one line above, tables, and the texts below that numbers stand for."""

    shared: Sequence[Column]
    tables: Sequence[Sequence[Column]]
    texts: Sequence[str] = ()
    upright: bool = False


def _layout(columns: Sequence[Column], width: int) -> _Layout:
    kept, shared = _folded(columns)
    for above, beside in (((), columns), (shared, kept)):
        if _needed(beside) <= width:
            return _Layout(above, [beside])
    for above, beside in (((), columns), (shared, kept)):
        numbered, texts = _numbered(beside)
        if _needed(numbered) <= width:
            return _Layout(above, [numbered], texts)
    if len(columns[0].cells) == 1:
        return _Layout((), [_upright(numbered)], texts, upright=True)
    return _Layout(shared, _split(numbered, width), texts)


def _folded(columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """The columns that stay, the first among them, and those that all rows share."""
    first, rest = columns[0], columns[1:]
    return [first, *(c for c in rest if not c.same)], [c for c in rest if c.same]


def _numbered(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """The columns with numbers in place of unbreakable cells, and these; equal ones have one."""
    texts: dict[str, str] = {}

    def short(cell: str) -> str:
        if _longest_word(cell) <= WHOLE:
            return cell
        number = texts.setdefault(cell, str(len(texts) + 1))
        return f"see {number}" if " " in cell else number

    return [Column(c.heading, tuple(map(short, c.cells))) for c in columns], list(texts)


def _upright(columns: Sequence[Column]) -> list[Column]:
    """A single row as two columns: headings and values."""
    values = tuple(c.cells[0] for c in columns)
    return [Column("", tuple(c.heading for c in columns)), Column("", values)]


def _split(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Tables that fit, each with the columns that tell the rows apart and at least one more."""
    key, rest = _key(columns, width)
    tables = [[*key]]
    for column in rest:
        if len(tables[-1]) > len(key) and _needed([*tables[-1], column]) > width:
            tables.append([*key])
        tables[-1].append(column)
    return tables


def _key(columns: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """The fewest leading columns that no two rows share, and the others; the rows' numbers where
    these leave no room for each of the others."""
    rows = list(zip(*(c.cells for c in columns), strict=True))
    for k in range(1, len(columns)):
        if len({row[:k] for row in rows}) == len(rows):
            key, rest = list(columns[:k]), list(columns[k:])
            if all(_needed([*key, c]) <= width for c in rest):
                return key, rest
            break
    return [Column("row", tuple(str(i + 1) for i in range(len(rows))))], list(columns)


def _needed(columns: Sequence[Column]) -> int:
    """The least width of a table."""
    return _FRAME + sum(_BESIDE + c.least for c in columns)


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Of the columns in a table of at most ``width``: what is free goes to the neediest."""
    widths = [c.least for c in columns]
    for _ in range(width - _needed(columns)):
        wanting = [c.natural - w for c, w in zip(columns, widths, strict=True)]
        if max(wanting) == 0:
            break
        widths[wanting.index(max(wanting))] += 1
    return widths


def _print(console: Console, columns: Sequence[Column], width: int, headed: bool) -> None:
    widths = _widths(columns, width)
    table = Table(show_header=headed)
    for column, least in zip(columns, widths, strict=True):
        table.add_column(_text(column.heading), width=least, overflow="fold")
    for row in zip(*(c.cells for c in columns), strict=True):
        table.add_row(*map(_text, row))
    total = _FRAME + sum(_BESIDE + w for w in widths)
    if total > console.width:
        console = Console(file=console.file, width=total)
    console.print(table)
