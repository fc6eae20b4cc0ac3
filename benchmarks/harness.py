"""What every benchmark shares: its options, its table, and its JSON file.

A benchmark is ``python benchmarks/NAME.py [--quick] [--json FILE]``. ``--quick`` takes the same
path on less work, in under a minute. The JSON is a header (command, machine, versions, date, noise
floor) and a list of ``{name, value, unit, target, met, n}``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from latbench.device import machine_profile

AT_MOST, AT_LEAST = "<=", ">="


@dataclass(frozen=True)
class Figure:
    """One measured figure. ``target`` is text such as ``<= 1.3``; None where there is none."""

    name: str
    value: float
    unit: str
    n: int
    target: str | None = None
    met: bool | None = None


def figure(
    name: str, value: float, unit: str, n: int, *, at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:  # fmt: skip
    """A figure held against its target, if it has one."""
    if at_most is not None:
        return Figure(name, value, unit, n, f"{AT_MOST} {at_most:g}", value <= at_most)
    if at_least is not None:
        return Figure(name, value, unit, n, f"{AT_LEAST} {at_least:g}", value >= at_least)
    return Figure(name, value, unit, n)


@dataclass(frozen=True)
class Outcome:
    """The figures of a benchmark and the noise floor (fraction) that they are to be read with."""

    figures: list[Figure]
    noise_floor: float | None = None


def main(
    title: str,
    benchmark: Callable[..., Outcome],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Runs ``benchmark(quick)`` and prints and saves what it found.

    With ``options``, which adds the benchmark's own to the parser, it is
    ``benchmark(arguments, quick)``.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="the same path in under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    if options is not None:
        options(parser)
    arguments = parser.parse_args()
    start = time.monotonic()
    own = () if options is None else (arguments,)
    outcome = benchmark(*own, arguments.quick)
    profile = machine_profile()
    header = {
        "title": title,
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "seconds": round(time.monotonic() - start, 1),
        "machine": {k: v for k, v in profile.items() if k != "versions"},
        "versions": profile["versions"],
        "noise_floor": outcome.noise_floor,
    }
    _show(header, outcome)
    if arguments.json:
        document = {"header": header, "figures": [asdict(f) for f in outcome.figures]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


def _show(header: dict[str, object], outcome: Outcome) -> None:
    table = Table("figure", "value", "unit", "n", "target", "met", title=str(header["title"]))
    for f in outcome.figures:
        met = "" if f.met is None else ("yes" if f.met else "NOT MET")
        table.add_row(f.name, f"{f.value:.4g}", f.unit, str(f.n), f.target or "", met)
    console = Console(width=120)
    console.print(table)
    floor = f"{100 * outcome.noise_floor:.2f} %" if outcome.noise_floor is not None else "–"
    console.print(f"{header['date']}, {header['machine']}, noise floor {floor}", highlight=False)
    console.print(f"{header['command']} ({header['seconds']} s)", highlight=False)
