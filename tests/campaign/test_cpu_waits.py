from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from latbench.campaign import cpu_waits as waiting

SCRIPT = """
import os, subprocess, sys, time
from latbench.campaign.cpu_waits import waited_ns, waits
core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
def busy(seconds):
    start, end = waits(), time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return waited_ns(start, waits())
other = subprocess.Popen([sys.executable, "-c", "while True: pass"])  # inherits the core
time.sleep(0.2)
together = busy(1.0)
other.kill()
other.wait()
print(together)
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's schedstat")
def test_a_process_that_shares_its_core_waits() -> None:
    printed = subprocess.check_output([sys.executable, "-c", SCRIPT])
    # Two processes take turns on one core: about half of the second, however fast the core is.
    assert int(printed) > 0.2e9


def threads(folder: Path, **delays: int | None) -> None:
    """Files as Linux shows threads; one of None has ended since the folder was listed."""
    for task, delay in delays.items():
        (folder / task).mkdir(parents=True, exist_ok=True)
        if delay is not None:
            (folder / task / "schedstat").write_text(f"1 {delay} 1\n")


def test_a_thread_that_ends_takes_no_other_one_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, stat = tmp_path / "task", tmp_path / "stat"
    monkeypatch.setattr(waiting, "_TASKS", str(tasks))
    monkeypatch.setattr(waiting, "_STAT", str(stat))
    stat.write_text("cpu 1 2 3 4 5 6 7 8 9 10\n")
    threads(tasks, t1=5_000, t2=None, t3=7_000)
    before = waiting.waits()
    assert before == {"t1": 5_000, "t3": 7_000, "steal": 8 * waiting._TICK_NS}
    threads(tasks, t1=5_010, t2=900, t3=7_000)
    after = waiting.waits()
    assert waiting.waited_ns(before, after) == 10 + 900
    # What t3 had waited before does not count against what the others wait now.
    (tasks / "t3" / "schedstat").unlink()
    assert waiting.waited_ns(after, waiting.waits()) == 0
    threads(tasks, t1=6_010)
    assert waiting.waited_ns(after, waiting.waits()) == 1_000


def test_where_the_system_does_not_say_nothing_was_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_TASKS", str(tmp_path / "none"))
    monkeypatch.setattr(waiting, "_STAT", str(tmp_path / "none"))
    assert waiting.waits() == {}
    assert waiting.waited_ns({}, {}) == 0
