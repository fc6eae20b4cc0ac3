"""Settings of a search and of a training run; the defaults are those that DARTS published.

Source: quark0/darts, cnn/train_search.py and cnn/train.py (CIFAR-10). What belongs to one method
alone is in its class, in ``latbench.search.methods``; the settings that were published for the
others and for more data sets are in ``latbench.search.presets``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from latbench.errors import UsageError
from latbench.search.method_text import MethodText, method_text
from latbench.validation import Count, Natural, NotNegative, Positive, Share, check_fields

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


def check_warmup(warmup_epochs: int, epochs: int, preset: str = "") -> None:
    """Raises UsageError for a warm-up that outlasts the search; ``preset`` is the one in use."""
    if warmup_epochs >= epochs:
        where = f"with the preset {preset!r}, " if preset else ""
        raise UsageError(
            f"{where}warmup_epochs = {warmup_epochs} must be below epochs = {epochs}: the "
            "architecture parameters rest during the warm-up, so that nothing would be searched; "
            "set warmup_epochs lower or epochs higher"
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
    one-shot scores. Learning rates are per step, weight decay is L2; the learning rate of the
    weights rises linearly over ``rising_epochs``. ``precision`` is what the supernet is run in, see
    ``latbench.search.training.mixed_precision``.
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

    method: MethodText = "darts"
    epochs: Count = 50
    batch: Batch = 64
    channels: Count = 16
    cells: Count = 8
    learning_rate: Positive = 0.025
    final_learning_rate: NotNegative = 0.001
    rising_epochs: Natural = 0
    momentum: NotNegative = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 3e-4
    gradient_clip: Positive = 5.0
    alpha_learning_rate: NotNegative = 3e-4
    alpha_beta1: Share = 0.5
    alpha_beta2: Share = 0.999
    alpha_weight_decay: NotNegative = 1e-3
    penalty_weight: NotNegative = 0.0
    penalty_samples: Count = 8
    target: Positive | None = None
    warmup_epochs: Natural = 0
    seed: Natural = 0
    device: str = "cpu"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        # The text alone: whoever searches makes the method, which checks its own settings.
        object.__setattr__(self, "method", method_text(self.method))
        check_fields(self)
        _check_device(self.device)
        _check_precision(self.precision, self.device)
        check_warmup(self.warmup_epochs, self.epochs)
        if self.target is not None and self.penalty_weight > 0:
            raise UsageError(
                f"a search has a target or a penalty_weight, got {self.target} and "
                f"{self.penalty_weight}; set penalty_weight to 0"
            )
        if self.nesterov and self.momentum == 0:
            raise UsageError("nesterov needs a momentum above 0, got 0")

    def rests(self, epoch: int) -> bool:
        """Returns whether the architecture parameters rest in an epoch, from 0."""
        return epoch < self.warmup_epochs or self.alpha_learning_rate == 0

    def rate(self, epoch: int) -> float:
        """Returns the learning rate of the weights in an epoch, from 0."""
        if epoch < self.rising_epochs:
            return self.learning_rate * (epoch + 1) / self.rising_epochs
        return cosine(self.learning_rate, self.final_learning_rate, epoch, self.epochs)


@dataclass(frozen=True)
class TrainConfig:
    """The settings of training a derived network from fresh weights.

    The defaults are published ones but for what regularises, which is off.

    ``cutout`` is the side in pixels of the square that is blanked in each training image (published
    for CIFAR-10: 16). ``drop_path`` is the probability with which an edge is left out of an image's
    pass in the last epoch, rising linearly from 0 (published: 0.2), and ``auxiliary`` the weight of
    a second classifier's loss two thirds of the way (published: 0.4). ``label_smoothing`` is the
    share of a label that all classes get. The learning rate falls by ``schedule`` after
    ``rising_epochs`` of a linear rise. ``precision`` is what the network is run in.
    """

    epochs: Count = 600
    batch: Batch = 96
    learning_rate: Positive = 0.025
    final_learning_rate: NotNegative = 0.0
    schedule: Schedule = "cosine"
    rising_epochs: Natural = 0
    momentum: NotNegative = 0.9
    weight_decay: NotNegative = 3e-4
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
        start, end = self.learning_rate, self.final_learning_rate
        if epoch < self.rising_epochs:
            return start * (epoch + 1) / self.rising_epochs
        if self.schedule == "linear":
            return start + (end - start) * epoch / self.epochs
        return cosine(start, end, epoch, self.epochs)
