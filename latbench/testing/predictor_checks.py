"""The checks that every predictor must pass, as one call: ``check_predictor(mine, dataset)``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from latbench.encodings import encoding_of
from latbench.errors import UsageError
from latbench.predictors.base import LatencyPredictor
from latbench.store.dataset import LatencyDataset

Floats = npt.NDArray[np.float64]
_UNIT = 1e10


def _require(condition: bool, name: str, what: str) -> None:
    if not condition:
        raise AssertionError(f"predictor {name!r} {what}")


def _refuses(predictor: LatencyPredictor, what: str, call: Callable[[], object]) -> None:
    try:
        call()
    except UsageError as error:
        _require(len(str(error)) > 10, predictor.name, f"refuses {what} without saying why")
        return
    _require(False, predictor.name, f"accepts {what}; it must raise UsageError")


def _check_refusals(predictor: LatencyPredictor, fitted: LatencyPredictor, X: Any, y: Any) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        holed = X.copy()
        holed[1, 0] = bad
        _refuses(predictor, f"X with {bad}", lambda a=holed: clone(predictor).fit(a, y))  # type: ignore[misc]
        _refuses(predictor, f"X with {bad}", lambda a=holed: fitted.predict(a))  # type: ignore[misc]
    for bad in (0.0, -1e-3, np.nan, np.inf):
        times = y.copy()
        times[0] = bad
        _refuses(predictor, f"a value of {bad}", lambda t=times: clone(predictor).fit(X, t))  # type: ignore[misc]
    _refuses(predictor, "X of another width", lambda: fitted.predict(X[:, :-1]))
    _refuses(predictor, "X that is a vector", lambda: fitted.predict(X[0]))
    _refuses(predictor, "fewer values than rows", lambda: clone(predictor).fit(X, y[:-1]))


def _check_unit(predictor: LatencyPredictor, X: Any, y: Any, predicted: Floats) -> None:
    """Bytes are some 10^10 times as many as seconds."""
    scaled = clone(predictor).fit(X, _UNIT * y).predict(X) / _UNIT
    same = np.allclose(scaled, predicted, rtol=1e-3, atol=0)
    _require(same, predictor.name, "predicts otherwise in another unit")


def _check_intervals(fitted: LatencyPredictor, X: Any, y: Any, predicted: Floats) -> None:
    """Calibrated on training rows: the width is no matter here."""
    _refuses(fitted, "an interval without calibration", lambda: fitted.predict(X, 0.5))
    values, low, high = fitted.calibrate(y, 1.1 * predicted).predict(X, 0.5)
    _require(np.array_equal(values, predicted), fitted.name, "predicts otherwise with an interval")
    _require(bool((low <= values).all() and (values <= high).all()), fitted.name,
             "predicts a value outside its interval")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        fitted.save_state(Path(name))
        again = clone(fitted)
        again.load_state(Path(name))
    kept = np.array_equal(getattr(again, "scores_", np.zeros(0)), fitted.scores_)
    _require(kept, fitted.name, "has no calibration, or another one, after save and load")
    _require(np.array_equal(again.predict(X, 0.5)[2], high), fitted.name,
             "gives other intervals after save_state and load_state")  # fmt: skip


def _check_saved(fitted: LatencyPredictor, X: Any, predicted: Floats) -> None:
    with tempfile.TemporaryDirectory() as name:
        fitted.save_state(Path(name))
        again = clone(fitted)
        again.load_state(Path(name))
    same = np.array_equal(again.predict(X), predicted)
    _require(same, fitted.name, "predicts otherwise after save_state and load_state")
    _require(again.n_features_in_ == X.shape[1], fitted.name, "forgets its width when saved")


def _check_module(fitted: LatencyPredictor, X: Any, predicted: Floats) -> None:
    try:
        module = fitted.as_module()
    except UsageError:
        return
    import torch

    x = torch.tensor(X, dtype=torch.float32, requires_grad=True)
    values = module(x)
    _require(values.shape == (len(X),), fitted.name, f"as_module gives {tuple(values.shape)}")
    close = np.allclose(values.detach().numpy(), predicted, rtol=1e-4, atol=0)
    _require(close, fitted.name, "as_module differs from predict")
    values.sum().backward()
    gradient = x.grad
    _require(gradient is not None and bool(gradient.isfinite().all()), fitted.name,
             "as_module has no finite gradient")  # fmt: skip
    _require(gradient is not None and bool((gradient != 0).any()), fitted.name,
             "as_module has a zero gradient everywhere")  # fmt: skip
    _require(not any(p.requires_grad for p in module.parameters()), fitted.name,
             "as_module has parameters that a search would train")  # fmt: skip


def check_predictor(predictor: LatencyPredictor, dataset: LatencyDataset) -> None:
    """Raises AssertionError, saying what is wrong, unless ``predictor`` keeps the contract.

    ``dataset`` needs 10 rows or more, not all of one value. ``predictor`` is not changed.
    """
    name = predictor.name
    try:
        X = dataset.encode(encoding_of(predictor.encoding))
    except UsageError as error:
        raise AssertionError(f"predictor {name!r} reads no encoding: {error}") from error
    y = np.asarray(dataset.values, np.float64)
    copy = clone(predictor)
    _require(copy.get_params() == predictor.get_params(), name, "changes its parameters in clone")
    before = (X.copy(), y.copy())
    fitted = copy.fit(X, y)
    _require(fitted is copy, name, "does not return itself from fit")
    unchanged = np.array_equal(X, before[0]) and np.array_equal(y, before[1])
    _require(unchanged, name, "changes the data that it is fitted on")
    predicted = fitted.predict(X)
    _require(predicted.shape == y.shape and predicted.dtype == np.float64, name,
             f"predicts {predicted.dtype}{predicted.shape}, not float64{y.shape}")  # fmt: skip
    # A column that is one number in all rows may be what the encoding needs it to be.
    fixed = np.ptp(X, axis=0) == 0
    far = np.vstack([X, 100 * X, -100 * X, np.zeros_like(X[:1])])
    extreme = fitted.predict(np.where(fixed, X[:1], far))
    _require(bool(np.isfinite(extreme).all() and (extreme > 0).all()), name,
             "predicts values that are not positive and finite")  # fmt: skip
    _require(np.ptp(predicted) > 0, name, "predicts one value for everything")
    np.random.random(3)  # moves numpy's global generator: it must not matter
    again = clone(predictor).fit(X, y).predict(X)
    _require(np.array_equal(again, predicted), name, "gives another result for the same data")
    _check_unit(predictor, X, y, predicted)
    _check_saved(fitted, X, predicted)
    _check_module(fitted, X, predicted)
    _check_refusals(predictor, fitted, X, y)
    _check_intervals(fitted, X, y, predicted)
