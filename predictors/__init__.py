"""Latency predictors: architecture vectors to seconds (or another metric), one family a file.

A minimal predictor:

    class Mean(LatencyPredictor):
        name: ClassVar[str] = "mean"
        encoding: ClassVar[str] = "cost"

        def check_params(self): ...          # UsageError for a parameter that makes no sense
        def _fit(self, X, y): ...            # X (n, d) float64, y (n,) positive, both checked
        def _predict(self, X): ...           # like y (n,)
        def _arrays(self): ...               # what was fitted, by name
        def _restore(self, arrays): ...      # the reverse; ParseError when it does not fit

``latbench.testing.predictor_checks.check_predictor`` says whether it keeps the contract. One of
your own is named ``"module:Class"``, or registered in its distribution's metadata, in the
entry-point group ``latbench.predictors``; a built-in name cannot be taken over. This module imports
no framework, so that naming the predictors costs nothing; each one is imported when it is made, or
when its class is first used: ``latbench.predictors.MLP(hidden=(64, 64))``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latbench.predictors.registry import (
    BUILT_IN,
    ENTRY_POINT_GROUP,
    PREDICTORS,
    make_predictor,
    predictor_class,
    predictor_name,
    predictor_names,
    require_predictor,
)

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor
    from latbench.predictors.families.boosted_trees import BoostedTrees
    from latbench.predictors.families.gnn import GNN
    from latbench.predictors.families.lookup_table import LookupTable
    from latbench.predictors.families.mixture import MixtureOneHot
    from latbench.predictors.families.mlp import MLP, MLPOneHot
    from latbench.predictors.families.mlp_ensemble import MLPEnsemble
    from latbench.predictors.families.ridge import RidgeCost, RidgeCounts, RidgeOneHot
    from latbench.predictors.families.ridge_layers import RidgeLayers
    from latbench.predictors.families.roofline import Roofline
    from latbench.predictors.families.xgboost_trees import XgboostTrees
    from latbench.predictors.model import LatencyModel

__all__ = [
    "ENTRY_POINT_GROUP",
    "GNN",
    "MLP",
    "PREDICTORS",
    "BoostedTrees",
    "LatencyModel",
    "LatencyPredictor",
    "LookupTable",
    "MLPEnsemble",
    "MLPOneHot",
    "MixtureOneHot",
    "RidgeCost",
    "RidgeCounts",
    "RidgeLayers",
    "RidgeOneHot",
    "Roofline",
    "XgboostTrees",
    "make_predictor",
    "predictor_class",
    "predictor_name",
    "predictor_names",
    "require_predictor",
]

# Where each class that is offered here lives.
_HOME = {reference.partition(":")[2]: reference for reference in BUILT_IN.values()} | {
    "LatencyModel": "latbench.predictors.model:LatencyModel",
    "LatencyPredictor": "latbench.predictors.base:LatencyPredictor",
}


def _imported(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return _imported(_HOME[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
