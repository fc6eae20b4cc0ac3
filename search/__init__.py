"""Differentiable architecture search with a latency penalty.

The names below are loaded when they are first used, because they need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.search.config import SearchConfig, TrainConfig
    from latbench.search.darts import DartsRelaxation
    from latbench.search.data import ImageData, load_images
    from latbench.search.gdas import GdasRelaxation
    from latbench.search.loop import SearchOutcome, search
    from latbench.search.pc_darts import PcDartsRelaxation
    from latbench.search.penalty import LatencyPenalty
    from latbench.search.presets import preset, train_preset
    from latbench.search.relaxation import Relaxation
    from latbench.search.state import read_course, read_supernet
    from latbench.search.supernet import Supernet
    from latbench.search.training import TrainOutcome, train

_HOME = {
    "DartsRelaxation": "darts",
    "GdasRelaxation": "gdas",
    "ImageData": "data",
    "LatencyPenalty": "penalty",
    "PcDartsRelaxation": "pc_darts",
    "Relaxation": "relaxation",
    "SearchConfig": "config",
    "SearchOutcome": "loop",
    "Supernet": "supernet",
    "TrainConfig": "config",
    "TrainOutcome": "training",
    "load_images": "data",
    "preset": "presets",
    "read_course": "state",
    "read_supernet": "state",
    "search": "loop",
    "train": "training",
    "train_preset": "presets",
}

__all__ = [
    "DartsRelaxation",
    "GdasRelaxation",
    "ImageData",
    "LatencyPenalty",
    "PcDartsRelaxation",
    "Relaxation",
    "SearchConfig",
    "SearchOutcome",
    "Supernet",
    "TrainConfig",
    "TrainOutcome",
    "load_images",
    "preset",
    "read_course",
    "read_supernet",
    "search",
    "train",
    "train_preset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
