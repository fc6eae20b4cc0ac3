"""Differentiable architecture search with a latency penalty.

The names below are loaded when they are first used, because they need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.search.config import SearchConfig, TrainConfig
    from latbench.search.images.images import ImageData, load_images
    from latbench.search.loop import SearchOutcome, search
    from latbench.search.penalty import LatencyPenalty
    from latbench.search.presets import preset, train_preset
    from latbench.search.relaxations.darts_relaxation import DartsRelaxation
    from latbench.search.relaxations.gdas import GdasRelaxation
    from latbench.search.relaxations.pc_darts import PcDartsRelaxation
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.search.search_state import read_course, read_supernet
    from latbench.search.supernets.supernet_module import Supernet
    from latbench.search.training.train import TrainOutcome, train

_HOME = {
    "DartsRelaxation": "relaxations.darts_relaxation",
    "GdasRelaxation": "relaxations.gdas",
    "ImageData": "images.images",
    "LatencyPenalty": "penalty",
    "PcDartsRelaxation": "relaxations.pc_darts",
    "Relaxation": "relaxations.relaxation",
    "SearchConfig": "config",
    "SearchOutcome": "loop",
    "Supernet": "supernets.supernet_module",
    "TrainConfig": "config",
    "TrainOutcome": "training.train",
    "load_images": "images.images",
    "preset": "presets",
    "read_course": "search_state",
    "read_supernet": "search_state",
    "search": "loop",
    "train": "training.train",
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
