"""Measure, model and search neural-architecture latency on any runtime.

In a notebook (``docs/python.md``)::

    space = latbench.spaces.darts(channels=16, cells=8)
    store = latbench.measure(space, backend="onnxruntime", n=200)
    model = latbench.fit(store.dataset(), "mlp")
    model.predict([space.reference()])  # seconds

The names below are loaded when they are first used, so that ``import latbench`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latbench._version import __version__

if TYPE_CHECKING:
    from latbench import backends, campaign, predictors, protocol, report, search, spaces, testing
    from latbench.api import compare, fit, measure
    from latbench.dataset import LatencyDataset
    from latbench.predictors.model import LatencyModel
    from latbench.store import Store

_HOME = {
    "LatencyDataset": "dataset",
    "LatencyModel": "predictors.model",
    "Store": "store",
    "compare": "api",
    "fit": "api",
    "measure": "api",
}
_PACKAGES = (
    "backends", "campaign", "predictors", "protocol", "report", "search", "spaces", "testing",
)  # fmt: skip

__all__ = [
    "LatencyDataset",
    "LatencyModel",
    "Store",
    "__version__",
    "backends",
    "campaign",
    "compare",
    "fit",
    "measure",
    "predictors",
    "protocol",
    "report",
    "search",
    "spaces",
    "testing",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # What a notebook offers after "latbench." and a tab.
    return list(__all__)
