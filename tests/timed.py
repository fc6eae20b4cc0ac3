"""Stores timed with a fake backend, for tests of what changed: ``from timed import ...``."""

from __future__ import annotations

import itertools
from pathlib import Path

from loading import as_model

from latbench.networks.network import Network
from latbench.networks.ops import Pool
from latbench.spaces import AnySpace, nasbench201
from latbench.spaces.architecture import Architecture
from latbench.store import Measurement, MeasurementSet, Store
from latbench.testing import FakeBackend
from latbench.testing.fake import Noise, _Clock
from latbench.timing.protocol import Protocol, Visit, estimate

SPACE = nasbench201(channels=4, cells=1, resolution=8)
PROTOCOL = Protocol(min_visits=8, max_visits=8)


def pools(network: Network) -> int:
    """How often the network has the operation whose cost the tests change."""
    return sum(isinstance(layer.op, Pool) and layer.op.kernel == 3 for layer in network.layers)


def backend(
    pool: float = 1.0, speed: float = 1.0, noise: float = 0.003, seed: int = 0
) -> FakeBackend:
    """Pooling takes most of the time, ``pool`` times as much as it did; all of it takes ``speed``
    times as much. ``noise`` is that of a session; a run has as much."""

    def latency_s(network: Network) -> float:
        other = len(network.layers) - pools(network)
        return speed * (4e-6 * other + 1e-4 * pool * pools(network))

    return FakeBackend(latency_s, Noise(run=noise, session=noise, seed=seed))


def make_set(space: AnySpace = SPACE, **changes: object) -> MeasurementSet:
    values = {
        "backend": "fake", "options": {"threads": 1}, "version": "1", "device": "CPU",
        "protocol": PROTOCOL, "canary": "compute", "machine": {"host": "a"},
    }  # fmt: skip
    return MeasurementSet(**{**values, **changes})  # type: ignore[arg-type]


def visits(
    space: AnySpace, timed: FakeBackend, architecture: Architecture
) -> tuple[tuple[Visit, ...], float]:
    """Eight visits, and the fastest of as many runs of a canary, the space's reference."""
    models = [as_model(space.build(a)) for a in (architecture, space.reference())]
    with timed.load(models[0]) as network, timed.load(models[1]) as canary:
        times = [tuple(t * 1e-9 for t in network.time(2)) for _ in range(PROTOCOL.max_visits)]
        return tuple(map(Visit, times)), min(canary.time(len(times))) * 1e-9


def measure(
    path: Path, timed: FakeBackend, n: int = 60, retest: int = 20, seed: int = 0,
    space: AnySpace = SPACE, **changes: object,
) -> Path:  # fmt: skip
    """Adds a set of ``n`` sampled architectures, the first ``retest`` of them timed twice.

    Its noise depends on the backend's seed alone, not on how many sessions the process had before.
    """
    _Clock.sessions = itertools.count()
    with Store(path, space) as store:
        store.connection.execute("PRAGMA synchronous = OFF")  # a test's file need not last
        set_id = store.add_set(make_set(space, **changes))
        for index, architecture in space.unique_samples(seed, n):
            for repeat in (0, 1) if index < retest else (0,):
                seen, canary_s = visits(space, timed, architecture)
                store.add(set_id, Measurement(
                    architecture=str(architecture), repeat=repeat, sample_index=index, seed=seed,
                    status="ok", estimate=estimate(seen, canary_s), stop="budget", visits=seen,
                    host="a",
                ))  # fmt: skip
    return path
