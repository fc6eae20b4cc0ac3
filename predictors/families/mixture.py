"""Costs that are a sum over choices times what a small network corrects, for several devices.

A device's cost is nearly a sum over the choices; where it is not (an operation that leads nowhere),
it is so on all devices alike. So each device has an additive ridge, and one network shared by all
learns the logarithm of what they miss, with a last layer of a row a device. Strong weight decay
keeps it near 0 where sums do; docs/transfer.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.families.mlp import network_of
from latbench.predictors.families.ridge import RidgeOneHot
from latbench.predictors.families.torch_training import Rows, minimise
from latbench.predictors.safe_arrays import Arrays, take

HIDDEN = (64, 64)
# A sum may fall to 0 or below far from the data; no device is 20 times as fast as its mean.
FLOOR = 0.05
# The network's answer: no correction beyond a factor of e^3 = 20.
LARGEST_LOG = 3.0
_STEPS, _BATCH, _RATE, _DECAY = 1000, 256, 3e-3, 4.0
# Operation counts beside each choice alone, on the network's input: counts generalise better.
_CHOICE_GAIN = 0.3


@dataclass(frozen=True)
class Devices:
    """The costs of ``k`` devices, in units of each one's mean, for one-hot vectors of ``d``
    entries.

    ``center (d,)`` is the mean vector, ``coefs (k, d)`` and ``levels (k,)`` the sums and their
    values at ``center``. ``layers`` are the network's weights and biases; without any, the sums
    stand alone.
    """

    center: Floats
    coefs: Floats
    levels: Floats
    layers: tuple[tuple[Floats, Floats], ...] = ()

    def values(self, X: Floats) -> Floats:
        """Returns costs ``(n, k)`` of one-hot ``X (n, d)``."""
        centred = X - self.center
        sums = centred @ self.coefs.T + self.levels
        if not self.layers:
            return np.asarray(sums)
        hidden = centred
        for i, (weight, bias) in enumerate(self.layers):
            hidden = hidden @ weight.T + bias
            hidden = np.maximum(hidden, 0) if i < len(self.layers) - 1 else hidden
        corrections = np.exp(np.clip(hidden, -LARGEST_LOG, LARGEST_LOG))
        return np.asarray(np.maximum(sums, FLOOR) * corrections)


def learn_devices(
    data: Sequence[tuple[Floats, Floats]], counts: Floats, *, network: bool = True,
    steps: int = _STEPS, seed: int = 0,
) -> Devices:  # fmt: skip
    """Learns the costs of devices; the result depends on the data and ``seed`` only.

    Args:
        data: One ``(X (n, d), y (n,))`` a device, one-hot.
        counts: The matrix ``(d, c)`` that turns one-hot vectors into operation counts; ``c`` may be
            0.
        network: Whether to learn a correction of the sums by a network.
        steps: The number of training steps of that network.
        seed: The seed of that network.

    Returns:
        The devices.
    """
    center = np.concatenate([X for X, _ in data]).mean(axis=0)
    fits = [RidgeOneHot().fit(X, y / y.mean()) for X, y in data]
    sums = Devices(
        center,
        np.stack([f.coef_ for f in fits]),
        np.array([(center - f.center_) @ f.coef_ + f.intercept_ for f in fits]),
    )
    if not network:
        return sums
    return Devices(center, sums.coefs, sums.levels, _corrections(sums, data, counts, steps, seed))


def spread_of(values: Floats) -> Floats:
    """Returns the standard deviations of the columns; infinite for a constant one, which tells
    nothing."""
    spread: Floats = values.std(axis=0)
    spread[spread < 1e-9] = np.inf
    return spread


def _corrections(
    sums: Devices, data: Sequence[tuple[Floats, Floats]], counts: Floats, steps: int, seed: int
) -> tuple[tuple[Floats, Floats], ...]:
    rows = np.concatenate([X for X, _ in data]) - sums.center
    inputs = np.concatenate(
        [counts / spread_of(rows @ counts), _CHOICE_GAIN * np.diag(1 / spread_of(rows))], axis=1
    )
    spreads = np.array([np.log(y).std() or 1.0 for _, y in data])
    missed = [
        np.log(y / y.mean() / np.maximum(sums.values(X)[:, i], FLOOR)) / spreads[i]
        for i, (X, y) in enumerate(data)
    ]
    owner = np.repeat(np.arange(len(data)), [len(y) for _, y in data])
    network = _train(
        torch.from_numpy((rows @ inputs).astype(np.float32)),
        torch.from_numpy(np.concatenate(missed).astype(np.float32)),
        torch.from_numpy(owner), steps, seed,
    )  # fmt: skip
    layers = [
        (m.weight.detach().numpy().astype(np.float64), m.bias.detach().numpy().astype(np.float64))
        for m in network
        if isinstance(m, nn.Linear)
    ]
    # The input matrix goes into the first layer and the spreads into the last: the network then
    # reads centred one-hot vectors and gives logarithms.
    layers[0] = (layers[0][0] @ inputs.T, layers[0][1])
    layers[-1] = (layers[-1][0] * spreads[:, None], layers[-1][1] * spreads)
    return tuple(layers)


def _train(X: Tensor, y: Tensor, owner: Tensor, steps: int, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    network = network_of([X.shape[1], *HIDDEN, int(owner.max()) + 1], generator)

    def loss(rows: Rows) -> Tensor:
        out = network(X[rows]).gather(1, owner[rows, None])[:, 0]
        return nn.functional.mse_loss(out, y[rows])

    batches = (torch.randint(len(y), (_BATCH,), generator=generator) for _ in range(steps))
    minimise(loss, network.parameters(), batches, steps, _RATE, _DECAY)
    return network


class MixtureModule(nn.Module):
    """A ``MixtureOneHot`` in float32, kept within ``bounds``; frozen."""

    center: Tensor
    sums: Tensor
    levels: Tensor
    weights: Tensor
    own: Tensor
    level: Tensor

    def __init__(
        self, devices: Devices, weights: Floats, own: Floats, level: float,
        bounds: tuple[float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        self.bounds, self.depth = bounds, len(devices.layers)
        buffers = {"center": devices.center, "sums": devices.coefs, "levels": devices.levels,
                   "weights": weights, "own": own, "level": np.array(level)}  # fmt: skip
        for i, (weight, bias) in enumerate(devices.layers):
            buffers |= {f"weight{i}": weight, f"bias{i}": bias}
        for name, value in buffers.items():
            self.register_buffer(name, torch.from_numpy(np.array(value, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for raw encodings ``(m, d)``."""
        x = x.to(self.own) - self.center
        hidden = x
        for i in range(self.depth):
            weight, bias = getattr(self, f"weight{i}"), getattr(self, f"bias{i}")
            hidden = nn.functional.linear(hidden, weight, bias)
            hidden = torch.relu(hidden) if i < self.depth - 1 else hidden
        sums = (x @ self.sums.T + self.levels).clamp(min=FLOOR)
        costs = sums * hidden.clamp(-LARGEST_LOG, LARGEST_LOG).exp()
        return (costs @ self.weights + x @ self.own + self.level).clamp(*self.bounds)


