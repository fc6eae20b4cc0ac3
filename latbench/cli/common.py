"""The parts that commands share: the console, option texts, and how errors reach the user."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from latbench.cli import completing
from latbench.cli.rich_tables import Column, print_table
from latbench.errors import LatbenchError, UsageError, quoted
from latbench.progress import messages
from latbench.timing.metric import LATENCY, METRICS

if TYPE_CHECKING:
    from latbench.spaces import AnySpace
    from latbench.store import Store

# A string is printed as it is: notations, devices, options and paths come from others. What they
# have in brackets is no markup, between colons no emoji. What is to have a style is a Text.
console = Console(markup=False, emoji=False, highlight=False)

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
StoreSpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="Search space, e.g. 'darts(channels=16, cells=8)'.  "
        "\\[default: the store's, or darts]",
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
BackendOptions = Annotated[
    list[str] | None, typer.Option("--option", help="Backend option key=value; repeatable.")
]
RetestOption = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="Timed twice, for the noise floor (0.1 or 10%); at least five networks unless 0.",
    ),
]
HalfWidthOption = Annotated[
    str,
    typer.Option(
        "--half-width",
        metavar="SHARE",
        help="Wanted precision of each measurement: the relative half-width of its 95 % interval "
        "(0.01 or 1%).",
    ),
]
RetryNoisyOption = Annotated[
    str | None,
    typer.Option(
        "--retry-noisy",
        metavar="SHARE",
        help="Measure rows again whose 95 % interval is wider than ± this (as 5%); the narrower "
        "one of the two stays.",
    ),
]
ParityOption = Annotated[
    bool,
    typer.Option(
        "--parity/--no-parity",
        help="Compare every network's output with torch's before it is timed.",
    ),
]
FoldsOption = Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")]
PredictorFolder = Annotated[Path, typer.Option("--out", help="Folder for the fitted predictor.")]
PredictorOption = Annotated[
    str | None,
    typer.Option(
        "--predictor",
        help="Which predictor; `latbench compare` says which is best.  \\[default: mlp]",
        autocompletion=completing.predictors,
    ),
]
PageOption = Annotated[
    Path | None, typer.Option("--out", help="Also write a page with the plots (HTML).")
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", help="Also draw the main plots into this file (.png or .svg)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def open_store(path: Path, space: str | None) -> Store:
    """Opens the store at ``path``, made where there is none: of the named space, or of ``darts``.

    Raises UsageError for a space that there is not, or that is not the store's.
    """
    from latbench.spaces import parse_space
    from latbench.store import Store

    named = space if space is not None or path.exists() else "darts"
    opened = Store(path, None if named is None else parse_space(named))
    say_doubt(opened.space)
    return opened


def say_doubt(space: AnySpace) -> None:
    """Prints what is doubtful about a space's settings, if anything is."""
    if space.config.doubt:
        messages.print(space.config.doubt, style="yellow", soft_wrap=True)


def explain(error: BaseException) -> str | None:
    """Returns the sentence for an error that the user can mend; None for a bug."""
    if isinstance(error, LatbenchError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _OS_ERRORS:
        where = f" {error.filename}" if error.filename else ""
        return f"cannot use{where}: {os.strerror(error.errno or 0).lower()}"
    return None


def headed(word: str, style: str, sentence: str) -> Text:
    """Puts a sentence after a word in one of rich's styles."""
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
    """Prints a value as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def show(
    rows: Sequence[dict[str, Any]],
    as_json: bool,
    title: str = "",
    columns: Mapping[str, Callable[..., str]] | None = None,
) -> None:
    """Prints rows as a table, or as JSON.

    In a table an architecture with a published name goes by it; JSON has the text.

    Args:
        rows: The rows, each with its values by their keys.
        as_json: Whether to print JSON, which has all values as they are.
        title: The table's title.
        columns: The keys that a table shows, in their order, and how each is written; without any,
            those of the first row as ``str`` writes them.
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
    """Returns a JSON key as a heading, without its unit (latency_s): in a table each value has it.

    A heading with a space in it is no key: it may hold names, whose underscores are their own.
    """
    return re.sub("_(s|bytes|j)(_low|_high)?$", r"\2", key).replace("_", " ")


def parse_options(items: Sequence[str]) -> dict[str, Any]:
    """Reads ``key=value`` texts into a dictionary; numbers, true and false become such.

    Raises UsageError for any other text.
    """
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
    """Returns an interval's probability as a fraction, given ``0.9``, ``90%`` or ``90``.

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
    """Writes seconds as milliseconds; a dash for None."""
    return LATENCY.show(value)
