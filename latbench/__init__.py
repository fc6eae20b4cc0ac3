"""Measure, model and search neural-architecture latency on any runtime.

In a notebook (``docs/python.md``):

    space = latbench.spaces.darts(channels=16, cells=8)
    store = latbench.measure(space, backend="onnxruntime", n=200)
    model = latbench.fit(store.dataset(), "mlp")
    model.predict([space.reference()])  # seconds

The names below are loaded when they are first used, so that ``import latbench`` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from latbench._version import __version__

if TYPE_CHECKING:
    from latbench import (
        backends,
        campaign,
        predictors,
        report,
        search,
        spaces,
        testing,
        timing,
    )
    from latbench.api import compare, fit, measure, profile
    from latbench.models import Model, export_model
    from latbench.predictors.model import LatencyModel
    from latbench.store import Store
    from latbench.store.dataset import LatencyDataset

_HOME = {
    "LatencyDataset": "store.dataset",
    "LatencyModel": "predictors.model",
    "Model": "models",
    "Store": "store",
    "compare": "api",
    "export_model": "models",
    "fit": "api",
    "measure": "api",
    "profile": "api",
}
_PACKAGES = (
    "backends", "campaign", "predictors", "report", "search", "spaces", "testing", "timing",
)  # fmt: skip

__all__ = [
    "LatencyDataset",
    "LatencyModel",
    "Model",
    "Store",
    "__version__",
    "backends",
    "campaign",
    "compare",
    "export_model",
    "fit",
    "measure",
    "predictors",
    "profile",
    "report",
    "search",
    "spaces",
    "testing",
    "timing",
]


if "IPython" in sys.modules or "marimo" in sys.modules:  # a notebook
    importlib.import_module(f"{__name__}.notebook").show_drawings()


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # What a notebook offers after "latbench." and a tab.
    return list(__all__)
