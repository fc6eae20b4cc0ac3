"""The stages of an experiment, each of which goes on where it was stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from latbench.campaign import CampaignOptions, run_campaign
from latbench.experiment.folder import Experiment
from latbench.experiment.result_files import comparison_json
from latbench.experiment.settings import PredictStage
from latbench.experiment.sweep import FittedModel, Sweep
from latbench.experiment.verification import Conditions, verify
from latbench.files import content_hash, read_json, reusable, write_json, write_text
from latbench.progress import ProgressBars
from latbench.store.dataset import LatencyDataset
from latbench.timing.metric import LATENCY


def measure(experiment: Experiment, bars: ProgressBars) -> dict[str, int]:
    """Times the sample on every backend; returns the measurement set of each."""
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


def predict(experiment: Experiment, sets: dict[str, int], bars: ProgressBars) -> None:
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


def _predict_backend(
    dataset: LatencyDataset, plan: PredictStage, folder: Path, bars: ProgressBars
) -> None:
    from latbench.predictors import make_predictor
    from latbench.predictors.evaluation.compare import compare
    from latbench.predictors.evaluation.recommend import most_accurate
    from latbench.predictors.model import LatencyModel

    names = list(dict.fromkeys((*plan.compare, plan.penalty)))
    inputs = content_hash(dataset.fingerprint(), dataclasses.asdict(plan), *versions_read(names))
    if reusable(folder / "comparison.json", inputs):
        return
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


def versions_read(predictors: list[str]) -> list[str]:
    """Returns the encodings that predictors read, of which there was another version before: what
    was fitted on that is fitted again."""
    from latbench.encodings import encoding_of
    from latbench.predictors import make_predictor

    found = [encoding_of(make_predictor(name).encoding) for name in predictors]
    return sorted({f"{e.name} {e.version}" for e in found if e.version > 1})


def sweep_of(experiment: Experiment) -> Sweep:
    """Returns the searches of the experiment. The penalty is relative to the sample's median, so
    that a weight means the same on every backend and for every metric."""
    plan, metric = experiment.search_plan, experiment.search_metric
    sets, models = read_json(experiment.directory / "sets.json"), {}
    with experiment.store() as store:
        for name in plan.priced:
            folder = experiment.predictors(name, metric)
            penalty = experiment.config.predict.penalty
            judge = read_json(folder / "comparison.json").get("judge", penalty)
            dataset = store.dataset(set_id=sets[name], metric=metric.name)
            models[name] = FittedModel(
                str(folder / penalty),
                float(np.median(dataset.values)),
                str(folder / judge) if judge != penalty else "",
            )
    return Sweep(
        models, tuple(plan.goals), plan.data, plan.limit, plan.settings, experiment.config.train,
        plan.seeds, plan.combine, plan.deviations, renew=True,
    )  # fmt: skip


def search(experiment: Experiment, bars: ProgressBars) -> list[Path]:
    """Runs the searches that are not done yet; returns the result files of all."""
    from latbench.experiment.parallel import run_sweep

    if experiment.config.search is None:
        return []
    sweep = sweep_of(experiment)
    return run_sweep(sweep, sweep.task(), experiment.search_folder, bars)


def measure_found(experiment: Experiment, results: list[Path], bars: ProgressBars) -> None:
    """Measures what the searches derived, on every backend."""
    if not results:
        return
    config = experiment.config
    conditions = [
        Conditions(name, backend, config.protocol, energy_s=config.measure.energy)
        for name, backend in experiment.backends.items()
    ]
    with experiment.store() as store:
        path = store.path
    verify(results, experiment.space, conditions, path, bars)


def run_experiment(path: Path, directory: Path, bars: ProgressBars) -> Path:
    """Runs every stage of the experiment file at ``path``; returns the report's path.

    Raises UsageError for a wrong file, BackendUnavailable for a backend that cannot run here, both
    before anything is written.
    """
    from latbench.backends import require
    from latbench.experiment.reporting import write_report

    experiment = Experiment.open(path, directory)
    for backend in experiment.backends.values():
        require(backend)
    config = experiment.config
    if config.prune:
        from latbench.experiment.prune_stage import check_models, prune_models

        check_models(experiment, bars)
    if plan := config.search:
        from latbench.experiment.search_task import load_data
        from latbench.search.searchability import check_searchable
        from latbench.search.training.trainee import check_trainable

        check_searchable(experiment.space, plan.settings)
        check_trainable(experiment.space, experiment.config.train)
        load_data(plan.data, experiment.space, plan.limit)  # an error in it comes before hours
    write_text(directory / "experiment.toml", path.read_text(encoding="utf-8"))
    if config.space:
        sets = measure(experiment, bars)
        predict(experiment, sets, bars)
        measure_found(experiment, search(experiment, bars), bars)
    if config.prune:
        prune_models(experiment, bars)
    return write_report(directory)
