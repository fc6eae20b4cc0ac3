"""One search for one goal, and the training of what it derived."""

from __future__ import annotations

import dataclasses
import statistics
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.errors import NotEnoughData, UsageError
from latbench.experiment.courses import course, training_course
from latbench.experiment.doubts import nearly_uniform
from latbench.experiment.goals import Goal
from latbench.experiment.pace import Pace
from latbench.files import content_hash, reusable, write_json
from latbench.metric import Metric
from latbench.report.data import STATED_LEVEL, SearchResult, Stated
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.data import ImageData, load_images
from latbench.search.judge import Judge
from latbench.search.loop import search
from latbench.search.penalty import Combine, Cost, LatencyPenalty
from latbench.search.trainee import landmarks
from latbench.search.training import TRAINING_CHECKPOINT, train

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
        """The one that says what a derived network costs."""
        return self.judge or self.model


@dataclass(frozen=True)
class Task:
    """What all searches of a sweep have in common.

    ``priced`` holds every backend that any goal may name. ``training`` None leaves the accuracy
    out; otherwise each derived network is trained from ``seeds`` seeds, from ``training.seed`` on.
    The penalty is on the prediction plus ``deviations`` times its standard deviation; no judge has
    a say in that.
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
        """What the searches pay for."""
        return next(iter(self.priced.values())).model.metric

    def settings_for(self, goal: Goal) -> SearchConfig:
        """The settings with the goal's weight or target in them."""
        targets = self.targets(goal)
        return dataclasses.replace(
            self.settings, penalty_weight=goal.weight, target=targets[0] if targets else None
        )

    def penalty(self, goal: Goal) -> LatencyPenalty:
        """Raises UsageError when a predictor has no gradient or no deviation."""
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
            settings.target, tuple(others), combine, judge=first.judge,
        )  # fmt: skip

    def hash(self, goal: Goal) -> str:
        """Changes with everything that the goal's result depends on."""
        cards = [
            (*(m.card.model_dump(mode="json") for m in (p.model, p.best)), p.reference)
            for p in self._priced(goal)
        ]
        training = None if self.training is None else dataclasses.asdict(self.training)
        return content_hash(
            cards, self.data.fingerprint(), dataclasses.asdict(self.settings_for(goal)), training,
            self.seeds, self.combine, self.deviations, goal.asked,
        )  # fmt: skip

    def predictors(self, name: str) -> tuple[str, str, str]:
        """A backend's ``guide``, ``keeper`` and ``judge``, see ``SearchResult``."""
        priced = self.priced[name]
        guide, judge = (m.card.predictor for m in (priced.model, priced.best))
        if self.deviations:
            guide += f" + {self.deviations:g} σ"
        return guide, guide if self.deviations else judge, judge

    def _priced(self, goal: Goal) -> list[Priced]:
        return [self.priced[name] for name in goal.backends]

    def targets(self, goal: Goal) -> tuple[float, ...]:
        """The limits in the metric's unit, one a backend of the goal; empty for a weight."""
        return goal.values(self.metric, [p.reference for p in self._priced(goal)])


