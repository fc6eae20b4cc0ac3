"""What commands share: the console, option texts, and how errors reach the user."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from latbench.cli import completing
from latbench.cli.tables import Column, print_table
from latbench.errors import LatbenchError, UsageError, quoted
from latbench.metric import LATENCY, METRICS

# A string is printed as it is: notations, devices, options and paths come from others. What they
# have in brackets is no markup, between colons no emoji. What is to have a style is a Text.
console = Console(markup=False, emoji=False, highlight=False)
messages = Console(stderr=True, markup=False, emoji=False, highlight=False)

# Conditions of the machine, not bugs of ours: said in one sentence.
_OS_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip

SpaceOption = Annotated[
    str,
    typer.Option(
        "--space",
        help="Search space, e.g. 'darts(channels=16, cells=8)'.",
        autocompletion=completing.spaces,
    ),
]
StoreOption = Annotated[Path, typer.Option("--store", help="Measurement store (SQLite file).")]
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        help="Backend name; see `latbench backends`.",
        autocompletion=completing.backends,
    ),
]
BackendChoice = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="Backend, where the store holds several.",
        autocompletion=completing.backends,
    ),
]
SetChoice = Annotated[int | None, typer.Option("--set", help="Measurement set by number.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the sample.")]
MetricOption = Annotated[
    str,
    typer.Option(
        "--metric",
        help=f"What is predicted: {', '.join(METRICS)}.",
        autocompletion=completing.metrics,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def explain(error: BaseException) -> str | None:
    """The sentence for an error that the user can mend; None for a bug."""
    if isinstance(error, LatbenchError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _OS_ERRORS:
        where = f" {error.filename}" if error.filename else ""
        return f"cannot use{where}: {os.strerror(error.errno or 0).lower()}"
    return None


def headed(word: str, style: str, sentence: str) -> Text:
    """A sentence after a word in one of rich's styles."""
    return Text.assemble((word, style), " ", sentence)


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Turns Ctrl-C into a sentence about what was kept and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        messages.print(headed("stopped:", "yellow", kept))
        raise typer.Exit(130) from None


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def show(
    rows: Sequence[dict[str, Any]],
    as_json: bool,
    title: str = "",
    columns: Mapping[str, Callable[..., str]] | None = None,
) -> None:
    """Rows as a table, or as JSON. ``columns`` gives their order and how each is written.

    In a table an architecture with a published name goes by it; JSON has the text.
    """
    if as_json:
        print_json(list(rows))
        return
    columns = columns or dict.fromkeys(rows[0] if rows else (), str)
    print_table(console, title, [_column(name, write, rows) for name, write in columns.items()])


def _column(name: str, write: Callable[..., str], rows: Sequence[dict[str, Any]]) -> Column:
    heading = name if " " in name else _from_key(name)
    cells = tuple(write(row[name]) for row in rows)
    if name == "architecture":
        from latbench.spaces import known_name

        cells = tuple(map(known_name, cells))
    return Column(heading, cells)


def _from_key(key: str) -> str:
    """A JSON key as a heading. Keys name their unit (latency_s); in a table each value does.

    A heading with a space in it is none: it may hold names, whose underscores are their own.
    """
    return re.sub("_(s|bytes|j)(_low|_high)?$", r"\2", key).replace("_", " ")


def parse_options(items: Sequence[str]) -> dict[str, Any]:
    """``key=value`` texts as a dictionary; numbers, true and false become such."""
    options: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"{item!r} is not an option; expected key=value")
        try:
            # Python's spelling of the two is as clear as JSON's.
            options[key] = json.loads({"True": "true", "False": "false"}.get(value, value))
        except json.JSONDecodeError:
            options[key] = value
    return options


def parse_level(text: str) -> float:
    """An interval's probability as a fraction: ``0.9``, ``90%`` or ``90``.

    Raises UsageError for anything that is not above 0 and below 100 %.
    """
    bare = text.strip().removesuffix("%").rstrip()
    try:
        value = float(bare)
    except ValueError:
        value = -1.0
    if value > 1 or text.rstrip().endswith("%"):
        value /= 100
    if not 0 < value < 1:
        raise UsageError(
            f"an interval must cover more than 0 and less than 100 %, as 0.9 or 90%, got "
            f"{quoted(text)}"
        )
    return value


def milliseconds(value: float | None) -> str:
    """Seconds as milliseconds; a dash for None."""
    return LATENCY.show(value)
