"""Gradient-boosted trees on log-latency, by XGBoost (Chen and Guestrin, 2016,
https://arxiv.org/abs/1603.02754; https://xgboost.readthedocs.io).

Only ``fit`` needs the library: it is read out of XGBoost's JSON into plain arrays at once, and
predictions are made from those. So a saved model holds no file that XGBoost would have to be
trusted to read, needs no XGBoost, and outlives changes of its format.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from latbench.errors import ParseError, UsageError
from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.safe_arrays import Arrays, take

Ints = npt.NDArray[np.int64]
MAX_NODES = 20_000_000


class Trees(NamedTuple):
    """The nodes of all trees in one numbering; a leaf's children are itself.

    ``roots (trees,)``; ``left``, ``right``, ``feature``, ``value (nodes,)``. A row goes left where
    its feature is below ``value``; at a leaf ``value`` is what it adds.
    """

    roots: Ints
    left: Ints
    right: Ints
    feature: Ints
    value: npt.NDArray[np.float32]


def trees_of(document: Any) -> Trees:
    """Reads the trees of a model that XGBoost wrote as JSON.

    Format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
    """
    parts: list[tuple[Ints, ...]] = []
    values, roots, start = [], [], 0
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        left, right = (np.array(tree[f"{side}_children"], np.int64) for side in ("left", "right"))
        own = np.arange(len(left)) + start
        inner = left >= 0
        parts.append(
            (
                np.where(inner, left + start, own),
                np.where(inner, right + start, own),
                np.array(tree["split_indices"], np.int64),
            )
        )
        # A leaf's value stands where a split's threshold does.
        values.append(np.array(tree["split_conditions"], np.float32))
        roots.append(start)
        start += len(left)
    left, right, feature = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trees(np.array(roots), left, right, feature, np.concatenate(values))


def predict_trees(trees: Trees, X: Floats) -> Floats:
    """Sums the leaves that each row reaches, float64 ``(n,)``. XGBoost compares float32."""
    rows = np.arange(len(X))[:, None]
    x = np.clip(X, -3e38, 3e38).astype(np.float32)
    at = np.broadcast_to(trees.roots, (len(X), len(trees.roots)))
    while True:
        low = x[rows, trees.feature[at]] < trees.value[at]
        further = np.where(low, trees.left[at], trees.right[at])
        if np.array_equal(further, at):
            return np.asarray(trees.value[at].astype(np.float64).sum(axis=1))
        at = further


def _indices(arrays: Arrays, name: str, shape: tuple[int | None, ...], below: int) -> Ints:
    """An array of whole numbers from 0 to ``below - 1``. Raises ParseError."""
    numbers = take(arrays, name, shape, np.float64)
    if not ((numbers >= 0) & (numbers < below) & (numbers == np.floor(numbers))).all():
        raise ParseError(f"tensor {name!r} of the saved predictor is damaged; save it again")
    return numbers.astype(np.int64)


class XgboostTrees(LatencyPredictor):
    """An XGBoost regression on the logarithm of y, one thread, the same for a ``random_state``.

    Parameters have XGBoost's meaning. ``fit`` raises UsageError when it is not installed. Fitted:
    ``trees_``, ``level_`` and ``spread_`` of log y.
    """

    name: ClassVar[str] = "xgboost"
    encoding: ClassVar[str] = "counts"

    def __init__(
        self,
        n_estimators: int = 400,
        learning_rate: float = 0.05,
        max_depth: int = 3,
        min_child_weight: float = 3.0,
        reg_lambda: float = 1.0,
        subsample: float = 0.8,
        random_state: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.reg_lambda = reg_lambda
        self.subsample = subsample
        self.random_state = random_state

    def check_params(self) -> None:
        """Raises UsageError for a parameter outside its range."""
        check_number("n_estimators", self.n_estimators, 1, 100_000, integer=True)
        check_number("learning_rate", self.learning_rate, 1e-6, 1)
        check_number("max_depth", self.max_depth, 1, 16, integer=True)
        check_number("min_child_weight", self.min_child_weight, 0, 1e9)
        check_number("reg_lambda", self.reg_lambda, 0, 1e9)
        check_number("subsample", self.subsample, 0.01, 1)
        check_number("random_state", self.random_state, 0, 2**31 - 1, integer=True)

    def _fit(self, X: Floats, y: Floats) -> None:
        try:
            import xgboost
        except ImportError as error:
            raise UsageError(
                "predictor 'xgboost' needs XGBoost; install latbench[xgboost]"
            ) from error
        log = np.log(y)
        self.level_, self.spread_ = float(log.mean()), float(log.std()) or 1.0
        params = {
            "objective": "reg:squarederror",
            "base_score": 0.0,
            "tree_method": "exact",
            "nthread": 1,
            "verbosity": 0,
            "eta": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "lambda": self.reg_lambda,
            "subsample": self.subsample,
            "seed": self.random_state,
        }
        data = xgboost.DMatrix(X, (log - self.level_) / self.spread_, nthread=1)
        booster = xgboost.train(params, data, self.n_estimators)
        self.trees_ = trees_of(json.loads(bytes(booster.save_raw("json"))))

    def _predict(self, X: Floats) -> Floats:
        log = predict_trees(self.trees_, X) * self.spread_ + self.level_
        # The base class bounds the result; this only keeps exp from overflowing on the way.
        return np.asarray(np.exp(np.clip(log, -700, 700)))

    def _arrays(self) -> Arrays:
        trees = self.trees_._asdict()
        arrays: Arrays = {k: v.astype(np.float64) for k, v in trees.items() if k != "value"}
        numbers = np.array([self.level_, self.spread_, self.n_features_in_])
        return {**arrays, "value": self.trees_.value, "numbers": numbers}

    def _restore(self, arrays: Arrays) -> int:
        value = take(arrays, "value", (None,), np.float32)
        level, spread, width = map(float, take(arrays, "numbers", (3,), np.float64))
        n = len(value)
        if not (0 < n <= MAX_NODES and spread > 0 and width >= 1 and width.is_integer()):
            raise ParseError("the saved trees are damaged; save the predictor again")
        left, right = (_indices(arrays, side, (n,), n) for side in ("left", "right"))
        own, leaf = np.arange(n), left == np.arange(n)
        # Children come after their parents, so that no walk can go round in a circle.
        if not np.where(leaf, right == own, (left > own) & (right > own)).all():
            raise ParseError("the saved trees have a circle; save the predictor again")
        self.trees_ = Trees(
            _indices(arrays, "roots", (None,), n), left, right,
            _indices(arrays, "feature", (n,), int(width)), value,
        )  # fmt: skip
        self.level_, self.spread_ = level, spread
        return int(width)
