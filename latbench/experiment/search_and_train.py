"""One search for one goal, and the training of what it derived."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.errors import NotEnoughData, UsageError
from latbench.experiment.goals import Goal
from latbench.experiment.progress_notes import TimeLeft, search_note, training_note
from latbench.experiment.result_files import result_json
from latbench.experiment.search_task import SearchTask
from latbench.experiment.search_warnings import nearly_uniform
from latbench.experiment.sweep import result_path
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model, save_model
from latbench.progress import ProgressBars
from latbench.results import STATED_LEVEL, SearchEpoch, SearchResult, Stated
from latbench.search.config import SCORES, TrainConfig
from latbench.search.loop import CHECKPOINT, search
from latbench.search.relaxations.tables import named_odds
from latbench.search.training.train import TRAINING_CHECKPOINT, train
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.supernet import widths_of

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel

TRAINED = "model"  # the beginning of the folders of trained models


def search_goal(
    task: SearchTask, goal: Goal, folder: Path, bars: ProgressBars, renew: bool = False
) -> None:
    """Searches for a goal, trains what was derived and writes the goal's ``result.json``.

    Args:
        task: What all searches of the sweep have in common.
        goal: What this one is for.
        folder: The sweep's folder, in which the goal has its own.
        bars: What draws the progress.
        renew: Whether a checkpoint of other settings or predictors is removed.

    Raises:
        UsageError: When there is such a checkpoint, and it is not to be removed.
    """
    inputs, path = task.hash(goal), result_path(folder, goal)
    started, begun = path.with_name("started.json"), task.search_hash(goal)
    if renew and reusable(started, begun) is None:
        for stale in (path.with_name(CHECKPOINT), *path.parent.glob(f"*{SCORES}")):
            stale.unlink(missing_ok=True)
        write_json(started, {"inputs": begun})
    result = search_and_train(task, goal, path.parent, bars)
    write_json(path, {"inputs": inputs, "result": result_json(result)})


def search_and_train(
    task: SearchTask, goal: Goal, directory: Path, bars: ProgressBars
) -> SearchResult:
    """Searches for a goal, and trains what was derived from scratch.

    What was trained is kept as a model of ``latbench.models`` in ``directory``, ``model-<seed>``.

    Called again with the same ``directory``, it goes on from the last checkpoint. The expected cost
    of the course is shown for every weight, 0 included. A target that was missed, and a derived
    network that is unlike the samples or hardly chosen, are ``doubts`` of the result.

    Args:
        task: What all searches of the sweep have in common.
        goal: The penalty weight or the target, and the backends.
        directory: The folder that takes the checkpoints.
        bars: The progress bars.

    Returns:
        What was found, predicted and trained.
    """
    settings, metric = task.settings_for(goal), task.metric
    label = _label(task, goal)
    guide, keeper, judge = task.predictors(goal.backends[0])

    def progress(epoch: SearchEpoch) -> None:
        step(epoch.epoch + 1, settings.epochs, search_note(epoch, metric, guide, keeper))

    def scored(networks: int, of: int) -> None:
        step(networks, of, "networks scored, to choose one")

    with bars.bar(f"search, {label}") as step:
        outcome = search(
            task.space, task.data, settings, task.penalty(goal), directory=directory,
            progress=progress, stepped=TimeLeft(step, settings.epochs), scored=scored,
        )  # fmt: skip
    found = outcome.architecture
    doubts = [task.priced[name].best.unlike_sample(found) for name in goal.backends]
    if outcome.course:  # without architecture parameters there are no choices that they make
        doubts.append(nearly_uniform(outcome.probabilities, label, outcome.sets))
    network = task.space.build(found)
    accuracies: tuple[float, ...] = ()
    if task.training is not None:
        accuracies = _accuracies(task, found, task.training, directory, label, bars)
    predicted = {n: float(p.best.predict([found])[0]) for n, p in task.priced.items()}
    lead, targets = goal.backends[0], dict(zip(goal.backends, task.targets(goal), strict=False))
    if outcome.met is False:
        doubts.append(
            f"no derived network kept the target as predicted ({label}; the last one: "
            f"{metric.show(predicted[lead])}): allow more, or search for more epochs; what counts "
            "is the measurement"
        )
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
        doubts=tuple(filter(None, doubts)),
        odds=named_odds(task.space.forest, outcome.probabilities) if outcome.course else {},
        set_odds={name: dict(of) for name, of in outcome.sets.items()},
        numbers=_numbers(task.space, found),
    )


def trained_models(result: Path) -> list[Path]:
    """Returns the folders of what was trained for a goal, by the path of its ``result.json``."""
    return sorted(path for path in result.parent.glob(f"{TRAINED}-*") if path.is_dir())


def _numbers(space: AnySpace, found: Architecture) -> dict[str, dict[str, str]]:
    """Returns what was chosen of the variables that channels depend on, by their kinds."""
    kept: dict[str, dict[str, str]] = {}
    for name in widths_of(space.supernet()):
        if isinstance(option := found[name], str):
            kept.setdefault(space.forest[name].kind, {})[name] = option
    return kept


def _stated(model: LatencyModel, architecture: Any) -> Stated:
    """Returns what the model says of its prediction; no interval where it was not calibrated."""
    low = high = None
    with suppress(UsageError, NotEnoughData):
        _, lows, highs = model.predict([architecture], return_interval=STATED_LEVEL)
        low, high = float(lows[0]), float(highs[0])
    error = (model.card.metrics or {}).get("mape")
    return Stated(low, high, None if error is None else error[0])


def _label(task: SearchTask, goal: Goal) -> str:
    """Returns a goal's label for bars and the report; with the backends where there are several."""
    label = f"λ = {goal.weight:g}"
    if goal.targets:
        values = dict.fromkeys(task.metric.show(v, 3) for v in task.targets(goal))
        label = f"at most {' and '.join(values)}"
    plain = not goal.targets and goal.weight == 0
    return label if plain or len(task.priced) == 1 else f"{label}, {' and '.join(goal.backends)}"


