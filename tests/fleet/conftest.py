"""A real Ray cluster of several processes on the loopback interface, and a backend for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 80 * 2**20

# Its device's name comes from the node; loading takes a while, so that there is a middle to kill.
FLEET_BACKEND = """
import os, time
from dataclasses import dataclass
from typing import ClassVar
from latbench.backends.base import Availability, Backend
from latbench.testing.fake import CostModelBackend

@dataclass(frozen=True)
class NodeBackend(Backend):
    name: ClassVar[str] = "node"
    simulated: ClassVar[bool] = True
    noise: float = 0.01
    load_s: float = 0.0
    def availability(self):
        return Availability("broken" not in os.environ.get("FLEET_DEVICE", ""), "it is broken")
    def device_name(self):
        # Ray's own number of threads would show, and make the device another one.
        return os.environ["FLEET_DEVICE"] + os.environ.get("OMP_NUM_THREADS", "")
    def load(self, model):
        time.sleep(self.load_s)
        return CostModelBackend(noise=self.noise).load(model)
"""


@pytest.fixture(scope="session")
def ray_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster without devices; every process of it is gone when the tests end."""
    pytest.importorskip("ray", reason="the fleet's tests need Ray: pip install 'latbench[ray]'")
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "fleet_backend.py").write_text(FLEET_BACKEND)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        patch.delenv("OMP_NUM_THREADS", raising=False)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # A killed node is noticed within a second or so; Ray's own limit is some 15 s.
        patch.setenv("RAY_health_check_initial_delay_ms", "0")
        patch.setenv("RAY_health_check_period_ms", "300")
        # Without it Ray replaces 127.0.0.1 by the machine's outer address, and listens there.
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        from ray.cluster_utils import Cluster

        before = {p.pid for p in psutil.Process().children(recursive=True)}
        head = {"num_cpus": 0, "include_dashboard": False} | _common()
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield cluster
        started = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
        cluster.shutdown()
        _, alive = psutil.wait_procs(started, timeout=20)
        for process in alive:
            process.kill()
        assert not alive, "Ray left processes behind"


def _common() -> dict[str, Any]:
    return {"object_store_memory": MEMORY, "node_ip_address": "127.0.0.1"}


@pytest.fixture
def nodes(ray_head: Any) -> Iterator[Any]:
    """``nodes(name, ...)`` adds a node with one device for each name; they leave with the test."""
    added = []

    def add(*names: str) -> list[Any]:
        for name in names:
            added.append(
                ray_head.add_node(
                    num_cpus=1,
                    resources={"latbench_device": 1},
                    env_vars={"FLEET_DEVICE": name},
                    **_common(),
                )
            )
        return added

    yield add
    for node in added:
        if node in ray_head.worker_nodes:
            ray_head.remove_node(node)  # gracefully, so that the head knows at once
    ray_head.wait_for_nodes()
