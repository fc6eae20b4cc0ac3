"""The notes beside the bars of searches and trainings: how they go, how long they will take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from latbench.results import SearchEpoch
from latbench.timing.metric import Metric

if TYPE_CHECKING:
    from latbench.search.training.train import TrainEpoch


def search_note(epoch: SearchEpoch, metric: Metric, guide: str, keeper: str) -> str:
    """Describes an epoch of a search in words.

    Args:
        epoch: The epoch.
        metric: The metric that the search pays for.
        guide: The name of the predictor whose gradient is the penalty (see ``SearchResult``).
        keeper: The name of the predictor that says whether a target is kept.

    Returns:
        The note, in which each predictor stands behind what it said.
    """
    told = [f"supernet's validation accuracy {100 * epoch.validation_accuracy:.1f} %"]
    if not math.isnan(epoch.expected):
        told.append(f"expected {metric.show(epoch.expected)} ({guide})")
    if epoch.derived is not None and epoch.multiplier is not None:
        told.append(f"derived {metric.show(epoch.derived, 3)} ({keeper})")
        told.append(f"multiplier {epoch.multiplier:.2g}")
    if not math.isnan(epoch.entropy):
        told.append(f"entropy {epoch.entropy:.2f}")
    return ", ".join(told)


def training_note(epoch: TrainEpoch) -> str:
    """Describes an epoch of a training in words."""
    return f"loss {epoch.loss:.3f}, training accuracy {100 * epoch.train_accuracy:.1f} %"


class TimeLeft:
    """A note on a bar of ``epochs`` epochs that tells the time left during the first one.

    It is written from the second step of the first epoch that is run to its end; from then on the
    bar knows the time of an epoch.

    The first step is left out: it is the one in which memory is taken and kernels are chosen.
    """

    def __init__(
        self, bar: Callable[[int, int, str], None], epochs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._bar, self._epochs, self._clock = bar, epochs, clock
        self._first: tuple[float, float] | None = None  # epochs done and seconds at the first step

    def __call__(self, done: float) -> None:
        """Takes the epochs done so far, a fraction."""
        now = self._clock()
        if self._first is None:
            self._first = done, now
            return
        start, begun = self._first
        whole = math.floor(start)
        if start < done < whole + 1:
            left_s = (now - begun) / (done - start) * (self._epochs - done)
            self._bar(whole, self._epochs, f"about {math.ceil(left_s / 60)} min left")
