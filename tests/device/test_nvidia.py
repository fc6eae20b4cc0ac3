"""Against a driver that is compiled for the test and shows a P100, and with no driver at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from latbench.device.driver import device_count
from latbench.device.nvidia import HELD_DOWN, Gpu, decode_reasons, gpu_at, gpus
from latbench.errors import BackendError

Run = Callable[..., Any]
GPUS = "import json; from latbench.device.nvidia import gpus; print(json.dumps(gpus()))"
REASONS = (
    "import json; from latbench.device import ThrottleWatch; w = ThrottleWatch(cuda_device={});"
    "print(json.dumps([list(w.sources), w.reasons()]))"
)


def has_gpu() -> bool:
    try:
        return device_count() > 0
    except BackendError:
        return False


no_gpu = pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")


@no_gpu
def test_without_a_driver_there_is_nothing_and_nobody_raises() -> None:
    assert gpus() == []
    assert Gpu(0).memory() is None
    assert Gpu(0).reasons() is None
    with pytest.raises(BackendError, match="NVIDIA driver"):
        device_count()


def test_without_the_package_there_is_nothing_and_nobody_raises() -> None:
    code = (
        "import sys; sys.modules['pynvml'] = None\n"
        "from latbench.device.nvidia import Gpu, gpus\n"
        "assert gpus() == [] and Gpu(0).reasons() is None and Gpu(0).memory() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_p100_is_described(with_p100: Run) -> None:
    (gpu,) = with_p100(GPUS)
    assert gpu == {
        "index": 0,
        "name": "Tesla P100-PCIE-16GB",
        "uuid": "GPU-1234",
        "bus_id": "00000000:3B:00.0",
        "compute_capability": "6.0",
        "driver": "580.65.06",
        "cuda": "12.9",
        "memory_gib": 16.0,
        "clock_mhz": {
            "graphics": 1126, "graphics_max": 1328, "graphics_set": 1189,
            "memory": 715, "memory_max": 715, "memory_set": 715,
        },
        "power_limit_w": 250.0,
        "temperature_c": 41,
        "persistence": True,
    }  # fmt: skip


def test_what_a_gpu_does_not_tell_is_left_out(with_p100: Run) -> None:
    assert with_p100(GPUS, shy=1) == [
        {"index": 0, "name": "Tesla P100-PCIE-16GB", "driver": "580.65.06"}
    ]


def test_the_machine_profile_has_the_gpu(with_p100: Run) -> None:
    code = (
        "import json; from latbench.device import machine_profile; "
        "print(json.dumps(machine_profile()))"
    )
    assert with_p100(code)["gpus"][0]["compute_capability"] == "6.0"


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x0, []),
        (0x1 | 0x2 | 0x10 | 0x100 | 0x400, []),  # idle, or as somebody chose
        (0x4, ["power cap"]),
        (0x8, ["hardware slowdown"]),
        (0x20 | 0x1, ["thermal slowdown by the driver"]),
        (0x40 | 0x8, ["hardware slowdown", "thermal slowdown by the hardware"]),
        (0x80, ["power brake by the system's power supply"]),
        (1 << 60, []),
    ],
)
def test_reasons_are_decoded(bits: int, reasons: list[str]) -> None:
    assert decode_reasons(bits) == reasons


def test_the_bits_are_nvmls() -> None:
    pynvml = pytest.importorskip("pynvml")
    names = {
        "SwPowerCap": "power cap",
        "HwSlowdown": "hardware slowdown",
        "SwThermalSlowdown": "thermal slowdown by the driver",
        "HwThermalSlowdown": "thermal slowdown by the hardware",
        "HwPowerBrakeSlowdown": "power brake by the system's power supply",
        "BoardLimit": "board limit",
    }
    for name, reason in names.items():
        bit = getattr(pynvml, f"nvmlClocksThrottleReason{name}", None)
        assert bit is None or HELD_DOWN[bit] == reason
    assert set(names.values()) == set(HELD_DOWN.values())


def test_a_hot_gpu_says_so(with_p100: Run) -> None:
    sources, reasons = with_p100(REASONS.format(0), reasons=0x44)
    assert "nvml" in sources
    assert reasons[-2:] == ["GPU 0: power cap", "GPU 0: thermal slowdown by the hardware"]


def test_a_cool_gpu_says_nothing(with_p100: Run) -> None:
    sources, reasons = with_p100(REASONS.format(0), reasons=0x1)
    assert "nvml" in sources
    assert not [r for r in reasons if r.startswith("GPU")]


@pytest.mark.parametrize(("device", "shy"), [(1, 0), (0, 1)])
def test_a_gpu_that_does_not_tell_is_no_source(with_p100: Run, device: int, shy: int) -> None:
    sources, reasons = with_p100(REASONS.format(device), reasons=0x44, shy=shy)
    assert "nvml" not in sources
    assert not [r for r in reasons if r.startswith("GPU")]


MEMORY = (
    "import json; from latbench.device.nvidia import Gpu\n"
    "print(json.dumps([Gpu(i).memory() for i in range(3)]))"
)


@pytest.mark.parametrize("reversed_", [0, 1])
def test_the_memory_is_that_of_cudas_device(with_p100: Run, reversed_: int) -> None:
    total, settings = 16 << 30, {"gpus": 2, "used_mb": 1234, "used_mb_1": 15_000}
    first, second, missing = with_p100(MEMORY, reversed=reversed_, **settings)
    used = [1_234_000_000, 15_000_000_000]
    assert [first[1], second[1]] == (used[::-1] if reversed_ else used)
    assert first == [total, first[1], total - first[1]]
    assert missing is None


def test_memory_that_nvml_does_not_tell_is_unknown(with_p100: Run) -> None:
    assert with_p100(MEMORY, shy=1) == [None] * 3


def test_without_a_cuda_device_there_is_no_gpu() -> None:
    assert gpu_at(None) is None


@pytest.mark.gpu
def test_the_memory_of_a_real_gpu_is_what_is_taken_of_it() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("pynvml")
    torch.zeros(1, device="cuda:0")  # the context has its own memory
    before = Gpu(0).memory()
    if before is None:
        pytest.skip("host and GPU share one memory here, of which NVML does not tell")
    taken = torch.zeros(1 << 28, dtype=torch.uint8, device="cuda:0")
    after = Gpu(0).memory()
    assert after is not None
    assert after.used - before.used >= taken.nbytes
    assert after.total == before.total >= after.used + after.free > 0


def test_the_driver_names_the_device_that_is_missing(with_p100: Run) -> None:
    code = (
        "import json; from latbench.device import driver as d\n"
        "from latbench.errors import BackendError\n"
        "try: d.compute_capability(3)\n"
        "except BackendError as e:\n"
        "  print(json.dumps([str(e), d.compute_capability(0), d.device_name(0)]))"
    )
    message, capability, name = with_p100(code)
    assert message == "there is no CUDA device 3, the driver shows 1"
    assert name == "Tesla P100-PCIE-16GB"
    assert capability == [6, 0]