def _accuracies(
    task: SearchTask,
    architecture: Any,
    training: TrainConfig,
    directory: Path,
    label: str,
    bars: ProgressBars,
) -> tuple[float, ...]:
    """Test accuracies, one a seed. Each is written down when it is known, and its weights are kept;
    the training under way has its checkpoint beside them."""
    path, network = directory / "accuracies.json", task.space.build(architecture)
    inputs = content_hash(
        str(architecture), task.space.identity(), task.data.fingerprint(),
        dataclasses.asdict(training),
    )  # fmt: skip
    stored = reusable(path, inputs)
    told = [float(a) for a in stored["accuracies"]] if stored else []
    # Before latbench kept weights, it wrote accuracies alone: those seeds are trained again.
    kept = [(directory / f"{TRAINED}-{training.seed + i}").is_dir() for i in range(len(told))]
    known = told[: [*kept, False].index(False)]
    if stored is None or known != told:  # the checkpoint is of other inputs, or another seed
        (directory / TRAINING_CHECKPOINT).unlink(missing_ok=True)
    if stored is None:
        for stale in directory.glob(f"{TRAINED}-*"):
            shutil.rmtree(stale)
        write_json(path, {"inputs": inputs, "accuracies": known})
    for i in range(len(known), task.seeds):
        data = task.data.at(network.input_shape[2])  # of the resolution that was chosen
        config = dataclasses.replace(training, seed=training.seed + i)
        seed = f", seed {config.seed}" if task.seeds > 1 else ""
        with bars.bar(f"train what {label} found{seed}") as step:
            outcome = train(
                network, data, config,
                lambda e: step(e.epoch + 1, config.epochs, training_note(e)),  # noqa: B023
                landmarks=task.space.landmarks(architecture), directory=directory,
            )  # fmt: skip
        name = f"{label}{seed}"
        trained = task.data.trained(outcome.test_accuracy)
        model = Model(name, network, outcome.weights, trained=trained)
        save_model(model, directory / f"{TRAINED}-{config.seed}")
        known.append(outcome.test_accuracy)
        write_json(path, {"inputs": inputs, "accuracies": known})
        (directory / TRAINING_CHECKPOINT).unlink(missing_ok=True)
    return tuple(known[: task.seeds])
