"""The contract of every latency predictor. Pause before changing it: third parties build on it.

A predictor is a scikit-learn regressor with three additions: it says which encoding it reads, it
checks what it is given, and it keeps its fitted state in files that run no code when they are read.
The base class does the checking and the bounds, once; a family gives ``_fit``, ``_predict`` and its
arrays. One level of inheritance, apart from subclasses that only change ``name`` and ``encoding``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError

from latbench.encodings import Encoding
from latbench.errors import NotEnoughData, ParseError, UsageError
from latbench.predictors.gradients.layer_terms import why_no_sum
from latbench.predictors.intervals import conformal_scores, interval_factor
from latbench.predictors.safe_arrays import Arrays, read_arrays, take, write_arrays
from latbench.spaces import AnySpace
from latbench.store.dataset import LatencyDataset

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float64]
STATE_FILE = "state.safetensors"
MIN_ROWS = 2
# Predictions stay within this factor of the values seen in training: beyond it no model of a
# few hundred rows knows anything, and a search must not be drawn to a negative or infinite value.
BOUND = 10.0


def no_gradient(why: str) -> UsageError:
    """Returns the error for a predictor without a gradient in the one-hot encoding."""
    return UsageError(
        f"this predictor has no gradient that a search could follow: {why}; use one that has, "
        "such as mlp or ridge-counts (`latbench compare` names the best of them), and let this one "
        "judge what is found (--judge)"
    )


def check_number(name: str, value: Any, low: float, high: float, *, integer: bool = False) -> None:
    """Checks that a setting is a number in its range.

    Args:
        name: The setting's name.
        value: Its value.
        low: The smallest value that is allowed.
        high: The largest value that is allowed.
        integer: Whether it has to be an integer.

    Raises:
        UsageError: Unless it is such a number.
    """
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "an integer" if integer else "a number"
        raise UsageError(f"{name} must be {kind} from {low:g} to {high:g}, got {value!r}")


def check_features(X: Any, width: int | None = None) -> Floats:
    """Checks ``X`` and returns it as a finite float64 matrix ``(n, d)``, of ``width`` columns if
    given.

    Raises UsageError otherwise.
    """
    try:
        array = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"X must be a matrix of numbers (n, d), or a dataset: {error}; latbench.fit gives a "
            "model that takes architectures"
        ) from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise UsageError(f"X must be a matrix (n, d) with d >= 1, got shape {array.shape}")
    if width is not None and array.shape[1] != width:
        raise UsageError(
            f"X has {array.shape[1]} columns, the predictor was fitted on {width}; use the same "
            "space and encoding"
        )
    if not np.isfinite(array).all():
        raise UsageError("X holds NaN or infinity; encode the architectures again")
    return array


def check_latencies(y: Any, rows: int) -> Floats:
    """Checks ``y`` and returns it as float64 ``(rows,)``, finite and positive. Raises UsageError
    otherwise."""
    try:
        array = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"y must be a vector of numbers: {error}") from error
    if array.shape != (rows,):
        raise UsageError(f"y must hold one value for each of {rows} rows, got {array.shape}")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise UsageError(f"y must be positive and finite, row {row} is {array[row]}")
    return array


def _restored_scores(arrays: Arrays) -> Floats:
    scores: Floats = take(arrays, "calibration_scores", (None,), np.float64)
    if not len(scores) or scores[0] < 0 or (np.diff(scores) < 0).any():
        raise ParseError("the saved calibration scores must ascend from 0; save the model again")
    return scores


class LatencyPredictor(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A predictor of a positive cost from architecture vectors: seconds of latency, or another
    metric.

    Predictions scale with the unit: fitted on ``c * y`` they are ``c`` times as large.

    Fitted attributes: ``n_features_in_`` (d) and ``range_`` (smallest and largest value of the
    training set); each family adds its own. ``scores_`` are there after ``calibrate``.
    """

    name: ClassVar[str]
    encoding: ClassVar[str | Encoding]  # a name of latbench.encodings, or one of its own
    # Whether a search can follow it in every space: ``as_module`` has a gradient, and the encoding
    # is a sum of one-hot entries (``Encoding.one_hot_matrix``), not costs or layers.
    differentiable: ClassVar[bool] = False
    # Whether it is a sum over layers with a gradient, which a search can follow where the layers
    # are products of options, see ``latbench.predictors.gradients.expected_layers``.
    sums_layers: ClassVar[bool] = False
    deviating: ClassVar[bool] = False  # and whether ``as_upper_module`` has
    n_features_in_: int
    range_: Floats
    scores_: Floats

    @abstractmethod
    def check_params(self) -> None:
        """Raises UsageError for a constructor parameter that makes no sense."""

    @abstractmethod
    def _fit(self, X: Floats, y: Floats) -> None: ...

    @abstractmethod
    def _predict(self, X: Floats) -> Floats: ...

    @abstractmethod
    def _arrays(self) -> Arrays: ...

    @abstractmethod
    def _restore(self, arrays: Arrays) -> int:
        """Takes the fitted arrays and returns the number of features."""

    def fit(self, X: Any, y: Any = None) -> LatencyPredictor:
        """Fits on vectors ``X (n, d)`` and positive values ``y (n,)``, or on a LatencyDataset
        alone, which it encodes itself; returns itself.

        Raises UsageError for non-finite X, non-positive y, shapes that do not fit or a bad
        parameter, NotEnoughData for fewer than two rows.
        """
        self.check_params()
        if isinstance(X, LatencyDataset) and y is None:
            X, y = X.encode(self.encoding), X.values
        features = check_features(X)
        values = check_latencies(y, len(features))
        if len(features) < MIN_ROWS:
            raise NotEnoughData(f"a predictor needs {MIN_ROWS} rows or more, got {len(features)}")
        self.n_features_in_ = features.shape[1]
        self.range_ = np.array([values.min(), values.max()])
        self.__dict__.pop("scores_", None)  # they were those of another fit
        self._fit(features, values)
        return self

    def calibrate(self, y_true: Any, y_pred: Any) -> LatencyPredictor:
        """Learns from predictions ``y_pred`` of rows held out of the fit how wide intervals must
        be; returns itself.

        Predictions of a calibration set by this predictor give split-conformal intervals, the
        out-of-fold predictions of a cross-validation use all rows; see
        ``latbench.predictors.intervals``. Raises as ``conformal_scores`` does, NotFittedError
        before ``fit``.
        """
        self._require_fitted()
        self.scores_ = conformal_scores(y_true, y_pred)
        return self

    @overload
    def predict(self, X: Any, return_interval: None = None) -> Floats: ...

    @overload
    def predict(self, X: Any, return_interval: float) -> tuple[Floats, Floats, Floats]: ...

    def predict(
        self, X: Any, return_interval: float | None = None
    ) -> Floats | tuple[Floats, Floats, Floats]:
        """Predicts values in the unit of ``y``, float64 ``(n,)``, positive and finite.

        ``X`` is ``(n, d)``, or the architectures of a LatencyDataset.

        With ``return_interval``, a level such as 0.9: the values, and the lower and upper ends of
        intervals that cover the true value with that probability. Raises UsageError for X of
        another width or with non-finite values, for a bad level or without ``calibrate``,
        NotEnoughData for too few calibration rows, sklearn's NotFittedError before ``fit``.
        """
        self._require_fitted()
        features = self._checked(X.encode(self.encoding) if isinstance(X, LatencyDataset) else X)
        values = np.zeros(0)
        if len(features):
            values = np.clip(self._predict(features), *self._bounds())
        if return_interval is None:
            return values
        factor = interval_factor(self._calibrated(), return_interval)
        return values, values / factor, values * factor

    def unbounded(self, X: Any) -> Floats:
        """Predicts as ``predict`` does, but is not kept within the bounds of the training values,
        so that the parts of a sum, which are smaller than any network, add up to it. Raises as
        ``predict`` does."""
        self._require_fitted()
        return self._predict(self._checked(X))

    def _checked(self, X: Any) -> Floats:
        """``X`` as ``_predict`` takes it."""
        return check_features(X, self.n_features_in_)

    def guides(self, space: AnySpace | None) -> bool:
        """Returns whether a search in a space can follow it; None for networks of no space."""
        by_layers = self.sums_layers and space is not None and why_no_sum(space) is None
        return self.differentiable or by_layers

    def as_module(self) -> torch.nn.Module:
        """Returns the fitted predictor as a frozen torch module: encodings ``(m, d)`` to values
        ``(m,)``.

        It is differentiable in its input and equal to ``predict`` up to float32 rounding. Each call
        makes a fresh module. Raises UsageError for a family that has no gradients.
        """
        raise no_gradient(f"{self.name!r} is not differentiable")

    def as_upper_module(self, deviations: float) -> torch.nn.Module:
        """Returns ``as_module`` plus ``deviations`` times ``predict_std``: a bound from above.

        Raises UsageError for a family that has no differentiable deviation.
        """
        raise UsageError(
            f"predictor {self.name!r} gives no deviation that a search can differentiate; use "
            "mlp-ensemble, which does"
        )

    def save_state(self, directory: Path) -> None:
        """Writes the fitted state into an existing directory."""
        self._require_fitted()
        arrays = {"range": self.range_, **self._arrays()}
        if hasattr(self, "scores_"):
            arrays["calibration_scores"] = self.scores_
        write_arrays(directory / STATE_FILE, arrays)

    def load_state(self, directory: Path) -> None:
        """Reads what ``save_state`` wrote, for a predictor with the same parameters.

        Raises ParseError when it is broken or does not fit these parameters.
        """
        arrays = read_arrays(directory / STATE_FILE)
        # Its name until there were other metrics than latency.
        key = "range" if "range" in arrays else "latency_range_s"
        low, high = take(arrays, key, (2,), np.float64)
        if not 0 < low <= high:
            raise ParseError(
                f"the predictor saved in {directory} has a range of values from {low} to {high}; "
                "both must be positive, save it again"
            )
        self.n_features_in_ = self._restore(arrays)
        self.range_ = np.array([low, high])
        self.__dict__.pop("scores_", None)
        if "calibration_scores" in arrays:
            self.scores_ = _restored_scores(arrays)

    def _calibrated(self) -> Floats:
        if not hasattr(self, "scores_"):
            raise UsageError(
                f"predictor {self.name!r} has no calibration, so no intervals; fit it again with "
                "`latbench fit`, or call calibrate with predictions of held-out rows"
            )
        return self.scores_

    def _bounds(self) -> tuple[float, float]:
        low, high = self.range_
        return float(low / BOUND), float(high * BOUND)

    def _require_fitted(self) -> None:
        if not hasattr(self, "range_"):
            raise NotFittedError(f"predictor {self.name!r} is not fitted; call fit first")
