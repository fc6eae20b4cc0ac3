"""What the measurements of other devices teach, learnt once for any number of new devices.

Two things, both of one-hot vectors: an additive cost of every choice on every source (a ridge each)
and a small network whose last layer alone belongs to a source. The row of that layer is the
source's embedding, learnt together with the features that all of them share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.base import Floats, check_features, check_latencies
from latbench.predictors.mlp import network_of, one_thread
from latbench.predictors.ridge import RidgeOneHot

MIN_SOURCE_ROWS = 20
HIDDEN = (64, 64)
_STEPS, _BATCH, _RATE, _DECAY = 1000, 256, 3e-3, 0.1
# Operation counts beside each choice alone, on the network's input: counts generalise better.
_CHOICE_GAIN = 0.3
_REFERENCE_ROWS = 2000


@dataclass(frozen=True)
class Source:
    """Measurements of one device: one-hot vectors ``X (n, d)`` and positive values ``y (n,)``."""

    name: str
    X: Floats
    y: Floats


@dataclass(frozen=True)
class Prior:
    """Everything that a new device can take over.

    ``counts (d, c)`` turns one-hot vectors into operation counts. ``center (d,)`` is the mean
    one-hot vector of the sources and ``scale (d,)`` the spread of each entry (infinite where it
    never changed). ``coefs (k, d)`` and ``levels (k,)`` are each source's additive costs and its
    value at ``center``, in units of its mean. ``layers`` are the network's weights and biases,
    the last layer of ``k`` rows: log value of each source in units of its ``spread``.
    """

    names: tuple[str, ...]
    counts: Floats
    center: Floats
    scale: Floats
    reference: Floats
    coefs: Floats
    levels: Floats
    spreads: Floats
    layers: tuple[tuple[Floats, Floats], ...]

    def features(self, X: Floats) -> Floats:
        """The network's last hidden layer for one-hot ``X (n, d)``."""
        hidden = X - self.center
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(hidden @ weight.T + bias, 0)
        return hidden


def learn(
    sources: Sequence[Source], counts: Floats, *, network: bool = True, seed: int = 0
) -> Prior:
    """Learns from ``sources``; ``counts`` is the matrix of ``Prior.counts``.

    Without ``network`` there are no ``layers``, and the ridge methods alone work.

    The result depends on the data and ``seed`` only. Raises UsageError for no source, two of one
    name, or arrays that do not fit; NotEnoughData for a source of fewer than 20 rows.
    """
    checked = _check(sources, counts)
    rows = np.concatenate([s.X for s in checked])
    center, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < 1e-9] = np.inf
    fits = [RidgeOneHot().fit(s.X, s.y / s.y.mean()) for s in checked]
    picked = np.random.default_rng(seed).permutation(len(rows))[:_REFERENCE_ROWS]
    spreads = np.array([np.log(s.y).std() or 1.0 for s in checked])
    return Prior(
        names=tuple(s.name for s in checked),
        counts=counts,
        center=center,
        scale=scale,
        reference=rows[picked],
        coefs=np.stack([f.coef_ for f in fits]),
        levels=np.array([(center - f.center_) @ f.coef_ + f.intercept_ for f in fits]),
        spreads=spreads,
        layers=_train(checked, counts, center, scale, spreads, seed) if network else (),
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


def spread_of(values: Floats) -> Floats:
    """Standard deviations of the columns; infinite for a constant one, which tells nothing."""
    spread: Floats = values.std(axis=0)
    spread[spread < 1e-9] = np.inf
    return spread


def _train(
    sources: Sequence[Source], counts: Floats, center: Floats, scale: Floats, spreads: Floats,
    seed: int,
) -> tuple[tuple[Floats, Floats], ...]:  # fmt: skip
    rows = np.concatenate([s.X for s in sources]) - center
    inputs = np.concatenate(
        [counts / spread_of(rows @ counts), _CHOICE_GAIN * np.diag(1 / scale)], axis=1
    )
    target = np.concatenate(
        [(np.log(s.y) - np.log(s.y).mean()) / r for s, r in zip(sources, spreads, strict=True)]
    )
    owner = np.repeat(np.arange(len(sources)), [len(s.y) for s in sources])
    with one_thread(), torch.enable_grad():
        network = _fit_network(
            torch.from_numpy((rows @ inputs).astype(np.float32)),
            torch.from_numpy(target.astype(np.float32)),
            torch.from_numpy(owner),
            seed,
        )
    layers = [
        (m.weight.detach().numpy().astype(float), m.bias.detach().numpy().astype(float))
        for m in network
        if isinstance(m, nn.Linear)
    ]
    # The input matrix goes into the first layer: the network then reads centred one-hot vectors.
    layers[0] = (layers[0][0] @ inputs.T, layers[0][1])
    return tuple(layers)


def _fit_network(X: Tensor, y: Tensor, owner: Tensor, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    sizes = [X.shape[1], *HIDDEN, int(owner.max()) + 1]
    network = network_of(sizes, generator)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        rows = torch.randint(len(y), (_BATCH,), generator=generator)
        out = network(X[rows]).gather(1, owner[rows, None])[:, 0]
        loss = nn.functional.mse_loss(out, y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network
