"""The knowledge from measurements of other devices, learnt once for any number of new devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.base import Floats, check_features, check_latencies
from latbench.predictors.families.mixture import Devices, learn_devices

MIN_SOURCE_ROWS = 20
_REFERENCE_ROWS = 2000


@dataclass(frozen=True)
class Source:
    """The measurements of one device: one-hot vectors ``X (n, d)`` and positive values
    ``y (n,)``."""

    name: str
    X: Floats
    y: Floats


@dataclass(frozen=True)
class Prior:
    """The prior: everything that a new device can take over.

    ``counts (d, c)`` turns one-hot vectors into operation counts. ``reference (m, d)`` are rows of
    the sources, for the spread of a feature. ``devices`` are the sources' learnt costs.
    """

    names: tuple[str, ...]
    counts: Floats
    reference: Floats
    devices: Devices


def learn(
    sources: Sequence[Source], counts: Floats, *, network: bool = True, seed: int = 0
) -> Prior:
    """Learns from the measurements of other devices.

    The result depends on the data and ``seed`` only.

    Args:
        sources: The measurements of each device.
        counts: The matrix of ``Prior.counts``.
        network: Whether the mixture's network is learnt; without it the sources' costs are sums,
            which is enough for all methods but ``mixture``.
        seed: The seed of the network and of the reference rows.

    Returns:
        The prior.

    Raises:
        UsageError: For no source, two of one name, or arrays that do not fit.
        NotEnoughData: For a source of fewer than 20 rows.
    """
    checked = _check(sources, counts)
    rows = np.concatenate([s.X for s in checked])
    picked = np.random.default_rng(seed).permutation(len(rows))[:_REFERENCE_ROWS]
    return Prior(
        names=tuple(s.name for s in checked),
        counts=counts,
        reference=rows[picked],
        devices=learn_devices([(s.X, s.y) for s in checked], counts, network=network, seed=seed),
    )


def _check(sources: Sequence[Source], counts: Floats) -> list[Source]:
    names = [s.name for s in sources]
    if not sources or len(set(names)) < len(names):
        raise UsageError(f"sources must be one or more, each of its own name; got {names}")
    checked = []
    for s in sources:
        X = check_features(s.X, len(counts))
        if len(X) < MIN_SOURCE_ROWS:
            raise NotEnoughData(
                f"source {s.name} has {len(X)} rows, a source needs {MIN_SOURCE_ROWS}; leave it "
                "out or measure more there"
            )
        checked.append(Source(s.name, X, check_latencies(s.y, len(X))))
    return checked
