"""``python -m latbench`` and the ``latbench`` command."""

from __future__ import annotations


def main() -> None:
    """Runs the command line; a user's mistake is one sentence and exit code 2."""
    from latbench.cli.app import run

    run()


if __name__ == "__main__":
    main()
