"""Searches side by side, one single-threaded process each.

The kernels of a small supernet are too short to share: on two cores, one search with two threads is
no faster than with one, and two searches at once take hardly longer than one (2026-11-24).

A child is ``latbench.experiment.child``. What libraries print there goes to its log, which is shown
when it fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from latbench.device import usable_cores
from latbench.errors import LatbenchError, UsageError
from latbench.experiment.result_files import load_result
from latbench.experiment.search_and_train import search_goal
from latbench.experiment.search_task import SearchTask
from latbench.experiment.search_warnings import warn_of_reach
from latbench.experiment.sweep import SWEEP_FILE, Sweep, result_path
from latbench.files import reusable
from latbench.locks import sole_user
from latbench.plugins import TRUST, trusted_modules
from latbench.progress import ProgressBars
from latbench.search.methods import parse_method
from latbench.search.searchability import check_searchable


def side_by_side(searches: int, devices: Collection[str], cores: int) -> tuple[int, int]:
    """Returns how many searches run at once, and how many CPU threads each has.

    On the CPU as many run as there are cores. An accelerator takes one at a time: its memory may
    hold no second supernet. ``devices`` are torch's names of those that a search uses.
    """
    jobs = min(searches, cores) if set(devices) <= {"cpu"} else 1
    return jobs, max(1, cores // jobs)


def run_sweep(sweep: Sweep, task: SearchTask, folder: Path, bars: ProgressBars) -> list[Path]:
    """Runs the searches of a sweep that are not done yet. Run again, it goes on where it stopped.

    Warns (UserWarning) of limits that may be out of reach, and of doubtful results.

    Args:
        sweep: What is searched for.
        task: The sweep's, loaded.
        folder: The sweep's; what is found is written there.
        bars: What draws the progress.

    Returns:
        The result files of all goals, in their order.

    Raises:
        LatbenchError: For what the user can mend, see ``run_children``; such as that another
            process is at work in the folder.
    """
    for goal in sweep.goals:
        method = check_searchable(task.space, task.settings_for(goal))  # errors come before hours
        if (penalty := task.penalty(goal)) is not None:
            method.check_penalty(task.space, penalty)
    todo = unfinished(sweep, task, folder)
    warn_of_reach(task, [sweep.goals[i] for i in todo])
    with sole_user(folder / SWEEP_FILE, _at_work(folder)):
        sweep.write(folder)
        if len(todo) == 1:
            search_goal(task, sweep.goals[todo[0]], folder, bars, sweep.renew)
        elif todo:
            devices = {sweep.settings.device, *([sweep.training.device] if sweep.training else [])}
            run_children(folder, todo, devices, bars, _plugins(task))
    paths = [result_path(folder, goal) for goal in sweep.goals]
    for doubt in dict.fromkeys(said for path in paths for said in load_result(path).doubts):
        warnings.warn(doubt, UserWarning, stacklevel=2)
    return paths


def unfinished(sweep: Sweep, task: SearchTask, folder: Path) -> list[int]:
    """Returns the numbers of the goals that have no result, or one of other settings or models."""
    return [
        i for i, goal in enumerate(sweep.goals)
        if not reusable(result_path(folder, goal), task.hash(goal))
    ]  # fmt: skip


def _at_work(folder: Path) -> LatbenchError:
    return UsageError(
        f"another process searches in {folder}; wait for it, or name another directory"
    )


def _plugins(task: SearchTask) -> set[str]:
    """The modules of the space, the predictors and the method, which were imported here because
    somebody asked for it; so a child may."""
    models = [m for p in task.priced.values() for m in (p.model, p.best)]
    method = parse_method(str(task.settings.method))
    named = (task.space, method, *(m.predictor for m in models))
    return {type(one).__module__ for one in named}


def run_children(
    folder: Path, goals: Sequence[int], devices: Collection[str], bars: ProgressBars,
    trusted: Collection[str] = (),
) -> None:  # fmt: skip
    """Searches for goals of the sweep in ``folder``, in processes of their own.

    As many run at once as ``side_by_side`` says. When a child fails, the other children are ended,
    and their checkpoints stay.

    Args:
        folder: The folder of the sweep.
        goals: The numbers of the goals.
        devices: Torch's names of the devices that a search uses.
        bars: The progress bars.
        trusted: The modules that a file may name.

    Raises:
        LatbenchError: For what a child says the user can mend.
        RuntimeError: When a child fails otherwise.
    """
    jobs, threads = side_by_side(len(goals), devices, usable_cores())
    trust = ",".join(sorted({*trusted_modules(), *trusted}))
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), TRUST: trust}
    children: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [
                pool.submit(_follow, folder, goal, environment, children, bars) for goal in goals
            ]
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()
            raise


def _follow(
    folder: Path, goal: int, environment: dict[str, str],
    children: list[subprocess.Popen[str]], bars: ProgressBars,
) -> None:  # fmt: skip
    """Runs one child to its end and draws what it reports."""
    command = [sys.executable, "-m", "latbench.experiment.child", str(folder), str(goal)]
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
            raise RuntimeError(f"search {goal} of {folder} failed:\n{log.read()[-4000:]}")
