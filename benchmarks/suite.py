"""Where the time of the default test suite goes: seconds by the clock and of the processor.

    python benchmarks/suite.py [--quick] [--json FILE]

It runs ``make test`` with a plug-in (this file) that notes what each test took with its fixtures,
and what the processes took that it started and waited for. The clock of the whole is
what somebody waits for; processor time is what tests are compared by, since other work on the
machine disturbs it less. ``--quick`` runs two folders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOG = "LATBENCH_SUITE_LOG"
TARGET_S = 420.0
SHOWN = 20  # files
QUICK = ("tests/report", "tests/store")


def _processor_s() -> float:
    """Of this process and of those that it started and waited for."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Appends a line to the log for a test with its fixtures."""
    clock, processor = time.monotonic(), _processor_s()
    yield
    line = {
        "file": item.nodeid.partition("::")[0],
        "test": item.nodeid,
        "clock_s": time.monotonic() - clock,
        "processor_s": _processor_s() - processor,
    }
    # One short write, so that the lines of two workers do not mix.
    with Path(os.environ[LOG]).open("a") as log:
        log.write(json.dumps(line) + "\n")


def run_suite(folders: tuple[str, ...]) -> tuple[float, list[dict[str, object]]]:
    """Seconds of the whole run, and the lines of its log. Raises CalledProcessError when a test
    failed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = os.environ | {
            LOG: str(log),
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTEST_ADDOPTS": "-p suite -q",
        }
        start = time.monotonic()
        subprocess.run(
            ["make", "test", f"TESTS={' '.join(folders)}"],
            cwd=ROOT, env=environment, check=True, stdout=sys.stderr,
        )  # fmt: skip
        return time.monotonic() - start, [json.loads(s) for s in log.read_text().splitlines()]


def main() -> None:
    """Runs the suite and shows the dearest files."""
    from harness import Outcome, figure
    from harness import main as benchmark_main

    def benchmark(quick: bool) -> Outcome:
        whole_s, tests = run_suite(QUICK if quick else ())
        files: dict[str, list[dict[str, object]]] = defaultdict(list)
        for test in tests:
            files[str(test["file"])].append(test)
        processor = {f: sum(float(str(t["processor_s"])) for t in ts) for f, ts in files.items()}
        figures = [
            figure("the suite, clock", whole_s, "s", len(tests), at_most=TARGET_S),
            figure("its tests, processor", sum(processor.values()), "s", len(tests)),
        ]
        dearest = sorted(files, key=lambda f: -processor[f])[:SHOWN]
        figures += [figure(f"{f}, processor", processor[f], "s", len(files[f])) for f in dearest]
        return Outcome(figures)

    benchmark_main("Time of the default test suite", benchmark)


if __name__ == "__main__":
    main()
