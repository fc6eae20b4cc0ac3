"""An ensemble of the paper's MLP whose members also predict how far off they may be.

Deep ensembles (Lakshminarayanan et al., 2017, https://arxiv.org/abs/1612.01474): each member gives
a mean and a variance of log-latency and is trained on the Gaussian negative log-likelihood
``log(v) / 2 + (t - m)^2 / (2 v)``. Each row's term is weighted by ``v^beta`` (Seitzer et al., 2022,
https://arxiv.org/abs/2203.09168), or rows that are hard at first are given up early. The ensemble
is the mixture: mean of the m, variance mean(v + m^2) - mean(m)^2.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.families.mlp import BATCH, FIRST_LAYER_GAIN
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

_BETA = 0.5
# Variances in units of the training set's: no member may claim to know log y better than to a
# hundredth of its spread, nor worse than ten times it.
_LOG_VARIANCE = (math.log(1e-4), math.log(1e2))
# Beyond it (in units of log y squared) the deviation would overflow float32.
_MOST_VARIANCE = 80.0
Layers = list[tuple[Tensor, Tensor]]


def _forward(x: Tensor, layers: Layers) -> tuple[Tensor, Tensor]:
    """Mean and log-variance ``(members, n)`` for features ``(n, d)``; all members at once."""
    h = x.expand(len(layers[0][0]), *x.shape)
    for i, (weight, bias) in enumerate(layers):
        h = torch.baddbmm(bias, h, weight)
        h = torch.relu(h) if i < len(layers) - 1 else h
    return h[..., 0], h[..., 1].clamp(*_LOG_VARIANCE)


class EnsembleModule(nn.Module):
    """A frozen module ``exp(level + spread * mean over members)``, kept within ``bounds``.

    ``deviations`` times the standard deviation (see ``MLPEnsemble.predict_std``) is added.
    """

    center: Tensor

    def __init__(
        self, scaling: Scaling, layers: Layers, bounds: tuple[float, float], deviations: float = 0.0
    ) -> None:
        super().__init__()
        self.deviations = deviations
        center, self.scale, self.level, self.spread = scaling
        self.bounds, self.depth = bounds, len(layers)
        self.register_buffer("center", torch.from_numpy(center.copy()))
        for i, (weight, bias) in enumerate(layers):
            self.register_buffer(f"weight{i}", weight.clone())
            self.register_buffer(f"bias{i}", bias.clone())

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean and variance of log y, each ``(m,)``, for raw encodings ``(m, d)``."""
        x = (x.to(self.center) - self.center) / self.scale
        layers = [(getattr(self, f"weight{i}"), getattr(self, f"bias{i}")) for i in
                  range(self.depth)]  # fmt: skip
        means, logs = _forward(x, layers)
        variance = logs.exp().mean(0) + means.var(0, unbiased=False)
        return means.mean(0) * self.spread + self.level, variance * self.spread**2

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for raw encodings ``(m, d)``."""
        low, high = (float(v) for v in np.log(self.bounds))
        mean, variance = self.moments(x)
        values = mean.clamp(low, high).exp()
        if not self.deviations:
            return values
        deviation = values * variance.clamp_max(_MOST_VARIANCE).expm1().sqrt()
        return values + self.deviations * deviation


class MLPEnsemble(LatencyPredictor):
    """An ensemble of MLPs of LA-DARTS' form with learned variances.

    See ``latbench.predictors.families.mlp``; there are ``members`` of them.

    They differ by their random initial weights, and see the same rows (the paper found resampling
    to hurt). Fitted: ``scaling_`` and ``layers_`` (weight ``(members, in, out)``, bias
    ``(members, 1, out)``, float32).
    """

    name: ClassVar[str] = "mlp-ensemble"
    encoding: ClassVar[str] = "counts"
    differentiable: ClassVar[bool] = True
    deviating: ClassVar[bool] = True

    def __init__(
        self,
        members: int = 5,
        hidden: tuple[int, ...] = (128, 128),
        learning_rate: float = 3e-3,
        weight_decay: float = 1.0,
        steps: int = 200,
        epochs: int = 20,
        random_state: int = 0,
    ) -> None:
        self.members = members
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = steps
        self.epochs = epochs
        self.random_state = random_state

    def check_params(self) -> None:
        """Raises UsageError for a parameter outside its range."""
        check_number("members", self.members, 1, 100, integer=True)
        check_hidden(self.hidden)
        check_training(
            self.learning_rate, self.weight_decay, self.steps, self.epochs, self.random_state
        )

    def _fit(self, X: Floats, y: Floats) -> None:
        self.scaling_ = Scaling.of(X, y)
        layers = self._train(*self.scaling_.apply(X, y))
        self.layers_ = [(w.detach(), b.detach()) for w, b in layers]

    def _initial(self, width: int, generator: torch.Generator) -> Layers:
        """Uniform weights; the last layer is 0: mean 0 and variance 1 at first."""
        layers: Layers = []
        sizes = [width, *self.hidden, 2]
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            bound = 0.0 if i == len(sizes) - 2 else 1 / math.sqrt(fan_in)
            weight = torch.empty(self.members, fan_in, fan_out)
            bias = torch.empty(self.members, 1, fan_out)
            weight.uniform_(-bound, bound, generator=generator)
            bias.uniform_(-bound, bound, generator=generator)
            layers.append((weight, bias))
        layers[0][0].mul_(FIRST_LAYER_GAIN)
        return [(w.requires_grad_(), b.requires_grad_()) for w, b in layers]

    def _train(self, features: Tensor, target: Tensor) -> Layers:
        generator = torch.Generator().manual_seed(int(self.random_state))
        layers = self._initial(features.shape[1], generator)

        def loss(rows: Rows) -> Tensor:
            mean, log_variance = _forward(features[rows], layers)
            variance = log_variance.exp()
            nll = (log_variance + (target[rows] - mean) ** 2 / variance) / 2
            # Summed over the members: each is trained as if it were alone.
            return (nll * variance.detach() ** _BETA).mean(1).sum()

        minimise(
            loss, itertools.chain(*layers), drawn(len(target), BATCH, generator),
            updates(self.steps, self.epochs, len(target), BATCH),
            self.learning_rate, self.weight_decay,
        )  # fmt: skip
        return layers

    def _moments(self, X: Floats) -> tuple[Floats, Floats]:
        with one_thread(), torch.no_grad():
            mean, variance = self.as_module().moments(torch.from_numpy(X.astype(np.float32)))
        return mean.double().numpy(), variance.double().numpy()

    def _predict(self, X: Floats) -> Floats:
        # The base class bounds the result; this only keeps exp from overflowing on the way.
        return np.asarray(np.exp(np.clip(self._moments(X)[0], -700, 700)))

    def predict_std(self, X: Any) -> Floats:
        """Returns the standard deviation of each prediction in the unit of y, float64 ``(n,)``,
        positive.

        It is that of a log-normal, ``predict(X) * sqrt(exp(v) - 1)`` with ``v`` the mixture's
        variance of log y: what the members think the noise is, and how far they disagree. It is not
        calibrated. Raises as ``predict`` does.
        """
        values = self.predict(X)
        if not len(values):
            return values
        _, variance = self._moments(np.asarray(X, np.float64))
        return np.asarray(values * np.sqrt(np.expm1(np.minimum(variance, _MOST_VARIANCE))))

    def as_module(self) -> EnsembleModule:
        """Returns a module of the ensemble's mean with a gradient, as the base class says."""
        self._require_fitted()
        return EnsembleModule(self.scaling_, self.layers_, self._bounds())

    def as_upper_module(self, deviations: float) -> EnsembleModule:
        """Returns a module as the base class says, with ``deviations`` from 0 to 100."""
        self._require_fitted()
        check_number("deviations", deviations, 0, 100)
        return EnsembleModule(self.scaling_, self.layers_, self._bounds(), float(deviations))

    def _arrays(self) -> Arrays:
        arrays = self.scaling_.arrays()
        for i, (weight, bias) in enumerate(self.layers_):
            arrays |= {f"weight{i}": weight.numpy(), f"bias{i}": bias.numpy()}
        return arrays

    def _restore(self, arrays: Arrays) -> int:
        self.scaling_ = Scaling.restored(arrays)
        width = len(self.scaling_.center)
        sizes = [width, *self.hidden, 2]
        self.layers_ = [
            (
                torch.from_numpy(
                    take(arrays, f"weight{i}", (self.members, *sizes[i : i + 2]), np.float32)
                ),
                torch.from_numpy(
                    take(arrays, f"bias{i}", (self.members, 1, sizes[i + 1]), np.float32)
                ),
            )
            for i in range(len(sizes) - 1)
        ]
        return width
