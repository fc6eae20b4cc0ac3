"""Closed sessions in reference cycles live until their block ends: in a worker, and in the suite
for backends."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path
from typing import Any

import pytest

from latbench.backends import make_backend
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, collector
from latbench.campaign.canaries import CANARIES
from latbench.campaign.spec import MeasurerSpec
from latbench.campaign.worker import Worker
from latbench.errors import BackendError
from latbench.spaces import nasbench201
from latbench.testing import backend_checks as checks
from latbench.testing import resources
from latbench.testing.conformance import make_setup
from latbench.timing.protocol import Protocol

SPACE = nasbench201(channels=4, cells=1, resolution=8)
CYCLIC = """
import weakref
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from latbench.backends.base import Availability, Backend, Session
from latbench.testing import CostModelBackend

ALIVE = weakref.WeakSet()

class CyclicSession(Session):
    def __init__(self, model):
        self.inner = CostModelBackend().load(model)
        self.weights = np.ones(model.network.parameters, np.float32)
        self.itself = self
        ALIVE.add(self)
    def run(self):
        self.inner.run()
    def outputs(self):
        return self.inner.outputs()
    def time(self, n):
        return self.inner.time(n)

@dataclass(frozen=True)
class Cyclic(Backend):
    name: ClassVar[str] = "cyclic"
    simulated: ClassVar[bool] = True
    def availability(self):
        return Availability(True)
    def load(self, model):
        return CyclicSession(model)
"""


@pytest.fixture
def cyclic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    (tmp_path / "cyclic_sessions.py").write_text(CYCLIC)
    monkeypatch.syspath_prepend(tmp_path)
    return make_backend("cyclic_sessions:Cyclic")


def test_a_worker_collects_closed_sessions_when_their_block_has_ended(cyclic: Backend) -> None:
    alive: Any = importlib.import_module("cyclic_sessions").ALIVE
    spec = MeasurerSpec.of(SPACE, cyclic, Protocol(warmup=0))

    def load(worker: Worker, number: int) -> None:
        architecture = str(SPACE.sample(0, number))
        worker.load({"id": number, "architecture": architecture, "check": False})

    with collector.held():
        worker = Worker()
        worker.start(spec.request(False, CampaignOptions()))
        canaries = len(alive)
        assert canaries == len(CANARIES)
        for block in (range(3), range(3, 6)):
            for number in block:
                load(worker, number)
            for number in block:
                worker.visit({"id": number, "canary": "compute"})
            assert len(alive) == canaries + 3  # nothing is left of the block before
            for number in block:
                worker.close({"id": number})
            assert len(alive) == canaries + 3  # a visit may follow, which must not wait
        load(worker, 6)
        assert len(alive) == canaries + 1


def test_the_collector_is_off_inside_and_as_it_was_afterwards() -> None:
    assert gc.isenabled()
    with collector.held():
        assert not gc.isenabled()
        collector.keep()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_suite_for_backends_looks_as_a_worker_does(
    cyclic: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup()
    checks.check_leaks(cyclic, setup)
    # A worker that collected only what is not frozen would keep every one of them.
    monkeypatch.setattr(resources, "sweep", gc.collect)
    with pytest.raises(BackendError, match=r"50 sessions .* MB of memory"):
        checks.check_leaks(cyclic, setup)
