"""The predictors by name, in a table of strings: naming them imports no framework.

Third parties register in their distribution's metadata, in the entry-point group
``latbench.predictors``; a name of the table below cannot be taken over.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from latbench.errors import UsageError, did_you_mean, unknown
from latbench.plugins import Registry

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor

ENTRY_POINT_GROUP = "latbench.predictors"

BUILT_IN = {
    "gnn": "latbench.predictors.families.gnn:GNN",
    "lightgbm": "latbench.predictors.families.boosted_trees:BoostedTrees",
    "lookup": "latbench.predictors.families.lookup_table:LookupTable",
    "mixture-one-hot": "latbench.predictors.families.mixture:MixtureOneHot",
    "mlp": "latbench.predictors.families.mlp:MLP",
    "mlp-ensemble": "latbench.predictors.families.mlp_ensemble:MLPEnsemble",
    "mlp-one-hot": "latbench.predictors.families.mlp:MLPOneHot",
    "ridge-cost": "latbench.predictors.families.ridge:RidgeCost",
    "ridge-counts": "latbench.predictors.families.ridge:RidgeCounts",
    "ridge-layers": "latbench.predictors.families.ridge_layers:RidgeLayers",
    "ridge-one-hot": "latbench.predictors.families.ridge:RidgeOneHot",
    "roofline": "latbench.predictors.families.roofline:Roofline",
    "xgboost": "latbench.predictors.families.xgboost_trees:XgboostTrees",
}
# Fitting these needs a library that is an extra; loading a saved one does not.
_OPTIONAL = {"xgboost": "xgboost"}
PREDICTORS: tuple[str, ...] = tuple(
    name for name in BUILT_IN if name not in _OPTIONAL or importlib.util.find_spec(_OPTIONAL[name])
)


_REGISTRY = Registry(
    "predictor", ENTRY_POINT_GROUP, "latbench.predictors.base:LatencyPredictor", BUILT_IN
)


def predictor_names() -> tuple[str, ...]:
    """Returns every name that can be fitted here: ``PREDICTORS`` and those of installed
    distributions."""
    return (*PREDICTORS, *sorted(_REGISTRY.plugins()))


def predictor_class(name: str, source: str | None = None) -> type[LatencyPredictor]:
    """Returns the class of a predictor by its name, or by ``"module:Class"``, which imports
    ``module``.

    ``source`` is the file that the name was read from, None when a user named it: a file may not
    import a module, see latbench.plugins. Raises UsageError, or ParseError for such a file.
    """
    return _REGISTRY.find(name, source)


def predictor_name(predictor: LatencyPredictor) -> str:
    """Returns the name that ``make_predictor`` takes: the registered one, or ``"module:Class"``."""
    return _REGISTRY.name_of(type(predictor))


def require_predictor(name: str) -> None:
    """Raises UsageError unless ``name`` is the one name of a predictor that can be fitted here."""
    if name in PREDICTORS:
        return
    if name in BUILT_IN:
        raise UsageError(unknown("predictor", name, PREDICTORS))
    registered = _REGISTRY.name_of(predictor_class(name))
    if registered != name:
        raise UsageError(f"the predictor {name!r} is registered as {registered!r}; name it so")


def make_predictor(name: str, **params: Any) -> LatencyPredictor:
    """Makes an unfitted predictor by its registry name or ``"module:Class"``; ``params`` are its
    constructor's.

    A list is taken where the default is a tuple (a TOML or JSON file has no tuples).
    Raises UsageError for an unknown name or parameter, or a value that makes no sense.
    """
    return build_predictor(predictor_class(name), name, params)


def build_predictor(
    cls: type[LatencyPredictor], name: str, params: Mapping[str, Any]
) -> LatencyPredictor:
    """Makes a predictor, as ``make_predictor`` does, of a class that was found already."""
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
