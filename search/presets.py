"""The published settings of each method and data set, by name.

A method has its own with their sources, see ``latbench.search.methods``; the space of a data set is
that in which it was searched. Those of training are quark0/darts, cnn/train.py (the defaults of
``TrainConfig``), yuhuixu1993/PC-DARTS, train_imagenet.py, and megvii-model/SinglePathOneShot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latbench.errors import UsageError
from latbench.search.config import WARM_UPS, SearchConfig, TrainConfig, check_warmup
from latbench.search.method_text import method_text, split_method, write_method
from latbench.search.methods import METHODS, method_class
from latbench.search.methods.one_shot_evolution import SPOS_TRAINING


def published(method: str, dataset: str, space: str, source: str | None = None) -> dict[str, Any]:
    """Returns the settings that differ from the defaults of ``SearchConfig``, by name.

    Args:
        method: The text of the method; its settings stand over the published ones.
        dataset: The name of the data set.
        space: The name of the space.
        source: The file that the method was read from, None when a user named it.

    Returns:
        The settings, the method's text among them.

    Raises:
        UsageError: When none were published in that space, or there is no such method.
    """
    name, own = split_method(method)
    presets = method_class(name, source).presets
    if (space, dataset) not in presets:
        classes = {known: method_class(known).presets for known in METHODS} | {name: presets}
        known = [f"{m} on {d}" for m, of in classes.items() for s, d in of if s == space]
        raise UsageError(
            f"no search of {name!r} on {dataset!r} was published in the space {space!r}; known: "
            f"{', '.join(known) or 'none'}"
        )
    settings = dict(presets[space, dataset])
    return {**settings, "method": write_method(name, {**settings.get("method", {}), **own})}


def laid_over(
    name: str, given: Mapping[str, Any], space: str, source: str | None = None
) -> dict[str, Any]:
    """Lays ``given`` settings by name over published ones of the method among them.

    Args:
        name: The name of the preset, which is the data set's.
        given: The settings, of the method as well.
        space: The name of the space.
        source: The file that the settings were read from, None when a user gave them.

    Returns:
        The settings by name.

    Raises:
        UsageError: As ``published`` raises it, and where the two together leave only warm-up.
    """
    method = method_text(given.get("method", SearchConfig.method))
    settings = published(method, name, space, source)
    settings = {**settings, **given, "method": settings["method"]}
    epochs = settings.get("epochs", SearchConfig.epochs)
    for key, what in WARM_UPS.items():
        warmup = settings.get(key, 0)
        # A value of a wrong type or below 1 is refused with all the others.
        if type(warmup) is type(epochs) is int and epochs > 0:
            check_warmup(warmup, epochs, name, key, what)
    return settings


def preset(method: str, dataset: str) -> SearchConfig:
    """Returns the settings with which ``method`` was published: on ``cifar10``, on ``imagenet``
    (PC-DARTS; most others searched on CIFAR-10 and built the network for ImageNet from what they
    found), or in the space ``nasbench201`` on CIFAR-10 (as in that benchmark's paper).

    Those of MSG-DAS, and of TopoNAS (``toponas-cifar10``, ``toponas-imagenet``, of the method that
    it is applied to), are ours where their papers' were not available to us. Change them with
    ``dataclasses.replace``. Raises UsageError when there are none.
    """
    presets = method_class(split_method(method)[0]).presets
    spaces = [space for space, name in presets if name == dataset]
    return SearchConfig(**published(method, dataset, spaces[0] if spaces else "darts"))


# By space and data set.
_TRAIN: dict[tuple[str, str], Mapping[str, Any]] = {
    ("darts", "cifar10"): {"cutout": 16, "drop_path": 0.2, "auxiliary": 0.4},
    # PC-DARTS' recipe, which later papers took over; DARTS' own has batches of 128, a learning rate
    # of 0.1 and another decay.
    ("darts", "imagenet"): {
        "epochs": 250, "batch": 1024, "learning_rate": 0.5, "schedule": "linear",
        "rising_epochs": 5, "weight_decay": 3e-5, "auxiliary": 0.4, "label_smoothing": 0.1,
    },
    ("spos", "imagenet"): SPOS_TRAINING,
    ("operators", "imagenet"): SPOS_TRAINING,  # that it is for these, too, is ours
}  # fmt: skip


def train_preset(dataset: str, space: str = "darts") -> TrainConfig:
    """Returns the settings with which networks of a space were trained on a data set.

    In ``darts`` these are ``cifar10`` (DARTS; PC-DARTS has a drop path of 0.3) and ``imagenet``
    (PC-DARTS), with drop path and auxiliary head, of ``darts()`` and ``IMAGENET`` of
    ``latbench.spaces.cells.darts_space``: 20 cells of 36 channels, 14 of 48. In ``spos`` and
    ``operators`` it is ``imagenet`` (Single Path One-Shot). Raises UsageError for others.
    """
    if (space, dataset) not in _TRAIN:
        known = ", ".join(f"{data} in {of}" for of, data in _TRAIN)
        raise UsageError(
            f"no training on {dataset!r} was published in the space {space!r}; known: {known}"
        )
    return TrainConfig(**_TRAIN[space, dataset])


def train_settings(
    name: str, space: str, searched: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the settings by name with which what a search finds is trained.

    Args:
        name: The name of the search's preset, empty for none: where a training was published with
            it in the space, its settings stand before the defaults.
        space: The name of the space.
        searched: The settings of the search, on whose device and in whose precision it is trained.
        given: The settings that stand over all these.

    Returns:
        The settings.
    """
    where = {key: searched[key] for key in ("device", "precision") if key in searched}
    return {**_TRAIN.get((space, name), {}), **where, **given}
