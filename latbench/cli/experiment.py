"""``latbench run`` and ``latbench report``: the whole job from one file, and its page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from latbench.cli.common import BackendChoice, JsonOption, console, interruptible
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
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of an experiment, or a store; two of them are set side by side.",
            metavar="A [B]",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="The page to write (HTML).")] = None,
    sets: Annotated[
        tuple[int, int] | None,
        typer.Option("--sets", help="Set side by side these sets, by number: one of each store, "
                     "or two of one.", metavar="A B", show_default=False),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Set side by side what was timed before this date and from "
                     "it on.", metavar="DATE"),
    ] = None,
    backend: BackendChoice = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Write the page of an experiment or a store; with two, say what changed beyond the noise.

    Two stores (or two sets or dates of one) of the same backend: which architectures changed, by
    how much the backend did as a whole, and what differs in conditions. `--out` also writes a page.
    """
    if len(paths) > 2:
        raise UsageError(f"at most two stores can be set side by side, got {len(paths)}")
    if len(paths) == 2 or sets is not None or split is not None:
        from latbench.cli.changes import show_changes

        show_changes(paths, backend, sets, split, out, as_json)
        return
    if as_json or backend is not None:
        raise UsageError("--json and --backend are for two stores, or with --sets or --split")
    from latbench.experiment.reporting import write_report, write_store_report

    make = write_store_report if paths[0].is_file() else write_report
    console.print(f"report: {make(paths[0], out)}", soft_wrap=True)


COMMANDS = (run, report)
