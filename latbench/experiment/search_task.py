"""The common part of all searches of a sweep: the images, the predictors, the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latbench.experiment.goals import Goal
from latbench.files import content_hash
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.images.images import ImageData, load_images
from latbench.search.judge import Judge
from latbench.search.methods import settings_identity
from latbench.search.penalty import Combine, Cost, LatencyPenalty
from latbench.spaces import AnySpace
from latbench.timing.metric import Metric

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel


def load_data(source: str, space: AnySpace, limit: int = 0) -> ImageData:
    """Loads the images of a source at the space's resolution.

    Raises UsageError or ParseError when they cannot be read or do not fit the space's networks.
    """
    data = load_images(source, resolution=space.config.resolution, limit=limit or None)
    data.check_fits(space.config.input_shape, space.config.classes)
    return data


@dataclass(frozen=True)
class Priced:
    """A backend's predictor, and the cost (in its metric's unit) that λ is relative to.

    ``judge`` is a more accurate predictor without the gradient that ``model`` has, if there is one.
    """

    model: LatencyModel
    reference: float
    judge: LatencyModel | None = None

    @property
    def best(self) -> LatencyModel:
        """Returns the model that says what a derived network costs."""
        return self.judge or self.model


@dataclass(frozen=True)
class SearchTask:
    """The common part of all searches of a sweep.

    ``priced`` holds every backend that any goal may name. ``training`` None leaves the accuracy
    out; otherwise each derived network is trained from ``seeds`` seeds, from ``training.seed`` on.
    The penalty is on the prediction plus ``deviations`` times its standard deviation; a judge has
    no part in that.
    """

    space: AnySpace
    data: ImageData
    priced: Mapping[str, Priced]
    settings: SearchConfig
    training: TrainConfig | None
    seeds: int = 1
    combine: Combine = "worst"
    deviations: float = 0.0

    @property
    def metric(self) -> Metric:
        """Returns the metric that the searches pay for."""
        return next(iter(self.priced.values())).model.metric

    def settings_for(self, goal: Goal) -> SearchConfig:
        """Returns the settings with the goal's weight or target in them."""
        targets = self.targets(goal)
        return dataclasses.replace(
            self.settings, penalty_weight=goal.weight, target=targets[0] if targets else None
        )

    def penalty(self, goal: Goal) -> LatencyPenalty:
        """Makes the penalty of a goal; raises UsageError when a predictor has no gradient or no
        deviation."""
        settings = self.settings_for(goal)
        targets = self.targets(goal) or (None,) * len(goal.backends)
        first, *others = (
            Cost(
                priced.model.as_module(self.deviations),
                priced.reference,
                target,
                judge=Judge(priced.judge) if priced.judge and not self.deviations else None,
            )
            for priced, target in zip(self._priced(goal), targets, strict=True)
        )
        combine: Combine = "worst" if goal.targets else self.combine
        return LatencyPenalty(
            first.module, first.reference, goal.weight, settings.penalty_samples,
            settings.target, tuple(others), combine, judge=first.judge, metric=self.metric,
        )  # fmt: skip

    def hash(self, goal: Goal) -> str:
        """Returns a hash that changes with everything that the goal's result depends on: the
        search, the training, and the predictors of all backends, which say what was found costs."""
        training = None if self.training is None else dataclasses.asdict(self.training)
        models = [_identity(priced) for priced in self.priced.values()]
        return content_hash(self.search_hash(goal), models, training, self.seeds)

    def search_hash(self, goal: Goal) -> str:
        """Returns a hash that changes with everything that the goal's search itself depends on."""
        return content_hash(
            [_identity(priced) for priced in self._priced(goal)], self.data.fingerprint(),
            settings_identity(self.settings_for(goal)), self.combine, self.deviations, goal.asked,
        )  # fmt: skip

    def predictors(self, name: str) -> tuple[str, str, str]:
        """Returns a backend's ``guide``, ``keeper`` and ``judge``, see ``SearchResult``."""
        priced = self.priced[name]
        guide, judge = (m.card.predictor for m in (priced.model, priced.best))
        if self.deviations:
            guide += f" + {self.deviations:g} σ"
        return guide, guide if self.deviations else judge, judge

    def _priced(self, goal: Goal) -> list[Priced]:
        return [self.priced[name] for name in goal.backends]

    def targets(self, goal: Goal) -> tuple[float, ...]:
        """Returns the limits in the metric's unit, one a backend of the goal; empty for a
        weight."""
        return goal.values(self.metric, [p.reference for p in self._priced(goal)])


def _identity(priced: Priced) -> list[object]:
    models = (priced.model, priced.best)
    return [*(m.card.model_dump(mode="json") for m in models), priced.reference]
