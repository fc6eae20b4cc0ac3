"""Settings of a search and of a training run; the defaults are those that DARTS published.

Source: quark0/darts, cnn/train_search.py and cnn/train.py (CIFAR-10).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from latbench.errors import UsageError


def _check_numbers(
    config: object, positive: tuple[str, ...], not_negative: tuple[str, ...]
) -> None:
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            raise UsageError(f"{field.name} must be a finite number, got {value}")
        if field.name in positive and value <= 0:
            raise UsageError(f"{field.name} must be above 0, got {value}")
        if field.name in not_negative and value < 0:
            raise UsageError(f"{field.name} must be 0 or more, got {value}")


def _check_batch(batch: int) -> None:
    # Batch norm has no variance of one value.
    if batch < 2:
        raise UsageError(f"batch must be at least 2, got {batch}")


def _check_device(device: str) -> None:
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?|mps", device):
        raise UsageError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'mps', got {device!r}")


def cosine(start: float, end: float, epoch: int, epochs: int) -> float:
    """Learning rate of ``epoch`` (from 0), annealed from ``start`` towards ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


@dataclass(frozen=True)
class SearchConfig:
    """Settings of one search.

    ``channels`` and ``cells`` are the supernet's, a proxy smaller than the network that is derived;
    ``penalty_weight`` is the λ of LA-DARTS (0: accuracy alone), ``penalty_samples`` its number of
    sampled architectures a step; a ``target`` in the unit of the penalty's metric (seconds, bytes,
    joules) takes the weight's place; during ``warmup_epochs`` the architecture parameters rest.
    Learning rates are per step, weight decay is L2. Raises UsageError for impossible values.
    """

    epochs: int = 50
    batch: int = 64
    channels: int = 16
    cells: int = 8
    learning_rate: float = 0.025
    final_learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 3e-4
    gradient_clip: float = 5.0
    alpha_learning_rate: float = 3e-4
    alpha_beta1: float = 0.5
    alpha_beta2: float = 0.999
    alpha_weight_decay: float = 1e-3
    penalty_weight: float = 0.0
    penalty_samples: int = 8
    target: float | None = None
    warmup_epochs: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check_numbers(
            self,
            ("epochs", "channels", "learning_rate", "gradient_clip", "alpha_learning_rate",
             "penalty_samples", "target"),
            ("final_learning_rate", "momentum", "weight_decay", "alpha_weight_decay",
             "penalty_weight", "warmup_epochs", "seed"),
        )  # fmt: skip
        _check_batch(self.batch)
        _check_device(self.device)
        if self.target is not None and self.penalty_weight > 0:
            raise UsageError(
                f"a search has a target or a penalty_weight, got {self.target} and "
                f"{self.penalty_weight}; set penalty_weight to 0"
            )
        if self.cells < 3:
            raise UsageError(
                f"cells must be at least 3, got {self.cells}; with fewer there is no normal cell"
            )
        for name in ("alpha_beta1", "alpha_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be in [0, 1), got {getattr(self, name)}")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of training a derived network from fresh weights.

    ``cutout`` is the side in pixels of the square that is blanked in each training image, 0 for
    none (published: 16). Published defaults otherwise, without drop path and auxiliary head.
    """

    epochs: int = 600
    batch: int = 96
    learning_rate: float = 0.025
    final_learning_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 3e-4
    gradient_clip: float = 5.0
    cutout: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check_numbers(
            self,
            ("epochs", "learning_rate", "gradient_clip"),
            ("final_learning_rate", "momentum", "weight_decay", "cutout", "seed"),
        )
        _check_batch(self.batch)
        _check_device(self.device)
