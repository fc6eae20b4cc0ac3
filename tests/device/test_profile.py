from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from latbench.device import host_name, machine_profile, usable_cores, versions


def test_the_profile_is_json_and_has_what_every_row_records() -> None:
    profile = json.loads(json.dumps(machine_profile()))
    assert {"cpu", "cores", "governor", "turbo", "memory_gib", "system", "host"} <= set(profile)
    assert profile["cores"] == usable_cores() >= 1
    assert profile["memory_gib"] > 0
    assert profile["versions"] == versions()
    assert {"latbench", "python", "torch", "onnx", "numpy"} <= set(profile["versions"])


def test_the_host_name_is_short_and_stays() -> None:
    assert host_name() == host_name()
    assert host_name()
    assert "." not in host_name()
    assert machine_profile()["host"].startswith(host_name())


V1, V2 = "5:cpuacct:/x\n3:cpu,cpuacct:{}\n0::/other\n", "0::{}\n"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        (V2.format("/"), {}, 8),  # no limit anywhere
        (V2.format("/"), {"cpu.max": "max 100000"}, 8),
        (V2.format("/"), {"cpu.max": "300000 100000"}, 3),
        (V2.format("/"), {"cpu.max": "350000 100000"}, 3),
        (V2.format("/"), {"cpu.max": "50000 100000"}, 1),
        (V2.format("/"), {"cpu.max": "1600000 100000"}, 8),  # the affinity is less
        (V2.format("/a/b"), {"a/cpu.max": "200000 100000", "a/b/cpu.max": "400000 100000"}, 2),
        (V2.format("/docker/0"), {"cpu.max": "200000 100000"}, 2),  # in a container
        (V2.format("/"), {"cpu.max": "?"}, 8),
        (V1.format("/"), {"cpu,cpuacct/cpu.cfs_quota_us": "-1",
                          "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 8),
        (V1.format("/docker/0"), {"cpu,cpuacct/cpu.cfs_quota_us": "250000",
                                  "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 2),
        (V1.format("/a"), {"cpu/a/cpu.cfs_quota_us": "40000",
                           "cpu/a/cpu.cfs_period_us": "10000"}, 4),
        (None, {}, 8),  # no Linux
    ],
)  # fmt: skip
def test_a_containers_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, files: dict[str, str],
    cores: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    if own is not None:
        (tmp_path / "own").write_text(own)
    assert usable_cores(tmp_path / "cgroup", tmp_path / "own") == cores


def test_importing_it_loads_no_nvml() -> None:
    code = "import sys, latbench.device; assert not {'pynvml', 'psutil'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
