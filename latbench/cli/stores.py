"""``latbench store``, ``stats``, ``export``, ``import``, ``merge`` and ``doctor``: stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, console, milliseconds, show
from latbench.progress import messages
from latbench.text import percent, plural, shorten
from latbench.timing.noise import MIN_PAIRS, MOST_DISTURBED, MOVED

if TYPE_CHECKING:
    from latbench.store import SetSummary

REASONS = 3  # for failures that are told; a runtime that fails has seldom more

StoreArgument = Annotated[Path, typer.Argument(help="Measurement store (SQLite file).")]


def changed_options(backend: str, options: dict[str, Any]) -> str:
    """Writes the options of a store's set that differ from the backend's defaults.

    All of them are written where its class is not to be had: it is not here, or a file may not
    import it.
    """
    import dataclasses

    from latbench.backends import backend_class
    from latbench.errors import BackendUnavailable, ParseError

    try:
        cls = backend_class(backend, "the store")
        defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    except (BackendUnavailable, ParseError):
        defaults = {}
    changed = {k: v for k, v in options.items() if k not in defaults or defaults[k] != v}
    return " ".join(f"{k}={v}" for k, v in changed.items()) or "defaults"


def show_sets(store: Path, as_json: bool) -> None:
    """Prints the measurement sets of a store."""
    import dataclasses

    from latbench.store import Store
    from latbench.timing.protocol import CURRENT

    with Store(store, need_space=False) as opened:
        sets = opened.sets()
        rows = [
            {
                "set": s.id,
                "backend": s.set.backend,
                "options": changed_options(s.set.backend, s.set.options),
                "device": s.set.device,
                "measured": s.ok,
                "networks": s.networks,
                "named": s.named,
                "failed": s.failed,
                "visits_rejected": s.rejected,
                "noise_floor": s.noise_floor,
                "floor_between": s.floor_between,
                "size_bias": [dataclasses.asdict(b) for b in s.size_bias],
                "disturbed": s.disturbed,
                "fallbacks": s.fallbacks,
                "tables": s.tables,
                "protocol": s.set.protocol.version,
                "canary_s": s.canary_s,
                "sampler": opened.space.sampler,
            }
            for s in sets
        ]
        title = f"{store}: {opened.space}"
    if not as_json:
        for row, found in zip(rows, sets, strict=True):
            row["visits_rejected"], row["noise_floor"] = _rejected(found), _floor(found)
            row["floor_between"] = _between(found)
            row["protocol"] = "foreign" if found.foreign else found.set.protocol.version
            row["fallbacks"] = "; ".join(f"{what} ({n})" for what, n in found.fallbacks.items())
    plain = ["set", "backend", "options", "device", "measured", "failed"]
    versions = {s.set.protocol.version for s in sets}
    if 1 in versions:  # today's leaves no visit out
        plain.append("visits_rejected")
    if versions - {CURRENT}:
        plain.append("protocol")
    if any(s.named for s in sets):  # such as what a search found
        plain.insert(5, "named")
    if any(s.networks != s.ok for s in sets):  # of a space that writes a network in several ways
        plain.insert(5, "networks")
    plain += [name for name in ("tables", "fallbacks") if any(row[name] for row in rows)]
    writers: dict[str, Callable[..., str]] = dict.fromkeys(plain, str)
    writers |= {"disturbed": percent, "noise_floor": str, "floor_between": str}
    writers |= {"canary_s": milliseconds}
    show(rows, as_json, title, writers)
    say_concerns(sets)


def _rejected(found: SetSummary) -> str:
    """How many visits were disturbed and left out, beside how many there are."""
    if not found.rejected:
        return "0"
    mean, most = found.rejected / found.rows, found.set.protocol.max_visits
    return f"{found.rejected:,} ({mean:.1f} a row of at most {most})"


def _floor(found: SetSummary) -> str:
    """The noise floor, and of how many pairs where it is few."""
    if found.foreign:
        return "not measured"
    few = f" ({plural(found.retested, 'pair')})" if 0 < found.retested < MIN_PAIRS else ""
    return percent(found.noise_floor) + few


def _between(found: SetSummary) -> str:
    """The floor between occasions, and of how many pairs where it is few."""
    if found.floor_between is None:
        return "not measured"
    few = f" ({plural(found.rechecked, 'pair')})" if found.rechecked < MIN_PAIRS else ""
    return percent(found.floor_between) + few


def _failures(found: SetSummary) -> str:
    """Why rows failed, the most frequent reasons first."""
    total, reasons = sum(found.errors.values()), list(found.errors.items())
    told = "; ".join(f"{count} x {shorten(why, 300)}" for why, count in reasons[:REASONS])
    more = f"; {plural(len(reasons) - REASONS, 'other reason')}" if len(reasons) > REASONS else ""
    return (
        f"{plural(total, 'row')} failed ({told}{more}); `latbench measure --retry-failed` measures "
        "failed rows again"
    )


def say_concerns(sets: Sequence[SetSummary]) -> None:
    """Prints what to know of each set before its latencies are trusted."""
    for found in sets:
        said = [_failures(found)] if found.errors else []
        said += [found.concern] if found.concern else []
        said += [
            f"clocks were held down in {rows} rows ({reason}); give the device cooling or power, "
            "or fix its clocks, and measure again"
            for reason, rows in found.throttled.items()
        ]
        said += [
            f"{found.set.backend} has no kernel of its own for some layers of "
            f"{plural(rows, 'row')} ({what}), whose latency is not that of this runtime alone"
            for what, rows in found.fallbacks.items()
        ]
        if found.disturbed and found.disturbed > MOST_DISTURBED:
            said.append(
                f"in the blocks of {percent(found.disturbed)} of the rows the canary was slower "
                f"than usual by more than {percent(MOVED)}: something else used the device, or its "
                "speed changed; leave it alone and measure again into another store"
            )
        for sentence in said:
            messages.print(
                f"set {found.id}: {sentence}",
                style="yellow", soft_wrap=True,
            )  # fmt: skip


def say_bias(found: SetSummary) -> None:
    """Prints by how much architectures of each size differ between occasions."""
    from latbench.timing.metric import LATENCY

    for bias in found.size_bias:
        low, high = LATENCY.show(bias.low), LATENCY.show(bias.high)
        console.print(
            f"{low} to {high}: {100 * bias.bias:+.2f} ± {100 * bias.half_width:.2f} % at later "
            f"occasions ({plural(bias.pairs, 'pair')})"
        )


def store(store: StoreArgument, as_json: JsonOption = False) -> None:
    """List the measurement sets of a store."""
    show_sets(store, as_json)


def stats(
    store: StoreArgument,
    estimator: Annotated[
        str,
        typer.Option(
            help="Of runs and visits: minimum, lower-quartile, median, trimmed, mean; of all runs: "
            "p50, p90, p99."
        ),
    ] = "minimum",
    as_json: JsonOption = False,
) -> None:
    """Compute noise floor and mean latency again from the raw timings, with any estimator.

    A retest bias of more than two or three standard errors says that the order of timing matters.
    """
    import dataclasses

    from latbench.store import Store
    from latbench.store.statistics import statistics

    with Store(store, need_space=False) as opened:
        rows = [dataclasses.asdict(s) for s in statistics(opened, estimator)]
    plain = ("id", "backend", "estimator", "rows", "retested")
    writers: dict[str, Callable[..., str]] = dict.fromkeys(plain, str)
    writers |= {
        "noise_floor": percent, "retest_bias": _with_error, "anchor_s": milliseconds,
        "mean_latency_s": milliseconds,
    }  # fmt: skip
    show(rows, as_json, str(store), writers)


def _with_error(bias: tuple[float, float] | None) -> str:
    return "–" if bias is None else f"{100 * bias[0]:+.2f} ± {100 * bias[1]:.2f} %"


def export(
    store: StoreArgument,
    file: Annotated[Path, typer.Argument(help="Parquet file to make.")],
) -> None:
    """Write a store to a Parquet file."""
    from latbench.store import Store
    from latbench.store.parquet import export_parquet

    with Store(store) as opened:
        console.print(f"{export_parquet(opened, file):,} rows in {file}")


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="Parquet file of `latbench export`, or a table of somebody else's latencies "
            "(.npz or .csv; .pickle of the data set LatBench)."
        ),
    ],
    store: Annotated[Path, typer.Argument(help="Measurement store to make.")],
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            help="Of a table: the space that its architectures are of.",
            autocompletion=completing.spaces,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Of a table: who measured it.  \\[default: the file's name]"),
    ] = None,
) -> None:
    """Make a store from a Parquet file of `latbench export`, or from a foreign table."""
    from latbench.errors import UsageError
    from latbench.store.foreign import TABLES, import_table
    from latbench.store.parquet import import_parquet

    if file.suffix.lower() not in TABLES:
        if space is not None or source is not None:
            raise UsageError(
                f"{file} is read as a Parquet file, which states its space and source itself; "
                f"--space and --source are of tables ({', '.join(TABLES)})"
            )
        console.print(f"{import_parquet(file, store):,} rows in {store}")
        return
    if space is None:
        raise UsageError(
            f"the table {file} does not say which space its architectures are of; add --space, "
            "e.g. --space fbnet"
        )
    from latbench.spaces import parse_space

    rows = import_table(file, store, parse_space(space), source)
    console.print(f"{rows:,} rows in {store}")


def merge(
    out: Annotated[Path, typer.Argument(help="Measurement store to make.")],
    stores: Annotated[list[Path], typer.Argument(help="Measurement stores to put together.")],
    keep: Annotated[
        str, typer.Option(help="Of rows that differ: 'neither' (an error) or 'first'.")
    ] = "neither",
) -> None:
    """Put the stores of several machines together. Equal rows are taken once."""
    from latbench.errors import UsageError
    from latbench.store.merge import Keep
    from latbench.store.merge import merge as merge_stores

    if keep not in ("neither", "first"):
        raise UsageError(f"--keep must be 'neither' or 'first', got {keep!r}")
    chosen: Keep = "first" if keep == "first" else "neither"
    console.print(f"{merge_stores(out, stores, chosen):,} rows in {out}")


def doctor(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Check that a store is sound; exit code 1 when it is not. Noisy sets are named too."""
    from latbench.cli.common import print_json
    from latbench.spaces.absent import AbsentSpace
    from latbench.store import Store
    from latbench.store.doctor import examine

    found = examine(store)
    if as_json:
        print_json(found)
    else:
        for line in found or [f"{store} is sound"]:
            console.print(line, soft_wrap=True)
    if found:
        raise typer.Exit(1)
    with Store(store, need_space=False) as opened:
        say_concerns(opened.sets())
        if isinstance(opened.space, AbsentSpace):
            messages.print(
                f"whether its numbers are of the space was not checked: {opened.space.why}",
                style="yellow", markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip


COMMANDS = (store, stats, export, import_, merge, doctor)
