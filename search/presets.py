"""The published settings of each method and data set, by name.

Sources: quark0/darts, cnn/train_search.py and cnn/train.py (both are the defaults of
``SearchConfig`` and ``TrainConfig``); yuhuixu1993/PC-DARTS, train_search.py,
train_search_imagenet.py and train_imagenet.py; D-X-Y/AutoDL-Projects,
configs/search-opts/GDAS-NASNet-CIFAR.config, configs/search-archs/GDAS-NASNet-CIFAR.config and, for
NAS-Bench-201, configs/nas-benchmark/algos/ with scripts-search/NAS-Bench-201-algos/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latbench.errors import UsageError
from latbench.search.config import Method, SearchConfig, TrainConfig, check_warmup

_PC_DARTS: dict[str, Any] = {
    "batch": 256, "learning_rate": 0.1, "final_learning_rate": 0.0, "alpha_learning_rate": 6e-4,
    "warmup_epochs": 15, "partial_channels": 4,
}  # fmt: skip
_GDAS: dict[str, Any] = {
    "epochs": 250, "batch": 256, "weight_decay": 5e-4, "nesterov": True,
    "temperature": 10.0, "final_temperature": 0.1,
}  # fmt: skip
_201: dict[str, Any] = {"batch": 64, "cells": 5, "weight_decay": 5e-4, "nesterov": True}

_SEARCH: dict[tuple[str, str], dict[str, Any]] = {
    ("darts", "cifar10"): {},
    ("darts-2nd", "cifar10"): {},
    ("pc-darts", "cifar10"): _PC_DARTS,
    ("gdas", "cifar10"): _GDAS,
    # On images of 224 x 224, 10 % of the training images for the weights and 2.5 % for alpha.
    ("pc-darts", "imagenet"): _PC_DARTS | {
        "batch": 1024, "learning_rate": 0.5, "rising_epochs": 5, "alpha_learning_rate": 6e-3,
        "warmup_epochs": 35, "partial_channels": 2,
    },
    ("darts", "nasbench201"): _201,
    ("darts-2nd", "nasbench201"): _201,
    ("gdas", "nasbench201"): _GDAS | _201,
}  # fmt: skip


def _space_of(dataset: str) -> str:
    return "nasbench201" if dataset == "nasbench201" else "darts"


def published(method: str, dataset: str, space: str) -> dict[str, Any]:
    """Returns the settings of ``SearchConfig`` that differ from its defaults, the method among
    them, by name.

    See ``preset``; raises UsageError as well when none were published in that space.
    """
    known = [key for key in _SEARCH if space == _space_of(key[1])]
    if (method, dataset) not in known:
        raise UsageError(
            f"no search of {method!r} on {dataset!r} was published in the space {space!r}; known: "
            f"{', '.join(f'{m} on {d}' for m, d in known) or 'none'}"
        )
    return {"method": method, **_SEARCH[method, dataset]}


def laid_over(name: str, given: Mapping[str, Any], space: str) -> dict[str, Any]:
    """Lays ``given`` settings by name over the ``published`` ones of the method among them on the
    data set ``name``. Raises UsageError as that does, and where the two together leave only
    warm-up."""
    settings = published(str(given.get("method", "darts")), name, space) | dict(given)
    warmup = settings.get("warmup_epochs", SearchConfig.warmup_epochs)
    epochs = settings.get("epochs", SearchConfig.epochs)
    # A value of a wrong type or below 1 is refused with all the others.
    if type(warmup) is type(epochs) is int and epochs > 0:
        check_warmup(warmup, epochs, name)
    return settings


def preset(method: Method, dataset: str) -> SearchConfig:
    """Returns the settings with which ``method`` was published: on ``cifar10``, on ``imagenet``
    (PC-DARTS alone; the others searched on CIFAR-10 and built the network for ImageNet from what
    they found), or in the space ``nasbench201`` on CIFAR-10 (as in that benchmark's paper).

    Change them with ``dataclasses.replace``. Raises UsageError when there are none.
    """
    return SearchConfig(**published(method, dataset, _space_of(dataset)))


_TRAIN: dict[str, dict[str, Any]] = {
    "cifar10": {"cutout": 16, "drop_path": 0.2, "auxiliary": 0.4},
    # PC-DARTS' recipe, which later papers took over; DARTS' own has batches of 128, a learning rate
    # of 0.1 and another decay.
    "imagenet": {
        "epochs": 250, "batch": 1024, "learning_rate": 0.5, "schedule": "linear",
        "rising_epochs": 5, "weight_decay": 3e-5, "auxiliary": 0.4, "label_smoothing": 0.1,
    },
}  # fmt: skip


def train_preset(dataset: str) -> TrainConfig:
    """Returns the settings with which derived networks were trained on ``cifar10`` (DARTS; PC-DARTS
    has a drop path of 0.3) or ``imagenet`` (PC-DARTS), with drop path and auxiliary head.

    The networks are ``darts()`` and ``IMAGENET`` of ``latbench.spaces.darts_space``: 20 cells of 36
    channels, 14 of 48. Raises UsageError for another data set.
    """
    if dataset not in _TRAIN:
        raise UsageError(f"no training on {dataset!r} was published; known: {', '.join(_TRAIN)}")
    return TrainConfig(**_TRAIN[dataset])