class MixtureOneHot(LatencyPredictor):
    """A mixture ``(x - center) @ own + level + sum over k of weights_k * devices_k(x)``.

    ``latbench transfer`` saves it. Fitted by itself it is one device: a sum over the choices times
    a network's correction. Fitted: ``devices_`` (see ``Devices``), ``weights_ (k,)``, ``own_ (d,)``
    and ``level_``, the last three in the unit of y.
    """

    name: ClassVar[str] = "mixture-one-hot"
    encoding: ClassVar[str] = "one_hot"
    differentiable: ClassVar[bool] = True

    def __init__(self, steps: int = _STEPS, random_state: int = 0) -> None:
        self.steps = steps
        self.random_state = random_state

    def check_params(self) -> None:
        """Raises UsageError for a parameter outside its range."""
        check_number("steps", self.steps, 1, 1_000_000, integer=True)
        check_number("random_state", self.random_state, 0, 2**63 - 1, integer=True)

    def _fit(self, X: Floats, y: Floats) -> None:
        no_counts = np.zeros((X.shape[1], 0))
        self.devices_ = learn_devices(
            [(X, y)], no_counts, steps=self.steps, seed=int(self.random_state)
        )
        self.weights_, self.own_, self.level_ = np.array([y.mean()]), np.zeros(X.shape[1]), 0.0

    def _predict(self, X: Floats) -> Floats:
        own = (X - self.devices_.center) @ self.own_ + self.level_
        return np.asarray(own + self.devices_.values(X) @ self.weights_)

    def as_module(self) -> MixtureModule:
        """Returns a module with a gradient, as the base class says."""
        self._require_fitted()
        return MixtureModule(self.devices_, self.weights_, self.own_, self.level_, self._bounds())

    def _arrays(self) -> Arrays:
        devices = self.devices_
        arrays: Arrays = {
            "center": devices.center, "coefs": devices.coefs, "levels": devices.levels,
            "weights": self.weights_, "own": self.own_, "level": np.array([self.level_]),
        }  # fmt: skip
        for i, (weight, bias) in enumerate(devices.layers):
            arrays |= {f"weight{i}": weight, f"bias{i}": bias}
        return arrays

    def _restore(self, arrays: Arrays) -> int:
        weights = take(arrays, "weights", (None,), np.float64)
        own = take(arrays, "own", (None,), np.float64)
        k, d = len(weights), len(own)
        sizes = [d, *HIDDEN, k]
        layers = tuple(
            (
                take(arrays, f"weight{i}", (sizes[i + 1], sizes[i]), np.float64),
                take(arrays, f"bias{i}", (sizes[i + 1],), np.float64),
            )
            for i in range(len(sizes) - 1)
        )
        self.devices_ = Devices(
            take(arrays, "center", (d,), np.float64),
            take(arrays, "coefs", (k, d), np.float64),
            take(arrays, "levels", (k,), np.float64),
            layers,
        )
        self.weights_, self.own_ = weights, own
        self.level_ = float(take(arrays, "level", (1,), np.float64)[0])
        return d
