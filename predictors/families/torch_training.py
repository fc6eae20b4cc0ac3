"""The common part of the small networks among the predictors: scaling, training, checked settings.

Adam with decoupled weight decay (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101) and
a learning rate that falls to 0 by a cosine.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from latbench.errors import ParseError, UsageError
from latbench.predictors.base import Floats, check_number
from latbench.predictors.safe_arrays import Arrays, take

Rows = Tensor | slice


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs its body on one thread.

    These layers are too small to share out: with more threads than idle cores a fit took 20 times
    as long (2026-11-24). One thread also makes the result the same on any number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_training(
    learning_rate: float, weight_decay: float, steps: int, epochs: int, random_state: int
) -> None:
    """Checks the settings of a training.

    Args:
        learning_rate: The first learning rate, 1e-8 to 1.
        weight_decay: The decoupled weight decay, 0 to 1e4.
        steps: The fewest steps, 1 to 1,000,000.
        epochs: The fewest passes over the rows, 1 to 10,000.
        random_state: The seed, 0 to 2^63 - 1.

    Raises:
        UsageError: For a setting outside its range.
    """
    check_number("learning_rate", learning_rate, 1e-8, 1)
    check_number("weight_decay", weight_decay, 0, 1e4)
    check_number("steps", steps, 1, 1_000_000, integer=True)
    check_number("epochs", epochs, 1, 10_000, integer=True)
    check_number("random_state", random_state, 0, 2**63 - 1, integer=True)


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Raises UsageError unless it is a sensible number of layers of sensible widths."""
    if not isinstance(hidden, tuple) or not 1 <= len(hidden) <= 16:
        raise UsageError(f"hidden must be 1 to 16 layer widths, got {hidden!r}")
    for width in hidden:
        check_number("a width in hidden", width, 1, 8192, integer=True)


class Scaling(NamedTuple):
    """A scaling: features are read as ``(x - center) / scale``, log y as
    ``(log y - level) / spread``.

    ``center (d,)`` is float32. One scale for all features: they are counts or choices, already of
    one kind.
    """

    center: npt.NDArray[np.float32]
    scale: float
    level: float
    spread: float

    @classmethod
    def of(cls, X: Floats, y: Floats) -> Scaling:
        """Takes the training set's means and standard deviations."""
        log = np.log(y)
        return cls(
            X.mean(axis=0).astype(np.float32),
            float(X.std(axis=0).mean()) or 1.0,
            float(log.mean()),
            float(log.std()) or 1.0,
        )

    def apply(self, X: Floats, y: Floats) -> tuple[Tensor, Tensor]:
        """Scales features ``(n, d)`` and targets ``(n,)`` to float32."""
        features = ((X - self.center) / self.scale).astype(np.float32)
        target = ((np.log(y) - self.level) / self.spread).astype(np.float32)
        return torch.from_numpy(features), torch.from_numpy(target)

    def arrays(self) -> Arrays:
        """Returns the arrays for a predictor's state."""
        return {"center": self.center, "scaling": np.array(self[1:])}

    @classmethod
    def restored(cls, arrays: Arrays) -> Scaling:
        """Restores a scaling from what ``arrays`` gave. Raises ParseError when it makes no
        sense."""
        center = take(arrays, "center", (None,), np.float32)
        scale, level, spread = map(float, take(arrays, "scaling", (3,), np.float64))
        if scale <= 0 or spread <= 0:
            raise ParseError("the saved predictor's scales must be positive; save it again")
        return cls(center, scale, level, spread)


def updates(steps: int, epochs: int, rows: int, batch: int) -> int:
    """Returns the number of training steps: ``epochs`` passes in batches, and at least ``steps``.

    Args:
        steps: The fewest steps.
        epochs: The number of passes over the rows.
        rows: The number of rows.
        batch: The number of rows a step.

    Returns:
        The number of steps.
    """
    return max(steps, epochs * math.ceil(rows / batch))


def drawn(rows: int, batch: int, generator: torch.Generator) -> Iterator[Rows]:
    """Draws random batches without end, with replacement; all rows where they are no more than
    one."""
    while rows <= batch:
        yield slice(None)
    while True:
        yield torch.randint(rows, (batch,), generator=generator)


def minimise(
    loss: Callable[[Rows], Tensor], parameters: Iterable[Tensor], batches: Iterator[Rows],
    steps: int, learning_rate: float, weight_decay: float,
) -> None:  # fmt: skip
    """Trains parameters on one thread.

    Args:
        loss: The loss of a batch's rows.
        parameters: The parameters that are moved.
        batches: The rows of each batch.
        steps: The number of batches to take.
        learning_rate: The first learning rate; it falls to 0 by a cosine.
        weight_decay: The decoupled weight decay.
    """
    with one_thread(), torch.enable_grad():
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for rows in itertools.islice(batches, steps):
            value = loss(rows)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
