"""A process that searches for one goal: ``python -m latbench.experiment.child FOLDER NUMBER``.

FOLDER is a sweep's, and NUMBER that of the goal. It writes JSON lines to its standard output:
``{"bar", "done", "total", "note"}`` for progress, ``{"warning"}`` for what the parent is to warn
of, and ``{"error"}`` for what the user can mend.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from latbench.campaign.worker import die_with_parent, own_output
from latbench.errors import LatbenchError


class _Parent:
    """The parent of this process, which draws and warns; as ``Bars``, its bars."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, **report: object) -> None:
        """One line of the protocol."""
        self._stream.write(json.dumps(report) + "\n")
        self._stream.flush()

    @contextmanager
    def bar(self, description: str) -> Iterator[Callable[[int, int, str], None]]:
        """A bar that is drawn there."""

        def step(done: int, total: int, note: str = "") -> None:
            self.say(bar=description, done=done, total=total, note=note)

        yield step

    def warn(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        """Stands in for ``warnings.showwarning``; what libraries say stays in the log."""
        if category is UserWarning:
            self.say(warning=str(message))
        else:
            sys.stderr.write(f"{filename}:{lineno}: {category.__name__}: {message}\n")


def main() -> None:
    """Runs one search, as a child process."""
    parent = _Parent(own_output())  # before torch and plug-ins are imported, which may print
    from latbench.experiment.search_and_train import search_goal
    from latbench.experiment.sweep import Sweep
    from latbench.search.methods import parse_method

    die_with_parent()
    warnings.showwarning = parent.warn
    try:
        folder, number = Path(sys.argv[1]), int(sys.argv[2])
        sweep = Sweep.read(folder)
        parse_method(str(sweep.settings.method), f"the sweep in {folder}")  # may it be imported?
        search_goal(sweep.task(), sweep.goals[number], folder, parent, sweep.renew)
    except LatbenchError as error:
        parent.say(error=str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
