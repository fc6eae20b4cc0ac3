"""The application: its commands, its global options, and the one place where errors are printed."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from latbench.cli import (
    changes_command,
    compare_backends,
    compare_predictors,
    device_command,
    experiment,
    export_model_command,
    measuring,
    networks_command,
    operators_command,
    predicting,
    profile_command,
    prune_command,
    search_command,
    spaces,
    stores,
    transferring,
)
from latbench.cli.answers import show_command
from latbench.cli.common import explain, headed
from latbench.progress import messages

app = typer.Typer(
    name="latbench",
    help="Measure, model and search neural-architecture latency on any runtime.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_debug = False


def _version(wanted: bool) -> None:
    if wanted:
        from latbench._version import __version__

        typer.echo(f"latbench {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    global _debug
    _debug = debug


for module in (
    spaces, networks_command, show_command, device_command, measuring, compare_backends, stores,
    changes_command, compare_predictors, predicting, transferring, operators_command,
    search_command, prune_command, export_model_command, profile_command, experiment,
):  # fmt: skip
    for command in module.COMMANDS:
        app.command(command.__name__.strip("_").replace("_", "-"))(command)


def _as_sentence(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    line: str | None = None,
) -> str:  # fmt: skip
    """Formats a warning; latbench's own are for users, who have no use for a line of its source."""
    if category is UserWarning:
        return f"warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def run() -> None:
    """Runs the application on ``sys.argv`` and exits."""
    warnings.formatwarning = _as_sentence
    try:
        app()
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        sentence = explain(error)
        if sentence is None or _debug:
            raise
        messages.print(headed("error:", "bold red", sentence), soft_wrap=True)
        sys.exit(2)
