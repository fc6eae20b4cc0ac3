"""Ridge regression without a logarithm: latency is close to a sum of what the operations cost.

Rows are weighted by 1/y^2, so that the squared *relative* error is minimised; the penalty is chosen
by leave-one-out cross-validation (scikit-learn's RidgeCV, in closed form). On operation counts this
is the baseline that published predictors are measured against far too seldom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.linear_model import RidgeCV

from latbench.errors import UsageError
from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.safe_arrays import Arrays, take

if TYPE_CHECKING:
    import torch

ALPHAS = tuple(float(a) for a in np.logspace(-4, 4, 33))


class Ridge(LatencyPredictor):
    """A ridge regression on standardised features times their gains, one penalty for all.

    Fitted: ``coef_`` (y a unit of each raw feature), ``center_`` (the features' means),
    ``intercept_`` (y at the means) and ``alpha_``, and until it is saved ``loo_error_`` (mean
    squared relative error, leave-one-out).
    """

    def __init__(self, alphas: tuple[float, ...] = ALPHAS) -> None:
        self.alphas = alphas

    def check_params(self) -> None:
        """Raises UsageError unless ``alphas`` is a tuple of positive numbers."""
        if not isinstance(self.alphas, tuple) or not 1 <= len(self.alphas) <= 1000:
            raise UsageError(f"alphas must be 1 to 1000 positive numbers, got {self.alphas!r}")
        for alpha in self.alphas:
            check_number("alpha", alpha, 1e-12, 1e12)

    def _features(self, X: Floats) -> Floats:
        """Returns what the latency is a sum of, for vectors of the encoding."""
        return X

    def _gains(self, features: int) -> Floats:
        """Returns how freely each feature may be used, relative to the others."""
        return np.ones(features)

    def _fit(self, X: Floats, y: Floats) -> None:
        X = self._features(X)
        self.center_ = X.mean(axis=0)
        scale = X.std(axis=0)
        # A feature that is constant but for rounding carries nothing; dividing would blow it up.
        scale[scale <= 1e-9 * np.abs(self.center_)] = np.inf
        scale[scale == 0] = np.inf
        with np.errstate(divide="ignore"):  # a gain of 0 leaves a feature out
            scale = scale / self._gains(X.shape[1])
        unit = y.mean()
        weights = (unit / y) ** 2
        model = RidgeCV(list(self.alphas))  # scikit-learn fails on a tuple of one (2026-11-24)
        model.fit((X - self.center_) / scale, y / unit, sample_weight=weights)
        self.coef_: Floats = np.asarray(model.coef_, np.float64) / scale * unit
        self.intercept_ = float(model.intercept_ * unit)
        self.alpha_ = float(model.alpha_)
        self.loo_error_ = -float(model.best_score_)

    def _predict(self, X: Floats) -> Floats:
        return np.asarray((self._features(X) - self.center_) @ self.coef_ + self.intercept_)

    def _arrays(self) -> Arrays:
        scalars = np.array([self.intercept_, self.alpha_])
        return {"center": self.center_, "coef": self.coef_, "intercept_alpha": scalars}

    def _restore(self, arrays: Arrays) -> int:
        center = take(arrays, "center", (None,), np.float64)
        self.coef_ = take(arrays, "coef", center.shape, np.float64)
        self.intercept_, self.alpha_ = map(float, take(arrays, "intercept_alpha", (2,), np.float64))
        self.center_ = center
        return len(center)

    def as_module(self) -> torch.nn.Module:
        """Returns a module with a gradient, as the base class says."""
        from latbench.predictors.gradients.modules import LinearLatency

        self._require_fitted()
        return LinearLatency(self.center_, self.coef_, self.intercept_, self._bounds())


class RidgeCost(Ridge):
    """A ridge on multiply-accumulates, parameters, bytes moved and layers: the honest baseline."""

    name: ClassVar[str] = "ridge-cost"
    encoding: ClassVar[str] = "cost"


class RidgeCounts(Ridge):
    """A ridge on how often each operation occurs in each kind of place: additive costs."""

    name: ClassVar[str] = "ridge-counts"
    encoding: ClassVar[str] = "counts"
    differentiable: ClassVar[bool] = True


class RidgeOneHot(Ridge):
    """A cost for each operation on each edge; needs about three rows a feature."""

    name: ClassVar[str] = "ridge-one-hot"
    encoding: ClassVar[str] = "one_hot"
    differentiable: ClassVar[bool] = True
