"""The command line. Heavy imports happen inside commands, so that ``--help`` stays fast."""

from latbench.cli.app import app, run

__all__ = ["app", "run"]
