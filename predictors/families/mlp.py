"""A multi-layer perceptron on log-latency: LA-DARTS' latency prediction module.

Xu et al., 2020 (https://arxiv.org/abs/2001.06392): encoding -> fully connected ReLU layers ->
latency. The paper gives neither widths nor training; those here were chosen on NAS-Bench-201
latencies of three devices (HELP's data, 50 to 2000 rows) and additive synthetic DARTS ones. What
mattered: reading operation counts instead of one-hot edges (at 100 rows of a Gold 6226 the error is
4.3 %, not 8.9 %; 2026-11-24), a small first layer at the start (so that features are learnt rather
than drawn) and strong weight decay.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latbench.predictors.base import Floats, LatencyPredictor
from latbench.predictors.families.torch_training import (
    Rows,
    Scaling,
    check_hidden,
    check_training,
    drawn,
    minimise,
    one_thread,
    updates,
)
from latbench.predictors.safe_arrays import Arrays, take

if TYPE_CHECKING:
    from latbench.predictors.gradients.modules import LogMlp

BATCH = 256
# Hidden values of so many rows stay in a core's cache: three times as fast as all rows at once
# (2026-11-24).
PREDICTED_TOGETHER = 4096
FIRST_LAYER_GAIN = 0.3


def network_of(sizes: list[int], generator: torch.Generator) -> nn.Sequential:
    """Makes linear and ReLU layers with weights from ``generator`` alone; predicts 0 at first."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        # skip_init: the usual constructor would draw from torch's global generator.
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)  # type: ignore[no-untyped-call]
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
        nn.init.uniform_(linear.bias, -bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    with torch.no_grad():
        layers[0].weight.mul_(FIRST_LAYER_GAIN)  # type: ignore[operator]
        layers[-2].weight.zero_()  # type: ignore[operator]
        layers[-2].bias.zero_()  # type: ignore[operator]
    return nn.Sequential(*layers[:-1])


class MLP(LatencyPredictor):
    """A multi-layer perceptron, fitted with Adam, decoupled weight decay and a cosine schedule to
    the squared error.

    ``steps`` is the least number of updates; larger sets get ``epochs`` passes in batches of 256.
    The result depends on ``random_state`` and the data only, not on torch's global generator.
    Fitted: ``scaling_`` and ``layers_`` (weight and bias, float32).
    """

    name: ClassVar[str] = "mlp"
    encoding: ClassVar[str] = "counts"
    differentiable: ClassVar[bool] = True

    def __init__(
        self,
        hidden: tuple[int, ...] = (128, 128),
        learning_rate: float = 3e-3,
        weight_decay: float = 1.0,
        steps: int = 200,
        epochs: int = 20,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = steps
        self.epochs = epochs
        self.random_state = random_state

    def check_params(self) -> None:
        """Raises UsageError for a parameter outside its range."""
        check_hidden(self.hidden)
        check_training(
            self.learning_rate, self.weight_decay, self.steps, self.epochs, self.random_state
        )

    def _fit(self, X: Floats, y: Floats) -> None:
        self.scaling_ = Scaling.of(X, y)
        network = self._train(*self.scaling_.apply(X, y))
        self.layers_ = [
            (m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy())
            for m in network
            if isinstance(m, nn.Linear)
        ]

    def _train(self, features: Tensor, target: Tensor) -> nn.Sequential:
        generator = torch.Generator().manual_seed(int(self.random_state))
        network = network_of([features.shape[1], *self.hidden, 1], generator)

        def loss(rows: Rows) -> Tensor:
            return nn.functional.mse_loss(network(features[rows])[:, 0], target[rows])

        minimise(
            loss, network.parameters(), drawn(len(target), BATCH, generator),
            updates(self.steps, self.epochs, len(target), BATCH),
            self.learning_rate, self.weight_decay,
        )  # fmt: skip
        return network

    def _predict(self, X: Floats) -> Floats:
        module = self.as_module()
        with one_thread(), torch.no_grad():
            rows = torch.from_numpy(np.ascontiguousarray(X, np.float32))
            parts: list[Tensor] = [module(part) for part in torch.split(rows, PREDICTED_TOGETHER)]
            return np.asarray(torch.cat(parts), np.float64)

    def as_module(self) -> LogMlp:
        """Returns a module with a gradient, as the base class says."""
        from latbench.predictors.gradients.modules import LogMlp

        self._require_fitted()
        return LogMlp(*self.scaling_, self.layers_, self._bounds())

    def _arrays(self) -> Arrays:
        arrays = self.scaling_.arrays()
        for i, (weight, bias) in enumerate(self.layers_):
            arrays |= {f"weight{i}": weight, f"bias{i}": bias}
        return arrays

    def _restore(self, arrays: Arrays) -> int:
        self.scaling_ = Scaling.restored(arrays)
        width = len(self.scaling_.center)
        sizes = [width, *self.hidden, 1]
        self.layers_ = [
            (
                take(arrays, f"weight{i}", (sizes[i + 1], sizes[i]), np.float32),
                take(arrays, f"bias{i}", (sizes[i + 1],), np.float32),
            )
            for i in range(len(sizes) - 1)
        ]
        return width


class MLPOneHot(MLP):
    """The paper's own reading: one choice an edge. Needs thousands of rows on DARTS."""

    name: ClassVar[str] = "mlp-one-hot"
    encoding: ClassVar[str] = "one_hot"
