from __future__ import annotations

import json
import subprocess
import sys

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


def test_importing_it_loads_no_nvml() -> None:
    code = "import sys, latbench.device; assert not {'pynvml', 'psutil'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
