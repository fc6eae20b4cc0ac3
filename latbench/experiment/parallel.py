"""Searches side by side, one single-threaded process each.

The kernels of a small supernet are too short to share: on two cores, one search with two threads is
no faster than with one, and two searches at once take hardly longer than one.

A child is ``python -m latbench.experiment.parallel DIRECTORY NUMBER``, the number of the goal.
It writes JSON lines to its standard output: ``{"bar", "done", "total", "note"}`` for progress,
``{"warning"}`` for what the parent is to warn of, and ``{"error"}`` for what the user can mend.
What libraries print goes to the child's log, which is shown when it fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from latbench.device import usable_cores
from latbench.errors import LatbenchError

if TYPE_CHECKING:
    from latbench.experiment.stages import Bars


def side_by_side(searches: int, devices: Collection[str], cores: int) -> tuple[int, int]:
    """How many searches run at once, and how many CPU threads each has.

    On the CPU as many as there are cores. An accelerator takes one at a time: its memory may hold
    no second supernet. ``devices`` are torch's names of those that a search uses.
    """
    jobs = min(searches, cores) if set(devices) <= {"cpu"} else 1
    return jobs, max(1, cores // jobs)


def run_searches(
    directory: Path, goals: Sequence[int], devices: Collection[str], bars: Bars
) -> None:
    """Runs the searches of an experiment's folder for the goals of these numbers.

    As many at once as ``side_by_side`` says. Raises LatbenchError for what a child says the user
    can mend, and RuntimeError when a child fails otherwise; the other children are ended then, and
    their checkpoints stay.
    """
    if not goals:
        return
    jobs, threads = side_by_side(len(goals), devices, usable_cores())
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    children: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [
                pool.submit(_follow, directory, goal, environment, children, bars) for goal in goals
            ]
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()
            raise


def _follow(
    directory: Path, goal: int, environment: dict[str, str],
    children: list[subprocess.Popen[str]], bars: Bars,
) -> None:  # fmt: skip
    """Runs one child to its end and draws what it reports."""
    command = [sys.executable, "-m", "latbench.experiment.parallel", str(directory), str(goal)]
    with tempfile.TemporaryFile("w+") as log, ExitStack() as stack:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            env=environment,
        )  # fmt: skip
        children.append(child)
        steps: dict[str, Callable[[int, int, str], None]] = {}
        sentence = None
        assert child.stdout is not None
        for line in child.stdout:
            report = json.loads(line)
            sentence = report.get("error", sentence)
            if "warning" in report:
                warnings.warn(report["warning"], UserWarning, stacklevel=2)
            if "bar" in report:
                name = report["bar"]
                if name not in steps:
                    steps[name] = stack.enter_context(bars.bar(name))
                steps[name](report["done"], report["total"], report["note"])
        if child.wait() != 0:
            if sentence is not None:
                raise LatbenchError(sentence)
            log.seek(0)
            raise RuntimeError(f"search {goal} of {directory} failed:\n{log.read()[-4000:]}")


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
    """One search, as a child."""
    from latbench.campaign.worker import die_with_parent, own_output

    parent = _Parent(own_output())  # before torch and plug-ins are imported, which may print
    from latbench.experiment.stages import Experiment, search_one

    die_with_parent()
    warnings.showwarning = parent.warn
    directory, goal = Path(sys.argv[1]), int(sys.argv[2])
    try:
        experiment = Experiment.open(directory / "experiment.toml", directory)
        search_one(experiment, goal, parent)
    except LatbenchError as error:
        parent.say(error=str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
