"""The stages of an experiment, each of which goes on where it was stopped.

An experiment's folder:

    experiment.toml              the file that it was started with
    measurements.sqlite          the store
    sets.json                    backend -> measurement set in the store
    predictors/<backend>/        comparison.json and the predictors that are kept
    predictors/<backend>/<metric>/   the same, where the search pays for another metric
    search/weight-<w>/           checkpoints, and result.json when it is finished
    search/target-<t>/           the same for a target
    search/<backends>/...        the same for backends other than the first
    report.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.dataset import LatencyDataset
from latbench.errors import UsageError
from latbench.experiment.config import (
    ExperimentConfig,
    PredictStage,
    SearchStage,
    load_experiment,
)
from latbench.experiment.goals import JOINED, Goal
from latbench.experiment.results import comparison_json, load_result, result_json
from latbench.files import content_hash, read_json, reusable, write_json, write_text
from latbench.metric import LATENCY, Metric, parse_metric
from latbench.spaces import AnySpace
from latbench.store import Store

if TYPE_CHECKING:
    from latbench.experiment.searching import Task


class Bars(Protocol):
    """Draws progress; ``latbench.cli.bars`` is the one for terminals."""

    def bar(self, description: str) -> AbstractContextManager[Callable[[int, int, str], None]]:
        """A bar, moved by calling what it gives with (done, total, note)."""


@dataclass(frozen=True)
class Experiment:
    """A checked experiment and where its results go."""

    config: ExperimentConfig
    directory: Path
    space: AnySpace
    backends: dict[str, Backend]

    @classmethod
    def open(cls, path: Path, directory: Path) -> Experiment:
        """Loads and checks the file. Raises UsageError or BackendUnavailable."""
        config = load_experiment(path)
        return cls(config, directory, config.make_space(), config.make_backends())

    @property
    def search_plan(self) -> SearchStage:
        """The search stage. Raises UsageError when the experiment has none."""
        if self.config.search is None:
            raise UsageError("the experiment has no [search] table; add one to search")
        return self.config.search

    @property
    def search_metric(self) -> Metric:
        """What the search pays for; latency where there is no search."""
        return parse_metric(self.config.search.metric) if self.config.search else LATENCY

    def predictors(self, backend: str, metric: Metric) -> Path:
        """The folder of a backend's comparison and predictor of a metric."""
        return predictors_folder(self.directory, backend, metric)

    def store(self) -> Store:
        """The experiment's store, made when it is not there."""
        return Store(self.directory / "measurements.sqlite", self.space)


def predictors_folder(directory: Path, backend: str, metric: Metric) -> Path:
    """Where an experiment keeps what it fitted for a metric of a backend."""
    folder = directory / "predictors" / backend
    return folder if metric == LATENCY else folder / metric.name


def measure(experiment: Experiment, bars: Bars) -> dict[str, int]:
    """Times the sample on every backend; the measurement set of each."""
    plan = experiment.config.measure
    sets = {}
    with experiment.store() as store:
        for name, backend in experiment.backends.items():
            with bars.bar(f"measure {name}") as step:
                outcome = run_campaign(
                    store, backend, n=plan.n, seed=plan.seed, protocol=experiment.config.protocol,
                    options=CampaignOptions(retest=plan.retest, energy_s=plan.energy),
                    report=lambda p: step(p.done, p.total, p.note),
                )  # fmt: skip
            sets[name] = outcome.set_id
    write_json(experiment.directory / "sets.json", sets)
    return sets


def predict(experiment: Experiment, sets: dict[str, int], bars: Bars) -> None:
    """Compares the predictors of latency on every backend, and of what the search pays for on its
    own; saves the one that the search will use."""
    targets = [(name, LATENCY) for name in sets]
    if experiment.search_metric != LATENCY:
        targets += [(name, experiment.search_metric) for name in experiment.search_plan.priced]
    for name, metric in targets:
        with experiment.store() as store:
            dataset = store.dataset(set_id=sets[name], metric=metric.name)
        folder = experiment.predictors(name, metric)
        _predict_backend(dataset, experiment.config.predict, folder, bars)


def _predict_backend(dataset: LatencyDataset, plan: PredictStage, folder: Path, bars: Bars) -> None:
    from latbench.predictors import make_predictor
    from latbench.predictors.compare import compare
    from latbench.predictors.model import LatencyModel
    from latbench.predictors.recommend import most_accurate

    inputs = content_hash(dataset.fingerprint(), dataclasses.asdict(plan))
    if reusable(folder / "comparison.json", inputs):
        return
    names = list(dict.fromkeys((*plan.compare, plan.penalty)))
    of = "" if dataset.metric == LATENCY else f" of {dataset.metric.label}"
    with bars.bar(f"compare predictors{of} on {dataset.backend}") as step:
        results = compare(
            dataset, names, folds=plan.folds, curves=True,
            progress=lambda name, done, total: step(
                names.index(name) * total + done, len(names) * total, name
            ),
        )  # fmt: skip
    judge = most_accurate(results, dataset.values, preferred=plan.penalty)
    for name in dict.fromkeys((plan.penalty, judge)):
        kept = results[names.index(name)]
        LatencyModel.fit(
            dataset, make_predictor(name), metrics=kept.metrics, out_of_fold=kept.predicted
        ).save(folder / name)
    write_json(
        folder / "comparison.json",
        {"inputs": inputs, "results": comparison_json(results), "judge": judge},
    )


