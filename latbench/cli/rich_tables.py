"""Rows as rich tables.

Where a terminal is too narrow, texts wrap between words, and long ones without a space
(architectures) are numbers in the table and stand below it in full, to be copied. Where even words
would break, every row stands upright, a value a line. Where nothing is shown to a
terminal (a file, a pipe) and COLUMNS does not say how wide it is, a row is one line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WHOLE = 26  # a text without a space of up to so many characters stays in the table
UNLIMITED = 10_000


class Styled(str):
    """A cell that a terminal shows in one of rich's styles; any other string is shown as it is.

    No cell is read as rich's markup: notations, names of devices and options have brackets.
    """

    style: str

    def __new__(cls, text: str, style: str) -> Styled:
        """Makes a cell of ``text`` in ``style``."""
        made = super().__new__(cls, text)
        made.style = style
        return made


@dataclass(frozen=True)
class Column:
    """A heading and the cells below it, plain texts."""

    heading: str
    cells: tuple[str, ...]


def width_of(console: Console) -> int:
    """Returns the characters a line; a file or a pipe has no limit unless COLUMNS names one."""
    limited = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return console.width if limited else UNLIMITED


def print_table(console: Console, title: str, columns: Sequence[Column]) -> None:
    """Prints columns of equally many cells within the console's width, as described above."""
    width = width_of(console)
    if title:
        console.print(Text(title, style="table.title"), soft_wrap=width == UNLIMITED)
    if not columns:
        return
    tables, texts = [_table(columns)], list[str]()
    wide = Console(file=console.file, width=UNLIMITED)
    natural = Measurement.get(wide, wide.options, tables[0]).maximum
    if natural > width:
        columns, texts = _numbered(columns)
        tables = [_table(columns)]
        if Measurement.get(wide, wide.options, tables[0]).minimum > width:
            tables = [_upright(columns, row) for row in range(len(columns[0].cells))]
    elif natural > console.width:  # of a pipe, which has no width
        console = Console(file=console.file, width=natural)
    console.print(*tables, sep="\n")
    for number, text in enumerate(texts, 1):
        # Not wrapped here: the terminal does that, and what is copied from it is one line.
        console.print(Text(f"{number:>{len(str(len(texts)))}}  {text}"), soft_wrap=True)


def _table(columns: Sequence[Column]) -> Table:
    table = Table()
    for column in columns:
        words = not any(" " in cell for cell in column.cells)  # names: others give way first
        table.add_column(_text(column.heading), overflow="fold", no_wrap=words)
    for row in zip(*(c.cells for c in columns), strict=True):
        table.add_row(*map(_text, row))
    return table


def _upright(columns: Sequence[Column], row: int) -> Table:
    """One row as two columns: headings and values."""
    table = Table(show_header=False)
    table.add_column(overflow="fold", style="bold")
    table.add_column(overflow="fold")
    for column in columns:
        table.add_row(_text(column.heading), _text(column.cells[row]))
    return table


def _text(cell: str) -> Text:
    return Text(cell, style=cell.style if isinstance(cell, Styled) else "")


def _numbered(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """Returns the columns with numbers in place of long texts without a space, and these texts.

    Equal texts have one number.
    """
    texts: dict[str, str] = {}

    def short(cell: str) -> str:
        if max(map(len, cell.split()), default=0) <= WHOLE:
            return cell
        number = texts.setdefault(cell, str(len(texts) + 1))
        return f"see {number}" if " " in cell else number

    return [Column(c.heading, tuple(map(short, c.cells))) for c in columns], list(texts)
