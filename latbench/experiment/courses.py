"""What stands beside the bars of searches and trainings after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latbench.metric import Metric
from latbench.report.data import SearchEpoch

if TYPE_CHECKING:
    from latbench.search.training import TrainEpoch


def course(epoch: SearchEpoch, metric: Metric, guide: str, keeper: str) -> str:
    """An epoch of a search. The predictors, see ``SearchResult``, stand behind what they said."""
    held = ""
    if epoch.derived is not None and epoch.multiplier is not None:
        cost = metric.show(epoch.derived, 3)
        held = f", derived {cost} ({keeper}), multiplier {epoch.multiplier:.2g}"
    return (
        f"supernet's validation accuracy {100 * epoch.validation_accuracy:.1f} %, "
        f"expected {metric.show(epoch.expected)} ({guide}){held}, entropy {epoch.entropy:.2f}"
    )


def training_course(epoch: TrainEpoch) -> str:
    """An epoch of a training."""
    return f"loss {epoch.loss:.3f}, training accuracy {100 * epoch.train_accuracy:.1f} %"
