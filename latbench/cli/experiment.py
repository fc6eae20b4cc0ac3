"""``latbench run`` and ``latbench report``: the whole job from one file, and its page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from latbench.cli.common import console, interruptible
from latbench.errors import UsageError


def run(
    experiment: Annotated[
        Path | None, typer.Argument(help="Experiment file (TOML).", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for results; out/<file name> by default.")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print an experiment file to start from.")
    ] = False,
) -> None:
    """Measure, fit, search, verify and report, all from one file; run it again to go on."""
    if example:
        text = files("latbench.experiment").joinpath("demo.toml").read_text(encoding="utf-8")
        typer.echo(text, nl=False)
        return
    if experiment is None:
        raise UsageError("name an experiment file, or see `latbench run --example`")
    from latbench.cli.bars import Bars
    from latbench.experiment.stages import run_experiment

    directory = out or Path("out") / experiment.stem
    kept = f"what was finished is in {directory}; the same command goes on from there"
    with interruptible(kept):
        page = run_experiment(experiment, directory, Bars())
    console.print(f"report: {page}", soft_wrap=True)


def report(
    directory: Annotated[Path, typer.Argument(help="Folder of an experiment.")],
) -> None:
    """Write the report of an experiment again from what its folder holds."""
    from latbench.experiment.reporting import write_report

    console.print(f"report: {write_report(directory)}", soft_wrap=True)


COMMANDS = (run, report)
