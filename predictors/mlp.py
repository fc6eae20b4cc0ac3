"""A multi-layer perceptron on log-latency: LA-DARTS' latency prediction module.

Xu et al., 2020 (https://arxiv.org/abs/2001.06392): encoding -> fully connected ReLU layers ->
latency. The paper gives neither widths nor training; those here were chosen on NAS-Bench-201
latencies of three devices (HELP's data, 50 to 2000 rows) and additive synthetic DARTS ones. What
mattered: reading operation counts instead of one-hot edges (at 100 rows of a Gold 6226 the error
is 4.3 %, not 8.9 %), a small first layer at the start (so that features are learnt rather than
drawn) and strong weight decay.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latbench.errors import ParseError, UsageError
from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.state import Arrays, take

if TYPE_CHECKING:
    from latbench.predictors.modules import LogMlp

BATCH = 256
# Hidden values of so many rows stay in a core's cache: three times as fast as all rows at once.
PREDICTED_TOGETHER = 4096
FIRST_LAYER_GAIN = 0.3


@contextmanager
def one_thread() -> Iterator[None]:
    """These layers are too small to share out: with more threads than idle cores a fit took 20
    times as long. One thread also makes the result the same on any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def network_of(sizes: list[int], generator: torch.Generator) -> nn.Sequential:
    """Linear and ReLU layers with weights from ``generator`` alone; predicts 0 at first."""
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


class Mlp(LatencyPredictor):
    """Adam with decoupled weight decay and a cosine schedule on the squared error.

    ``steps`` is the least number of updates; larger sets get ``epochs`` passes in batches of 256.
    The result depends on ``random_state`` and the data only, not on torch's global generator.
    Fitted: ``center_`` and ``scale_`` of the features, ``level_`` and ``spread_`` of log y,
    ``layers_`` (weight and bias, float32).
    """

    name: ClassVar[str] = "mlp"
    encoding: ClassVar[str] = "counts"

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
        if not isinstance(self.hidden, tuple) or not 1 <= len(self.hidden) <= 16:
            raise UsageError(f"hidden must be 1 to 16 layer widths, got {self.hidden!r}")
        for width in self.hidden:
            check_number("a width in hidden", width, 1, 8192, integer=True)
        check_number("learning_rate", self.learning_rate, 1e-8, 1)
        check_number("weight_decay", self.weight_decay, 0, 1e4)
        check_number("steps", self.steps, 1, 1_000_000, integer=True)
        check_number("epochs", self.epochs, 1, 10_000, integer=True)
        check_number("random_state", self.random_state, 0, 2**63 - 1, integer=True)

    def _fit(self, X: Floats, y: Floats) -> None:
        log = np.log(y)
        # One scale for all features: they are counts or choices, already of one kind.
        self.center_ = X.mean(axis=0).astype(np.float32)
        self.scale_ = float(X.std(axis=0).mean()) or 1.0
        self.level_, self.spread_ = float(log.mean()), float(log.std()) or 1.0
        features = torch.from_numpy(((X - self.center_) / self.scale_).astype(np.float32))
        target = torch.from_numpy(((log - self.level_) / self.spread_).astype(np.float32))
        with one_thread(), torch.enable_grad():
            network = self._train(features, target)
        self.layers_ = [
            (m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy())
            for m in network
            if isinstance(m, nn.Linear)
        ]

    def _train(self, features: Tensor, target: Tensor) -> nn.Sequential:
        generator = torch.Generator().manual_seed(int(self.random_state))
        network = network_of([features.shape[1], *self.hidden, 1], generator)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = max(self.steps, self.epochs * math.ceil(len(target) / BATCH))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows: Tensor | slice = slice(None)
            if len(target) > BATCH:
                rows = torch.randint(len(target), (BATCH,), generator=generator)
            loss = nn.functional.mse_loss(network(features[rows])[:, 0], target[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        return network

    def _predict(self, X: Floats) -> Floats:
        module = self.as_module()
        with one_thread(), torch.no_grad():
            rows = torch.from_numpy(np.ascontiguousarray(X, np.float32))
            parts: list[Tensor] = [module(part) for part in torch.split(rows, PREDICTED_TOGETHER)]
            return np.asarray(torch.cat(parts), np.float64)

    def as_module(self) -> LogMlp:
        """See the base class."""
        from latbench.predictors.modules import LogMlp

        self._require_fitted()
        return LogMlp(
            self.center_, self.scale_, self.level_, self.spread_, self.layers_, self._bounds()
        )

    def _arrays(self) -> Arrays:
        arrays: Arrays = {
            "center": self.center_,
            "scaling": np.array([self.scale_, self.level_, self.spread_]),
        }
        for i, (weight, bias) in enumerate(self.layers_):
            arrays |= {f"weight{i}": weight, f"bias{i}": bias}
        return arrays

    def _restore(self, arrays: Arrays) -> int:
        center = take(arrays, "center", (None,), np.float32)
        scaling = take(arrays, "scaling", (3,), np.float64)
        if scaling[0] <= 0 or scaling[2] <= 0:
            raise ParseError("the saved predictor's scales must be positive; save it again")
        sizes = [len(center), *self.hidden, 1]
        self.layers_ = [
            (
                take(arrays, f"weight{i}", (sizes[i + 1], sizes[i]), np.float32),
                take(arrays, f"bias{i}", (sizes[i + 1],), np.float32),
            )
            for i in range(len(sizes) - 1)
        ]
        self.scale_, self.level_, self.spread_ = map(float, scaling)
        self.center_ = center
        return len(center)


class MlpOneHot(Mlp):
    """The paper's own reading: one choice an edge. Needs thousands of rows on DARTS."""

    name: ClassVar[str] = "mlp-one-hot"
    encoding: ClassVar[str] = "one_hot"
