"""One search for one penalty weight, and the training of what it derived."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latbench.metric import Metric
from latbench.report.data import SearchEpoch, SearchResult
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.data import ImageData, load_images
from latbench.search.loop import search
from latbench.search.penalty import LatencyPenalty
from latbench.search.trainee import landmarks
from latbench.search.training import TrainEpoch, train

if TYPE_CHECKING:
    from latbench.experiment.stages import Bars
    from latbench.predictors.model import LatencyModel
    from latbench.spaces import AnySpace


def load_data(source: str, space: AnySpace, limit: int = 0) -> ImageData:
    """The images of a source at the space's resolution.

    Raises UsageError or ParseError when they cannot be read or do not fit the space's networks.
    """
    data = load_images(source, resolution=space.config.resolution, limit=limit or None)
    data.check_fits(space.config.input_shape, space.config.classes)
    return data


def search_and_train(
    space: AnySpace,
    data: ImageData,
    model: LatencyModel,
    settings: SearchConfig,
    training: TrainConfig | None,
    reference: float,
    directory: Path,
    bars: Bars,
) -> SearchResult:
    """Searches with ``settings.penalty_weight``, and trains what was derived from scratch.

    Checkpoints go into ``directory``; called again, it goes on from the last one. ``training``
    None leaves the accuracy out. ``reference`` is in the unit of the model's metric. The
    expected cost of the course is shown for every weight, 0 included.
    """
    weight = settings.penalty_weight
    label = f"λ = {weight:g}"
    penalty = LatencyPenalty(model.as_module(), reference, weight, settings.penalty_samples)
    with bars.bar(f"search, {label}") as step:
        outcome = search(
            space, data, settings, penalty, directory=directory,
            progress=lambda e: step(e.epoch + 1, settings.epochs, _course(e, model.metric)),
        )  # fmt: skip
    doubt = model.unlike_sample(outcome.architecture)
    if doubt is not None:
        warnings.warn(doubt, UserWarning, stacklevel=2)
    network = space.build(outcome.architecture)
    accuracy = None
    if training is not None:
        with bars.bar(f"train what {label} found") as step:
            accuracy = train(
                network, data, training,
                lambda e: step(e.epoch + 1, training.epochs, _training_course(e)),
                landmarks=landmarks(space, outcome.architecture), directory=directory,
            ).test_accuracy  # fmt: skip
    return SearchResult(
        label=label,
        backend=model.card.backend,
        penalty_weight=weight,
        architecture=str(outcome.architecture),
        history=outcome.history,
        predicted=float(np.asarray(model.predict([outcome.architecture]))[0]),
        accuracy=accuracy,
        parameters=network.parameters,
        macs=network.macs,
        metric=model.metric,
    )


def _training_course(epoch: TrainEpoch) -> str:
    return f"loss {epoch.loss:.3f}, accuracy {100 * epoch.train_accuracy:.1f} %"


def _course(epoch: SearchEpoch, metric: Metric) -> str:
    return (
        f"accuracy {100 * epoch.validation_accuracy:.1f} %, "
        f"expected {metric.show(epoch.expected)}, entropy {epoch.entropy:.2f}"
    )
