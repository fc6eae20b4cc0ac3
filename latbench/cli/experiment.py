"""``latbench example``, ``run`` and ``report``: the whole job from one file, and its page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from latbench.cli.changes_command import gate
from latbench.cli.common import BackendChoice, JsonOption, PlotOption, console, interruptible
from latbench.cli.pages import check_plot
from latbench.cli.round_bars import parse_share
from latbench.errors import UsageError


def example() -> None:
    """Print an experiment file to start from; `latbench run FILE` runs it."""
    text = files("latbench.experiment").joinpath("demo.toml").read_text(encoding="utf-8")
    typer.echo(text, nl=False)


def run(
    experiment: Annotated[
        Path, typer.Argument(help="Experiment file (TOML); `latbench example` prints one.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for results; out/<file name> by default.")
    ] = None,
) -> None:
    """Measure, fit, search, verify, prune and report, from one file; run it again to go on."""
    from latbench.experiment.stages import run_experiment
    from latbench.progress import Bars

    directory = out or Path("out") / experiment.stem
    kept = f"what was finished is in {directory}; the same command goes on from there"
    with interruptible(kept):
        page = run_experiment(experiment, directory, Bars())
    console.print(f"report: {page}", soft_wrap=True)


def report(
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of an experiment or of `latbench prune`, or a store.", show_default=False
        ),
    ],
    new: Annotated[
        Path | None,
        typer.Argument(
            help="With --fail-on: the store of what there is now; the first is the base."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The page to write (HTML).")] = None,
    plot: PlotOption = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="A gate for CI: exit code 1 where anything is slower by more than this (as 3%), "
            "beyond the noise.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 3 where that cannot be told.")
    ] = False,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append the verdict to this file, as Markdown."),
    ] = None,
    backend: BackendChoice = None,
    as_json: JsonOption = False,
) -> None:
    """Write the page of an experiment, of pruned models, or of a store; or judge two stores.

    `latbench report BASE NEW --fail-on 3%` is a gate for CI: docs/gate.md.
    """
    from latbench.experiment.reporting import write_report, write_store_report

    check_plot(plot)
    if new is not None and fail_on is not None:
        gate(
            path, new, parse_share(fail_on), backend=backend, strict=strict, summary=summary,
            out=out, plot=plot, as_json=as_json,
        )  # fmt: skip
        return
    if new is not None:
        raise UsageError(
            "two stores are judged with --fail-on, e.g. --fail-on 3%; what changed between them "
            "says `latbench changes`"
        )
    if fail_on is not None or strict or summary is not None or backend is not None or as_json:
        raise UsageError(
            "--fail-on, --strict, --summary, --backend and --json are of two stores: name the base "
            "and the new one"
        )
    make = write_store_report if path.is_file() else write_report
    console.print(f"report: {make(path, out, plot)}", soft_wrap=True)
    if plot is not None:
        console.print(f"picture: {plot}", soft_wrap=True)


COMMANDS = (example, run, report)
