"""``latbench example``, ``run`` and ``report``: the whole job from one file, and its page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from latbench.cli.common import PlotOption, console, interruptible
from latbench.cli.pages import check_plot


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
    out: Annotated[Path | None, typer.Option("--out", help="The page to write (HTML).")] = None,
    plot: PlotOption = None,
) -> None:
    """Write the page of an experiment, of pruned models, or of a store."""
    from latbench.experiment.reporting import write_report, write_store_report

    check_plot(plot)
    make = write_store_report if path.is_file() else write_report
    console.print(f"report: {make(path, out, plot)}", soft_wrap=True)
    if plot is not None:
        console.print(f"picture: {plot}", soft_wrap=True)


COMMANDS = (example, run, report)
