"""What a worker finds besides time, on a session that really allocates."""

from __future__ import annotations

import operator
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from latbench.backends.base import Session
from latbench.campaign.memory_and_energy import EnergyMeter, load_and_run
from latbench.errors import BackendError
from latbench.spaces import nasbench201

NETWORK = nasbench201(channels=4, cells=1, resolution=8).build(
    nasbench201(channels=4, cells=1, resolution=8).reference()
)
MIB = 2**20
RUN = operator.methodcaller("run")


class Allocating(Session):
    """Takes and gives back memory while loading, keeps some, and takes more while it runs."""

    def __init__(self, loading: int, kept: int, running: int) -> None:
        np.ones(loading * MIB, np.uint8)
        self.kept, self.running = np.ones(kept * MIB, np.uint8), running
        self.closed = False

    def run(self) -> None:
        if self.running < 0:
            raise BackendError("no run")
        np.ones(self.running * MIB, np.uint8)

    def outputs(self) -> npt.NDArray[np.float32]:
        return np.zeros(1, np.float32)

    def close(self) -> None:
        self.closed = True


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_is_the_peak_while_running_without_what_loading_gave_back() -> None:
    _, costs = load_and_run(lambda: Allocating(300, 40, 60), RUN, NETWORK)
    assert 95 * MIB <= costs["memory_bytes"] < 130 * MIB
    assert costs["device_memory_bytes"] is None
    assert costs["build_s"] is None


def test_the_size_is_the_sessions_or_that_of_the_weights() -> None:
    _, costs = load_and_run(lambda: Allocating(1, 1, 1), RUN, NETWORK)
    tensors = sum(int(np.prod(shape)) for _, shape, _ in NETWORK.tensors())
    assert costs["model_bytes"] == 4 * tensors > 4 * NETWORK.parameters

    def load() -> Session:
        session = Allocating(1, 1, 1)
        session.model_bytes, session.build_s = 77, 1.5
        return session

    _, costs = load_and_run(load, RUN, NETWORK)
    assert (costs["model_bytes"], costs["build_s"]) == (77, 1.5)


def test_a_session_that_cannot_run_is_closed() -> None:
    session = Allocating(1, 1, -1)
    with pytest.raises(BackendError, match="no run"):
        load_and_run(lambda: session, RUN, NETWORK)
    assert session.closed


SHARES = """
import json, types, psutil
from latbench.campaign.memory_and_energy import free_share
from latbench.device.nvidia import gpu_at
psutil.virtual_memory = lambda: types.SimpleNamespace(available=9, total=10)
print(json.dumps([free_share(gpu_at(i)) for i in (None, 0, 1)]))
"""


def test_the_free_share_is_that_of_the_backends_own_gpu(with_p100: Callable[..., Any]) -> None:
    host, own, full = with_p100(SHARES, gpus=2, used_mb=1000, used_mb_1=17_000)
    assert host == own == 0.9
    assert full == pytest.approx(1 - 17_000e6 / (16 << 30))


def test_where_host_and_gpu_share_a_memory_the_hosts_counts(with_p100: Callable[..., Any]) -> None:
    assert with_p100(SHARES, gpus=2, shy=1) == [0.9] * 3


WORKER = """
import json
from latbench.campaign.spec import CampaignOptions, MeasurerSpec
from latbench.campaign.worker import Worker
from latbench.timing.protocol import Protocol
from latbench.spaces import nasbench201
from latbench.testing import CostModelBackend
space = nasbench201(channels=4, cells=1, resolution=8)
options = CampaignOptions()
worker = Worker()
worker.start(MeasurerSpec.of(space, CostModelBackend(), Protocol()).request(False, options))
reply = worker.load({"id": 0, "architecture": str(space.reference()), "check": False})
print(json.dumps([reply["costs"]["device_memory_bytes"], reply["free_share"] > 0]))
"""


def test_a_backend_on_the_host_needs_nothing_of_a_gpu(with_p100: Callable[..., Any]) -> None:
    """A GB10 has no answer to the question for its memory."""
    assert with_p100(WORKER, shy=1) == [None, True]


def test_without_zeus_or_a_sensor_energy_is_an_error_that_says_what_to_do() -> None:
    try:
        from zeus.monitor import ZeusMonitor
    except ImportError:
        expected = "energy needs zeus; install it with pip"
    else:
        monitor = ZeusMonitor()
        if monitor.gpu_indices or monitor.cpu_indices:
            pytest.skip("this machine has energy sensors")
        expected = "finds no energy sensor"
    with pytest.raises(BackendError, match=expected):
        EnergyMeter(1.0)


def test_a_window_that_is_slow_to_begin_has_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginning reads all sensors, which may take longer than the window."""
    monitor = ModuleType("zeus.monitor")
    monitor.ZeusMonitor = SlowMonitor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.monitor", monitor)
    assert EnergyMeter(0.02).energy_j(Allocating(1, 1, 1)) > 0
    assert EnergyMeter(1e-9).energy_j(Allocating(1, 1, 1)) == 3.0


class SlowMonitor:
    """As zeus's, in front of sensors that answer late."""

    gpu_indices, cpu_indices = (0,), ()

    def begin_window(self, name: str, sync_execution: bool) -> None:
        time.sleep(0.05)

    def end_window(self, name: str, sync_execution: bool) -> SimpleNamespace:
        return SimpleNamespace(gpu_energy={0: 3.0}, cpu_energy=None, dram_energy=None)


@pytest.mark.gpu
def test_energy_of_a_run_grows_with_its_length() -> None:
    meter = EnergyMeter(3.0)
    short, long = (meter.energy_j(Allocating(1, 1, n)) for n in (10, 200))
    assert 0 < short < long
