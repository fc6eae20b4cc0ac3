"""Latency predictors: architecture vectors to seconds (or another metric), one family a file.

A minimal predictor::

    class Mean(LatencyPredictor):
        name: ClassVar[str] = "mean"
        encoding: ClassVar[str] = "cost"

        def check_params(self): ...          # UsageError for a parameter that makes no sense
        def _fit(self, X, y): ...            # X (n, d) float64, y (n,) positive, both checked
        def _predict(self, X): ...           # like y (n,)
        def _arrays(self): ...               # what was fitted, by name
        def _restore(self, arrays): ...      # the reverse; ParseError when it does not fit

``latbench.predictors.conformance.check_predictor`` says whether it keeps the contract. This module
imports no framework, so that naming the predictors costs nothing; each one is imported when it is
made.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import TYPE_CHECKING, Any

from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor

__all__ = ["DEVIATING", "DIFFERENTIABLE", "PREDICTORS", "make_predictor"]

_TABLE = {
    "gnn": "latbench.predictors.gnn:Gnn",
    "lightgbm": "latbench.predictors.boosted_trees:BoostedTrees",
    "lookup": "latbench.predictors.lookup_table:LookupTable",
    "mixture-one-hot": "latbench.predictors.mixture:MixtureOneHot",
    "mlp": "latbench.predictors.mlp:Mlp",
    "mlp-ensemble": "latbench.predictors.mlp_ensemble:MlpEnsemble",
    "mlp-one-hot": "latbench.predictors.mlp:MlpOneHot",
    "ridge-cost": "latbench.predictors.ridge:RidgeCost",
    "ridge-counts": "latbench.predictors.ridge:RidgeCounts",
    "ridge-layers": "latbench.predictors.ridge_layers:RidgeLayers",
    "ridge-one-hot": "latbench.predictors.ridge:RidgeOneHot",
    "roofline": "latbench.predictors.roofline:Roofline",
    "xgboost": "latbench.predictors.xgboost_trees:XgboostTrees",
}
# Fitting these needs a library that is an extra; loading a saved one does not.
_OPTIONAL = {"xgboost": "xgboost"}
PREDICTORS: tuple[str, ...] = tuple(
    name for name in _TABLE if name not in _OPTIONAL or importlib.util.find_spec(_OPTIONAL[name])
)
# Those that a search can use. ``ridge-cost`` has gradients too, but only in FLOPs and the like,
# which are no function of a relaxed architecture; so have `lookup`, `ridge-layers` and `roofline`,
# in layers.
DIFFERENTIABLE: tuple[str, ...] = (
    "mlp", "mlp-ensemble", "mlp-one-hot", "ridge-counts", "ridge-one-hot", "mixture-one-hot",
)  # fmt: skip
# Those of them that also say, with a gradient, how far off they may be.
DEVIATING: tuple[str, ...] = ("mlp-ensemble",)


def make_predictor(name: str, **params: Any) -> LatencyPredictor:
    """An unfitted predictor by its registry name; ``params`` are its constructor's.

    A list is taken where the default is a tuple (a TOML or JSON file has no tuples).
    Raises UsageError for an unknown name or parameter, or a value that makes no sense.
    """
    if name not in _TABLE:
        raise UsageError(f"unknown predictor {name!r}; expected one of {', '.join(PREDICTORS)}")
    module, _, attribute = _TABLE[name].partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    known = inspect.signature(cls).parameters
    for key, value in params.items():
        if key not in known:
            raise UsageError(f"predictor {name!r} has no parameter {key!r}; it has "
                             f"{', '.join(known)}")  # fmt: skip
        if isinstance(known[key].default, tuple) and isinstance(value, list):
            params[key] = tuple(value)
    predictor: LatencyPredictor = cls(**params)
    predictor.check_params()
    return predictor
