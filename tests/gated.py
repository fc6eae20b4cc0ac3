"""Stores of models for tests of the gate, timed at several occasions: ``from gated import ...``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from timed import PROTOCOL, SPACE, make_set

from latbench.models import Model
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv
from latbench.store import Measurement, Store
from latbench.timing.protocol import Visit, estimate

CANARY_S = 1e-3


def network(layers: int) -> Network:
    """A chain of convolutions."""
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.input
    for _ in range(layers):
        x = b.add(Conv(4, 3, padding=1), x)
    return b.build(x)


def store_of_models(
    path: Path, seconds: Mapping[str, float], occasions: int = 5, noise: float = 0.004,
    seed: int = 0, speed: float = 1.0, layers: int = 2, **changes: Any,
) -> Path:  # fmt: skip
    """A store of models that take so many seconds, timed twice at the first occasion and once at
    each further one. ``speed`` slows the whole machine; a model of other ``layers`` is another
    one."""
    rng = np.random.default_rng(seed)
    with Store(path, SPACE) as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        set_id = store.add_set(make_set(**changes))
        for repeat in range(occasions + 1):
            occasion = max(1, repeat)
            canary_s = speed * CANARY_S * float(np.exp(0.2 * noise * rng.normal()))
            for name, latency_s in seconds.items():
                fastest = speed * latency_s * float(np.exp(noise * rng.normal()))
                runs = fastest * np.exp(np.abs(0.3 * noise * rng.normal(size=PROTOCOL.max_visits)))
                visits = tuple(Visit((float(s),)) for s in runs)
                store.add(set_id, Measurement(
                    architecture=str(Model(name, network(layers))), repeat=repeat,
                    sample_index=None, status="ok", estimate=estimate(visits, canary_s),
                    stop="budget", visits=visits, host="a", occasion=occasion, block=0,
                ))  # fmt: skip
    return path
