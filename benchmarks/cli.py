"""How long the command line takes before it does anything: seconds of `--help` and of a tab.

    python benchmarks/cli.py [--quick] [--json FILE]

Whole processes, started anew each time, the files in the page cache. The clock, which is what
somebody waits for, and processor time, which other processes disturb less; the median of the runs.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time

from harness import Figure, Outcome, figure, main

TARGET_HELP_S = 0.5
TAB = {"_LATBENCH_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
COMMANDS = {
    "latbench --help": (["--help"], {}),
    "latbench measure --help": (["measure", "--help"], {}),
    "latbench --version": (["--version"], {}),
    "tab after a backend": ([], {**TAB, "COMP_WORDS": "latbench measure --backend o"}),
    "tab after a space": ([], {**TAB, "COMP_WORDS": "latbench measure --space d"}),
}
# Under the command's own name, as the installed script runs it.
CODE = "import sys; sys.argv[0] = 'latbench'; from latbench.__main__ import main; main()"


def once(arguments: list[str], more: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-c", CODE, *arguments], env=os.environ | more, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    elapsed, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def benchmark(quick: bool) -> Outcome:
    runs = 3 if quick else 15
    figures: list[Figure] = []
    for name, (arguments, more) in COMMANDS.items():
        once(arguments, more)  # fills the page cache
        elapsed, processor = zip(*(once(arguments, more) for _ in range(runs)), strict=True)
        target = TARGET_HELP_S if name.endswith("--help") else None
        figures += [
            figure(f"{name}, clock", statistics.median(elapsed), "s", runs, at_most=target),
            figure(f"{name}, processor", statistics.median(processor), "s", runs),
        ]
    return Outcome(figures)


if __name__ == "__main__":
    main("Speed of the command line", benchmark)