def _task(experiment: Experiment) -> Task:
    """The penalty is relative to the sample's median, so that a weight means the same on every
    backend and for every metric."""
    from latbench.experiment.searching import Priced, Task, load_data
    from latbench.predictors.model import LatencyModel

    plan, metric = experiment.search_plan, experiment.search_metric
    sets, priced = read_json(experiment.directory / "sets.json"), {}
    with experiment.store() as store:
        for name in plan.priced:
            folder = experiment.predictors(name, metric)
            penalty = experiment.config.predict.penalty
            judge = read_json(folder / "comparison.json").get("judge", penalty)
            dataset = store.dataset(set_id=sets[name], metric=metric.name)
            priced[name] = Priced(
                LatencyModel.load(folder / penalty),
                float(np.median(dataset.values)),
                LatencyModel.load(folder / judge) if judge != penalty else None,
            )
    return Task(
        experiment.space, load_data(plan.data, experiment.space, plan.limit), priced,
        plan.settings, experiment.config.train, plan.seeds, plan.combine, plan.deviations,
    )  # fmt: skip


def result_path(directory: Path, plan: SearchStage, goal: Goal) -> Path:
    """Where an experiment keeps the result of a goal. The first front's have no folder."""
    folder = directory / "search"
    if goal.backends != plan.fronts[0]:
        folder /= JOINED.join(goal.backends)
    return folder / goal.name / "result.json"


def search_one(experiment: Experiment, number: int, bars: Bars) -> None:
    """The search of a goal by its number and its training; writes its ``result.json``."""
    from latbench.experiment.searching import search_and_train
    from latbench.search.loop import CHECKPOINT

    plan, task = experiment.search_plan, _task(experiment)
    goal = plan.goals[number]
    inputs, path = task.hash(goal), result_path(experiment.directory, plan, goal)
    started = path.with_name("started.json")
    if reusable(started, inputs) is None:
        # A checkpoint of other labels or settings is of no use, and the search would refuse it.
        path.with_name(CHECKPOINT).unlink(missing_ok=True)
        write_json(started, {"inputs": inputs})
    result = search_and_train(task, goal, path.parent, bars)
    write_json(path, {"inputs": inputs, "result": result_json(result)})


def search(experiment: Experiment, bars: Bars) -> list[Path]:
    """The searches that are not done yet, side by side; the result files of all. Warns
    (UserWarning) of targets that may be out of reach."""
    from latbench.experiment.doubts import warn_of_reach
    from latbench.experiment.parallel import run_searches

    if experiment.config.search is None:
        return []
    plan, task = experiment.search_plan, _task(experiment)
    paths = [result_path(experiment.directory, plan, goal) for goal in plan.goals]
    todo = [
        i for i, (goal, path) in enumerate(zip(plan.goals, paths, strict=True))
        if not reusable(path, task.hash(goal))
    ]  # fmt: skip
    warn_of_reach(task, [plan.goals[i] for i in todo])
    devices = {plan.settings.device, experiment.config.train.device}
    run_searches(experiment.directory, todo, devices, bars)
    return paths


def verify(experiment: Experiment, results: list[Path], bars: Bars) -> None:
    """Measures what the searches derived, on every backend, side by side in the same rounds, and
    writes it into their result files."""
    from latbench.experiment.found import measured_in, time_found

    if not results:
        return
    derived = [experiment.space.parse(load_result(path).architecture) for path in results]
    sets: dict[str, int] = {}
    with experiment.store() as store:
        for name, backend in experiment.backends.items():
            sets[name] = time_found(
                store, backend, name, derived, experiment.config.protocol,
                experiment.config.measure.energy, bars,
            )  # fmt: skip
        for path in results:
            found = measured_in(store, sets, load_result(path))
            write_json(path, {**read_json(path), "result": result_json(found)})


def run_experiment(path: Path, directory: Path, bars: Bars) -> Path:
    """Runs every stage of the experiment file at ``path``; returns the report's path.

    Raises UsageError for a wrong file, BackendUnavailable for a backend that cannot run here, both
    before anything is written.
    """
    from latbench.backends import require
    from latbench.experiment.reporting import write_report

    experiment = Experiment.open(path, directory)
    for backend in experiment.backends.values():
        require(backend)
    plan = experiment.config.search
    if plan:
        from latbench.experiment.searching import load_data
        from latbench.search.config import check_settings

        check_settings(experiment.space.name, plan.settings)
        load_data(plan.data, experiment.space, plan.limit)  # an error in it comes before hours
    write_text(directory / "experiment.toml", path.read_text(encoding="utf-8"))
    sets = measure(experiment, bars)
    predict(experiment, sets, bars)
    results = search(experiment, bars)
    verify(experiment, results, bars)
    return write_report(directory)