def search_and_train(task: Task, goal: Goal, directory: Path, bars: Bars) -> SearchResult:
    """Searches for the goal, and trains what was derived from scratch.

    Checkpoints go into ``directory``; called again, it goes on from the last one. The expected cost
    of the course is shown for every weight, 0 included. Warns (UserWarning) of a target that was
    missed, and of a derived network that is unlike the samples or hardly chosen.
    """
    settings, metric = task.settings_for(goal), task.metric
    label = _label(task, goal)
    guide, keeper, judge = task.predictors(goal.backends[0])
    with bars.bar(f"search, {label}") as step:
        outcome = search(
            task.space, task.data, settings, task.penalty(goal), directory=directory,
            progress=lambda e: step(e.epoch + 1, settings.epochs, course(e, metric, guide, keeper)),
            stepped=Pace(step, settings.epochs),
        )  # fmt: skip
    found = outcome.architecture
    _warn(task.priced[name].best.unlike_sample(found) for name in goal.backends)
    _warn([nearly_uniform(outcome.probabilities, label)])
    network = task.space.build(found)
    accuracies: tuple[float, ...] = ()
    if task.training is not None:
        accuracies = _accuracies(task, found, task.training, directory, label, bars)
    predicted = {n: float(p.best.predict([found])[0]) for n, p in task.priced.items()}
    lead, targets = goal.backends[0], dict(zip(goal.backends, task.targets(goal), strict=False))
    if outcome.met is False:
        _warn([
            f"no derived network kept the target as predicted ({label}; the last one: "
            f"{metric.show(predicted[lead])}): allow more, or search for more epochs; what counts "
            "is the measurement"
        ])  # fmt: skip
    return SearchResult(
        label=label,
        backend=lead,
        penalty_weight=goal.weight,
        architecture=str(found),
        history=outcome.history,
        predicted=predicted.pop(lead),
        accuracy=statistics.fmean(accuracies) if accuracies else None,
        parameters=network.parameters,
        macs=network.macs,
        metric=metric,
        target=settings.target,
        asked=goal.asked,
        met=outcome.met,
        together=goal.backends if len(goal.backends) > 1 else (),
        accuracies=accuracies,
        predicted_elsewhere=predicted,
        reference=task.priced[lead].reference,
        targets_elsewhere={n: limit for n, limit in targets.items() if n != lead},
        stated={n: _stated(p.best, found) for n, p in task.priced.items()},
        guide=guide,
        keeper=keeper,
        judge=judge,
    )


def _warn(doubts: Iterable[str | None]) -> None:
    for doubt in filter(None, doubts):
        warnings.warn(doubt, UserWarning, stacklevel=3)


def _stated(model: LatencyModel, architecture: Any) -> Stated:
    """What the model says of its prediction; no interval where it was not calibrated."""
    low = high = None
    with suppress(UsageError, NotEnoughData):
        _, lows, highs = model.predict([architecture], return_interval=STATED_LEVEL)
        low, high = float(lows[0]), float(highs[0])
    error = (model.card.metrics or {}).get("mape")
    return Stated(low, high, None if error is None else error[0])


def _label(task: Task, goal: Goal) -> str:
    """For bars and the report; with the backends where there are several."""
    label = f"λ = {goal.weight:g}"
    if goal.targets:
        values = dict.fromkeys(task.metric.show(v, 3) for v in task.targets(goal))
        label = f"at most {' and '.join(values)}"
    plain = not goal.targets and goal.weight == 0
    return label if plain or len(task.priced) == 1 else f"{label}, {' and '.join(goal.backends)}"


def _accuracies(
    task: Task, architecture: Any, training: TrainConfig, directory: Path, label: str, bars: Bars
) -> tuple[float, ...]:
    """Test accuracies, one a seed. Each is written down when it is known; the training under way
    has its checkpoint beside them."""
    path, network = directory / "accuracies.json", task.space.build(architecture)
    inputs = content_hash(
        str(architecture), task.space.identity(), task.data.fingerprint(),
        dataclasses.asdict(training),
    )  # fmt: skip
    stored = reusable(path, inputs)
    known = [float(a) for a in stored["accuracies"]] if stored else []
    if stored is None:
        (directory / TRAINING_CHECKPOINT).unlink(missing_ok=True)  # of other inputs
        write_json(path, {"inputs": inputs, "accuracies": known})
    for i in range(len(known), task.seeds):
        config = dataclasses.replace(training, seed=training.seed + i)
        seed = f", seed {config.seed}" if task.seeds > 1 else ""
        with bars.bar(f"train what {label} found{seed}") as step:
            outcome = train(
                network, task.data, config,
                lambda e: step(e.epoch + 1, config.epochs, training_course(e)),  # noqa: B023
                landmarks=landmarks(task.space, architecture), directory=directory,
            )  # fmt: skip
        known.append(outcome.test_accuracy)
        write_json(path, {"inputs": inputs, "accuracies": known})
        (directory / TRAINING_CHECKPOINT).unlink(missing_ok=True)
    return tuple(known[: task.seeds])
