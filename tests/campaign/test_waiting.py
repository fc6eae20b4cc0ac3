from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, subprocess, sys, time
from latbench.campaign.waiting import waited_ns
core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
def busy(seconds):
    start, end = waited_ns(), time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return waited_ns() - start
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
