"""Settings of a search and of a training run; the defaults are those that DARTS published.

Source: quark0/darts, cnn/train_search.py and cnn/train.py (CIFAR-10). What belongs to one method
alone is in its class, in ``latbench.search.methods``; the settings that were published for the
others and for more data sets are in ``latbench.search.presets``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from latbench.errors import UsageError
from latbench.search.method_text import MethodText, method_text
from latbench.search.relaxations.in_degrees import TopologyText, topology_text
from latbench.validation import (
    Count,
    Natural,
    NotNegative,
    Positive,
    Share,
    Temperature,
    check_fields,
)

CHECKPOINT = "search.safetensors"  # in a search's folder
SCORES = "scores.jsonl"  # beside it: what a method that chooses by one-shot scores has scored
Precision = Literal["float32", "bfloat16", "float16"]
Schedule = Literal["cosine", "linear"]
Batch = Annotated[int, Ge(2)]  # batch norm has no variance of one value


def _check_device(device: str) -> None:
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?|mps", device):
        raise UsageError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'mps', got {device!r}")


def _check_precision(precision: str, device: str) -> None:
    if precision == "float16" and not device.startswith("cuda"):
        raise UsageError(
            f"precision 'float16' needs the device 'cuda', got {device!r}; take 'bfloat16'"
        )


# The settings that say for how many epochs something rests, and what.
WARM_UPS = {
    "warmup_epochs": "architecture parameters", "topology_warmup_epochs": "topology variables",
}  # fmt: skip


def check_warmup(warmup_epochs: int, epochs: int, preset: str, name: str, what: str) -> None:
    """Checks that a warm-up does not outlast the search.

    Args:
        warmup_epochs: For how many epochs it lasts.
        epochs: The epochs of the search.
        preset: The preset in use; empty where there is none.
        name: The setting's name.
        what: What rests.

    Raises:
        UsageError: When it does.
    """
    if warmup_epochs >= epochs:
        where = f"with the preset {preset!r}, " if preset else ""
        raise UsageError(
            f"{where}{name} = {warmup_epochs} must be below epochs = {epochs}: the {what} rest "
            f"during the warm-up, so that nothing would be searched; set {name} lower or epochs "
            "higher"
        )


def cosine(start: float, end: float, epoch: int, epochs: int) -> float:
    """Returns the learning rate of an epoch by a cosine.

    Args:
        start: The learning rate of the first epoch.
        end: The learning rate that it falls towards.
        epoch: The epoch, from 0.
        epochs: The number of epochs.

    Returns:
        The learning rate.
    """
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


# FBNet's (Wu et al., 2019, https://arxiv.org/abs/1812.03443, section 4): exp(-0.045) an epoch.
DECAY, DECAY_EPOCHS = 0.956, 90


def cooled(start: float, decay: float | None, epoch: int, epochs: int) -> float:
    """Returns the temperature of a Gumbel-softmax that falls by a factor an epoch.

    Args:
        start: The temperature of the first epoch.
        decay: The factor; None takes the one by which a search of any length ends as cold as the
            published one, which is 0.956 in its 90 epochs. That a shorter search is not cut off
            warm is ours.
        epoch: The epoch, from 0.
        epochs: The number of epochs.

    Returns:
        The temperature.
    """
    if decay is None:
        decay = DECAY ** ((DECAY_EPOCHS - 1) / max(1, epochs - 1))
    return start * decay**epoch


def _rate(config: SearchConfig | TrainConfig, epoch: int) -> float:
    """The learning rate of an epoch, from 0: a linear rise, and then the schedule."""
    start, end = config.learning_rate, config.final_learning_rate
    if epoch < config.rising_epochs:
        return start * (epoch + 1) / config.rising_epochs
    if config.schedule == "linear":
        return start + (end - start) * epoch / config.epochs
    return cosine(start, end, epoch, config.epochs)


@dataclass(frozen=True)
class SearchConfig:
    """The settings that all searches have.

    ``method`` is a method of ``latbench.search.methods`` with its own settings, or its text such as
    ``gdas(temperature=5)``, which is what is kept. ``channels`` and ``cells`` are the supernet's, a
    proxy smaller than the network that is derived; ``penalty_weight`` is the λ of LA-DARTS (0:
    accuracy alone), ``penalty_samples`` its number of sampled architectures a step; a ``target`` in
    the unit of the penalty's metric (seconds, bytes, joules) takes the weight's place; during
    ``warmup_epochs``, fewer than ``epochs``, the architecture parameters rest. With an
    ``alpha_learning_rate`` of 0 they always do, which trains a supernet for other searches and
    one-shot scores. Learning rates are per step, weight decay is L2, of biases and of what scales
    norms only with ``decay_vectors``; the learning rate of the weights rises linearly over
    ``rising_epochs`` and falls by ``schedule``. ``label_smoothing`` is
    the share of a label that all classes get, in every loss. ``precision`` is what the supernet is
    run in, see ``latbench.search.training.mixed_precision``.

    ``topology`` gives the sets of a node's inputs odds of their own, whatever the method: ``"any"``
    number of inputs that the space allows, ``2`` of them, or ``[1, 3]``, kept as the text ``1-3``.
    What begins with ``topology_`` is explained in ``latbench.search.relaxations.topology``;
    ``topology_normalised`` divides by the expected number of inputs, ``topology_invalid`` says
    whether the softmax is over the invalid sets as well.

    ``dropblock`` is the rate, in the first epoch, at which blocks of ``dropblock_size`` pixels a
    side are left out of what a skip connection passes on while searching; it falls linearly to 0 in
    the last. A block larger than its map is clipped to it, unless ``dropblock_clip`` is off.

    Raises UsageError for impossible values.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            key: f'it is one of the method: method = "{method}({key}={value})"'
            for key, method, value in (
                ("temperature", "gdas", 5),
                ("final_temperature", "gdas", 0.1),
                ("partial_channels", "pc-darts", 4),
            )
        }
    )

    # Settings that others belong to, whose names begin with theirs, and the value without which
    # these do nothing.
    LEADS: ClassVar[Mapping[str, object]] = MappingProxyType({"topology": None, "dropblock": 0.0})

    method: MethodText = "darts"
    epochs: Count = 50
    batch: Batch = 64
    channels: Count = 16
    cells: Count = 8
    learning_rate: Positive = 0.025
    final_learning_rate: NotNegative = 0.001
    schedule: Schedule = "cosine"
    rising_epochs: Natural = 0
    momentum: NotNegative = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 3e-4
    decay_vectors: bool = True
    gradient_clip: Positive = 5.0
    label_smoothing: Share = 0.0
    alpha_learning_rate: NotNegative = 3e-4
    alpha_beta1: Share = 0.5
    alpha_beta2: Share = 0.999
    alpha_weight_decay: NotNegative = 1e-3
    penalty_weight: NotNegative = 0.0
    penalty_samples: Count = 8
    target: Positive | None = None
    warmup_epochs: Natural = 0
    topology: TopologyText = None
    topology_temperature: Temperature = 10.0
    topology_final_temperature: Temperature = 0.1
    topology_warmup_epochs: Natural = 0
    topology_margin: NotNegative = 1.0
    topology_pressure: NotNegative = 1.0
    topology_normalised: bool = False
    topology_invalid: Literal["kept", "left out"] = "kept"
    dropblock: Share = 0.0
    dropblock_size: Count = 5
    dropblock_clip: bool = True
    seed: Natural = 0
    device: str = "cpu"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        # The text alone: whoever searches makes the method, which checks its own settings.
        object.__setattr__(self, "method", method_text(self.method))
        object.__setattr__(self, "topology", topology_text(self.topology))
        check_fields(self)
        _check_device(self.device)
        _check_precision(self.precision, self.device)
        for name, what in WARM_UPS.items():
            check_warmup(getattr(self, name), self.epochs, "", name, what)
        self._check_without()
        if self.target is not None and self.penalty_weight > 0:
            raise UsageError(
                f"a search has a target or a penalty_weight, got {self.target} and "
                f"{self.penalty_weight}; set penalty_weight to 0"
            )
        if self.nesterov and self.momentum == 0:
            raise UsageError("nesterov needs a momentum above 0, got 0")

    def _check_without(self) -> None:
        """Raises UsageError for settings that do nothing without the one that they belong to."""
        for lead, absent in self.LEADS.items():
            if getattr(self, lead) != absent:
                continue
            for f in fields(self):
                if f.name.startswith(f"{lead}_") and getattr(self, f.name) != f.default:
                    raise UsageError(
                        f"{f.name} = {getattr(self, f.name)!r} does nothing without {lead}; set "
                        f"{lead} too, or leave it out"
                    )

    def rests(self, epoch: int) -> bool:
        """Returns whether the architecture parameters rest in an epoch, from 0."""
        return epoch < self.warmup_epochs or self.alpha_learning_rate == 0

    @property
    def first_moved(self) -> int:
        """Returns the first epoch, from 0, in which all that an architecture is derived from
        moves."""
        of_sets = 0 if self.topology is None else self.topology_warmup_epochs
        return max(self.warmup_epochs, of_sets)

    def rate(self, epoch: int) -> float:
        """Returns the learning rate of the weights in an epoch, from 0."""
        return _rate(self, epoch)


