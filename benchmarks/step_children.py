"""What a step costs, told by a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np


def peak_mib(seen: Any) -> float:
    """The most that torch's allocations held at once (MiB) while a profile with memory ran."""
    kinds = (e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]")
    changes = sorted((e.start_ns(), e.nbytes()) for e in kinds)
    return float(np.cumsum([change for _, change in changes]).max()) / 2**20


def told_by_a_child(
    script: str, case: dict[str, Any], label: str, quick: bool
) -> tuple[float, float]:
    """The memory (MiB) and seconds that ``script --child CASE`` prints in its last line."""
    command = [sys.executable, script, "--child", json.dumps(case), *["--quick"] * quick]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise SystemExit(f"{label}: {child.stderr[-2000:]}")
    memory, seconds = json.loads(child.stdout.splitlines()[-1])
    return memory, seconds
