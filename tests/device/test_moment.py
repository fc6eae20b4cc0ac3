"""What the machine was like meanwhile, from copies of the system's files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from latbench.device import moment


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_rates_of_the_systems_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    tick = moment._TICKS_PER_S
    monitor = "sys/fs/resctrl/mon_data/mon_L3_00"
    write(tmp_path, {
        "proc/stat": "cpu  0 0 0 0 0 0 0 0 0 0\n",
        f"{monitor}/mbm_total_bytes": "1000\n",
        f"{monitor}/llc_occupancy": "5\n",
        "proc/cpuinfo": "cpu MHz : 2500.5\n",
    })  # fmt: skip
    start = moment.now(tmp_path)
    # 15 s of processor time and 4 s stolen in 10 s on 4 cores
    write(tmp_path, {
        "proc/stat": f"cpu  {10 * tick} 0 {5 * tick} 9 9 0 0 {4 * tick} 0 0\n",
        f"{monitor}/mbm_total_bytes": "21000\n",
        f"{monitor}/llc_occupancy": "7\n",
    })  # fmt: skip
    found = moment.since(start, 8.0, tmp_path)
    own = found.pop("busy")
    assert found == {
        "steal": pytest.approx(0.1), "clock_mhz": 2500, "cache_bytes": 7,
        "memory_bytes_per_s": 2000,
    }  # fmt: skip
    assert own == pytest.approx(1.5 - 0.8, abs=0.1)


def test_what_the_system_does_not_tell_is_left_out(tmp_path: Path) -> None:
    assert moment.since(moment.now(tmp_path), 0.0, tmp_path) == {}


def test_this_machine_has_something_to_tell() -> None:
    found = moment.since(moment.now(), 0.0)
    assert all(value >= 0 for value in found.values())