@dataclass(frozen=True)
class TrainConfig:
    """The settings of training a derived network from fresh weights.

    The defaults are published ones but for what regularises, which is off.

    ``cutout`` is the side in pixels of the square that is blanked in each training image (published
    for CIFAR-10: 16). ``drop_path`` is the probability with which an edge is left out of an image's
    pass in the last epoch, rising linearly from 0 (published: 0.2), and ``auxiliary`` the weight of
    a second classifier's loss two thirds of the way (published: 0.4). ``label_smoothing`` is the
    share of a label that all classes get. The learning rate falls by ``schedule`` after
    ``rising_epochs`` of a linear rise. ``weight_decay`` is of biases and of what scales norms only
    with ``decay_vectors``. ``precision`` is what the network is run in.
    """

    epochs: Count = 600
    batch: Batch = 96
    learning_rate: Positive = 0.025
    final_learning_rate: NotNegative = 0.0
    schedule: Schedule = "cosine"
    rising_epochs: Natural = 0
    momentum: NotNegative = 0.9
    weight_decay: NotNegative = 3e-4
    decay_vectors: bool = True
    gradient_clip: Positive = 5.0
    cutout: Natural = 0
    drop_path: Share = 0.0
    auxiliary: NotNegative = 0.0
    label_smoothing: Share = 0.0
    seed: Natural = 0
    device: str = "cpu"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check_fields(self)
        _check_device(self.device)
        _check_precision(self.precision, self.device)

    def rate(self, epoch: int) -> float:
        """Returns the learning rate of an epoch, from 0."""
        return _rate(self, epoch)
