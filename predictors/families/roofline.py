"""The roofline model, a layer at a time (Williams, Waterman and Patterson, 2009,
https://doi.org/10.1145/1498765.1498785), with fitted coefficients:

    y = sum over layers of max(a * macs, b * bytes) + c * layers + d,    a, b, c, d >= 0

``1/a`` is the multiply-accumulates a second and ``1/b`` the bytes a second that the device can
reach, ``c`` what starting a layer costs and ``d`` what a run does. For a given ratio ``a / b`` the
model is linear in b, c and d: the ratio is searched on a grid, twice, and the rest is non-negative
least squares on relative errors. Where that leaves only d, the layers must explain all of y, and d
is 0. All this once with every layer and once without those that an optimiser can save
(``latbench.networks.optimisation``); the smaller error is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.optimize import nnls

from latbench.encodings.layers import LayerTable, unpack_layers
from latbench.errors import ParseError
from latbench.predictors.base import Floats, LatencyPredictor
from latbench.predictors.safe_arrays import Arrays, take

if TYPE_CHECKING:
    import torch

# Bytes that are moved in the time of one multiply-accumulate; hardware lies from 0.01 to 10.
_RATIOS = np.logspace(-4, 4, 81)
_REFINED = np.logspace(-0.1, 0.1, 21)


def relative_nnls(A: Floats, y: Floats) -> tuple[Floats, float]:
    """Finds non-negative ``x`` of least ``sum((A x / y - 1)^2)``, and that sum's root.

    A column that is 0 everywhere gets 0.
    """
    scaled = A / y[:, None]
    norms = np.linalg.norm(scaled, axis=0)
    norms[norms == 0] = np.inf
    x, residual = nnls(scaled / norms, np.ones(len(y)))
    return np.asarray(x / norms), float(residual)


def _fitted(
    layers: LayerTable, y: Floats, *, optimised: bool, constant: bool
) -> tuple[float, Floats]:
    """The least relative error and its coefficients (a, b, c, d); without ``constant`` d is 0."""
    count, macs, moved = layers.run(optimised), layers.macs, layers.bytes_moved
    found: list[tuple[float, Floats]] = []

    def error_at(a: float, b: float) -> float:
        busy = (count * np.maximum(a * macs, b * moved)).sum(axis=1)
        A = np.stack([busy, count.sum(axis=1), np.full(len(y), float(constant))], axis=1)
        (scale, c, d), error = relative_nnls(A, y)
        found.append((error, np.array([scale * a, scale * b, c, d])))
        return error

    error_at(1.0, 0.0)  # arithmetic alone
    ratio = min(_RATIOS, key=lambda r: error_at(float(r), 1.0))
    for factor in _REFINED:
        error_at(float(ratio * factor), 1.0)
    return min(found, key=lambda pair: pair[0])


class Roofline(LatencyPredictor):
    """A roofline of four coefficients, which works from a handful of rows on.

    Fitted: ``coefficients_`` (a, b, c, d) and ``optimised_``, whether repeated and fusible layers
    are left out.
    """

    name: ClassVar[str] = "roofline"
    encoding: ClassVar[str] = "layers"
    sums_layers: ClassVar[bool] = True

    def check_params(self) -> None:
        """Checks nothing, since there are no parameters."""

    def _fit(self, X: Floats, y: Floats) -> None:
        layers, fits = unpack_layers(X), []
        for optimised in (False, True):
            error, found = _fitted(layers, y, optimised=optimised, constant=True)
            if not found[:3].any():
                error, found = _fitted(layers, y, optimised=optimised, constant=False)
            fits.append((error, optimised, found))
        _, self.optimised_, self.coefficients_ = min(fits, key=lambda fit: fit[0])

    def _predict(self, X: Floats) -> Floats:
        a, b, c, d = self.coefficients_
        layers = unpack_layers(X)
        busy = np.maximum(a * layers.macs, b * layers.bytes_moved) + c
        return np.asarray((layers.run(self.optimised_) * busy).sum(axis=1) + d)

    def as_module(self) -> torch.nn.Module:
        """Returns a module as the base class says.

        It is differentiable in counts, multiply-accumulates and bytes.
        """
        from latbench.predictors.gradients.layer_modules import RooflineLatency

        self._require_fitted()
        return RooflineLatency(self.coefficients_, self.optimised_, self._bounds())

    def _arrays(self) -> Arrays:
        # The width is kept by the shape of an array that is otherwise unused.
        return {
            "coefficients": self.coefficients_,
            "optimised": np.array([float(self.optimised_)]),
            "width": np.zeros(self.n_features_in_),
        }

    def _restore(self, arrays: Arrays) -> int:
        self.coefficients_ = take(arrays, "coefficients", (4,), np.float64)
        if (self.coefficients_ < 0).any():
            raise ParseError("the saved roofline has a negative coefficient; save it again")
        self.optimised_ = bool(take(arrays, "optimised", (1,), np.float64)[0])
        return len(take(arrays, "width", (None,), np.float64))
