"""Architecture search with a latency penalty.

The names below are loaded when they are first used, because they need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.search.config import SearchConfig, TrainConfig
    from latbench.search.images.images import ImageData, load_images
    from latbench.search.loop import SearchOutcome, search
    from latbench.search.methods import parse_method
    from latbench.search.methods.base import Method
    from latbench.search.methods.darts import Darts, SecondOrderDarts
    from latbench.search.methods.exclusive_subgraphs import MsgDas
    from latbench.search.methods.gumbel_mixture import FBNet
    from latbench.search.methods.masked_widths import DMasking
    from latbench.search.methods.one_shot_evolution import SinglePath
    from latbench.search.methods.partial_channels import PcDarts
    from latbench.search.methods.sampled_operations import Gdas
    from latbench.search.methods.staged_paths import Hurricane
    from latbench.search.methods.training_free import TrainingFree
    from latbench.search.methods.two_paths import ProxylessNas
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
    "DMasking": "methods.masked_widths",
    "Darts": "methods.darts",
    "DartsRelaxation": "relaxations.darts_relaxation",
    "FBNet": "methods.gumbel_mixture",
    "Gdas": "methods.sampled_operations",
    "GdasRelaxation": "relaxations.gdas",
    "Hurricane": "methods.staged_paths",
    "ImageData": "images.images",
    "LatencyPenalty": "penalty",
    "Method": "methods.base",
    "MsgDas": "methods.exclusive_subgraphs",
    "PcDarts": "methods.partial_channels",
    "PcDartsRelaxation": "relaxations.pc_darts",
    "ProxylessNas": "methods.two_paths",
    "Relaxation": "relaxations.relaxation",
    "SearchConfig": "config",
    "SearchOutcome": "loop",
    "SecondOrderDarts": "methods.darts",
    "SinglePath": "methods.one_shot_evolution",
    "Supernet": "supernets.supernet_module",
    "TrainConfig": "config",
    "TrainOutcome": "training.train",
    "TrainingFree": "methods.training_free",
    "load_images": "images.images",
    "parse_method": "methods",
    "preset": "presets",
    "read_course": "search_state",
    "read_supernet": "search_state",
    "search": "loop",
    "train": "training.train",
    "train_preset": "presets",
}

__all__ = [
    "DMasking",
    "Darts",
    "DartsRelaxation",
    "FBNet",
    "Gdas",
    "GdasRelaxation",
    "Hurricane",
    "ImageData",
    "LatencyPenalty",
    "Method",
    "MsgDas",
    "PcDarts",
    "PcDartsRelaxation",
    "ProxylessNas",
    "Relaxation",
    "SearchConfig",
    "SearchOutcome",
    "SecondOrderDarts",
    "SinglePath",
    "Supernet",
    "TrainConfig",
    "TrainOutcome",
    "TrainingFree",
    "load_images",
    "parse_method",
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
