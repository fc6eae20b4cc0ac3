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

``latbench.predictors.conformance.check_predictor`` says whether it keeps the contract. One of your
own is named ``"module:Class"``, or registered in its distribution's metadata, in the entry-point
group ``latbench.predictors``; a name of the table below cannot be taken over. This module
imports no framework, so that naming the predictors costs nothing; each one is imported when it is
made, or when its class is first used: ``latbench.predictors.MLP(hidden=(64, 64))``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from latbench.errors import UsageError, did_you_mean, unknown
from latbench.plugins import Registry

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor
    from latbench.predictors.boosted_trees import BoostedTrees
    from latbench.predictors.gnn import GNN
    from latbench.predictors.lookup_table import LookupTable
    from latbench.predictors.mixture import MixtureOneHot
    from latbench.predictors.mlp import MLP, MLPOneHot
    from latbench.predictors.mlp_ensemble import MLPEnsemble
    from latbench.predictors.model import LatencyModel
    from latbench.predictors.ridge import RidgeCost, RidgeCounts, RidgeOneHot
    from latbench.predictors.ridge_layers import RidgeLayers
    from latbench.predictors.roofline import Roofline
    from latbench.predictors.xgboost_trees import XgboostTrees

__all__ = [
    "DEVIATING",
    "DIFFERENTIABLE",
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

ENTRY_POINT_GROUP = "latbench.predictors"

_TABLE = {
    "gnn": "latbench.predictors.gnn:GNN",
    "lightgbm": "latbench.predictors.boosted_trees:BoostedTrees",
    "lookup": "latbench.predictors.lookup_table:LookupTable",
    "mixture-one-hot": "latbench.predictors.mixture:MixtureOneHot",
    "mlp": "latbench.predictors.mlp:MLP",
    "mlp-ensemble": "latbench.predictors.mlp_ensemble:MLPEnsemble",
    "mlp-one-hot": "latbench.predictors.mlp:MLPOneHot",
    "ridge-cost": "latbench.predictors.ridge:RidgeCost",
    "ridge-counts": "latbench.predictors.ridge:RidgeCounts",
    "ridge-layers": "latbench.predictors.ridge_layers:RidgeLayers",
    "ridge-one-hot": "latbench.predictors.ridge:RidgeOneHot",
    "roofline": "latbench.predictors.roofline:Roofline",
    "xgboost": "latbench.predictors.xgboost_trees:XgboostTrees",
}
# Where each class that is offered here lives.
_HOME = {reference.partition(":")[2]: reference for reference in _TABLE.values()} | {
    "LatencyModel": "latbench.predictors.model:LatencyModel",
    "LatencyPredictor": "latbench.predictors.base:LatencyPredictor",
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


def _imported(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return _imported(_HOME[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOME]


_REGISTRY = Registry(
    "predictor", ENTRY_POINT_GROUP, "latbench.predictors.base:LatencyPredictor", _TABLE
)


def predictor_names() -> tuple[str, ...]:
    """Every name that can be fitted here: ``PREDICTORS`` and those of installed distributions."""
    return (*PREDICTORS, *sorted(_REGISTRY.plugins()))


def predictor_class(name: str, source: str | None = None) -> type[LatencyPredictor]:
    """The class of a predictor by its name, or by ``"module:Class"``, which imports ``module``.

    ``source`` is the file that the name was read from, None when somebody said it: a file may not
    import a module, see latbench.plugins. Raises UsageError, or ParseError for such a file.
    """
    return _REGISTRY.find(name, source)


def predictor_name(predictor: LatencyPredictor) -> str:
    """The name that ``make_predictor`` takes: the registered one, or ``"module:Class"``."""
    return _REGISTRY.name_of(type(predictor))


def require_predictor(name: str) -> None:
    """Raises UsageError unless ``name`` is the one name of a predictor that can be fitted here."""
    if name in PREDICTORS:
        return
    if name in _TABLE:
        raise UsageError(unknown("predictor", name, PREDICTORS))
    registered = _REGISTRY.name_of(predictor_class(name))
    if registered != name:
        raise UsageError(f"the predictor {name!r} is registered as {registered!r}; name it so")


def make_predictor(name: str, **params: Any) -> LatencyPredictor:
    """An unfitted predictor by its registry name or ``"module:Class"``; ``params`` are its
    constructor's.

    A list is taken where the default is a tuple (a TOML or JSON file has no tuples).
    Raises UsageError for an unknown name or parameter, or a value that makes no sense.
    """
    return build_predictor(predictor_class(name), name, params)


def build_predictor(
    cls: type[LatencyPredictor], name: str, params: Mapping[str, Any]
) -> LatencyPredictor:
    """``make_predictor`` of a class that was found already."""
    known = inspect.signature(cls).parameters
    values = dict(params)
    for key, value in params.items():
        if key not in known:
            raise UsageError(
                f"predictor {name!r} has no parameter {key!r}{did_you_mean(key, known)} it "
                f"has {', '.join(known)}"
            )
        if isinstance(known[key].default, tuple) and isinstance(value, list):
            values[key] = tuple(value)
    try:
        predictor = cls(**values)
    except TypeError as error:
        raise UsageError(f"predictor {name!r} cannot be made: {error}") from error
    predictor.check_params()
    return predictor


def require_restorable(name: str) -> None:
    """Raises UsageError when a saved model could not be loaded by this ``predictor_name``."""
    if "." in name.partition(":")[2]:
        raise UsageError(
            f"the predictor {name} must be a class at the top level of its module to be saved"
        )
