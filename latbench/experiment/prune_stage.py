"""The pruning stage of an experiment: what the searches found and trained, or given models.

Its folder:

    models.json                        the folders of the pruned models, in their order
    <backend>/<model>/                 of each: see latbench.experiment.pruning.prune_job
"""

from __future__ import annotations

import warnings
from pathlib import Path

from latbench.errors import UsageError
from latbench.experiment.folder import Experiment
from latbench.experiment.pruning.prune_job import check_job, prune_to_budgets, pruned_results
from latbench.experiment.pruning.prune_settings import checked_budgets
from latbench.experiment.search_and_train import TRAINED
from latbench.experiment.settings import PruneStage
from latbench.experiment.sweep import result_path
from latbench.files import folder_name, read_json, write_json
from latbench.models import read_model
from latbench.progress import ProgressBars
from latbench.results import PrunedResult

MODELS = "models.json"


def prune_models(experiment: Experiment, bars: ProgressBars) -> list[PrunedResult]:
    """Prunes the models that are not pruned yet; returns the results of all.

    What searches found and cannot be pruned, or not to these budgets, is warned of (UserWarning)
    and left out. Raises UsageError where that is all of it, and for a given model.
    """
    plan, places = experiment.prune_plan, _places(experiment)
    folder = experiment.prune_folder
    write_json(folder / MODELS, [str(out.relative_to(folder)) for out in places.values()])
    backend, results = experiment.backends[plan.backend], list[PrunedResult]()
    for model, out in places.items():
        job = plan.job(str(model), experiment.config)
        try:
            results += prune_to_budgets(job, backend, out, bars)
        except UsageError as error:
            if plan.models:
                raise
            warnings.warn(f"{read_model(model).name} was not pruned: {error}", UserWarning,
                          stacklevel=2)  # fmt: skip
            said = str(error)
    if not results:
        raise UsageError(f"nothing that was found could be pruned: {said}")
    return results


def check_models(experiment: Experiment, bars: ProgressBars) -> None:
    """Raises UsageError for a given model that cannot be pruned, before anything is measured."""
    plan = experiment.prune_plan
    for model, out in _places(experiment).items() if plan.models else ():
        job = plan.job(str(model), experiment.config)
        check_job(job, experiment.backends[plan.backend], out, bars)


def pruned_in(folder: Path, plan: PruneStage) -> tuple[PrunedResult, ...]:
    """Returns the results that the stage's folder holds so far."""
    if not (folder / MODELS).is_file():
        return ()
    return tuple(
        result for name in read_json(folder / MODELS)
        for result in pruned_results(folder / name, checked_budgets(plan.budgets), plan.seeds)
    )  # fmt: skip


def _places(experiment: Experiment) -> dict[Path, Path]:
    """The folders of the models to be pruned, each with that of what is made of it. A network that
    was found twice is pruned once."""
    plan = experiment.prune_plan
    folders = [Path(model) for model in plan.models] or _found(experiment)
    above = experiment.prune_folder / folder_name(plan.backend)
    places: dict[str, tuple[Path, Path]] = {}
    for folder in folders:
        digest = read_model(folder).digest
        name = folder.resolve().name if plan.models else folder.parent.name
        places.setdefault(digest, (folder, above / f"{folder_name(name)}-{digest[:8]}"))
    return dict(places.values())


def _found(experiment: Experiment) -> list[Path]:
    """What the searches found for the backend, and for accuracy alone, trained from the first
    seed."""
    name, seed = experiment.prune_plan.backend, experiment.config.train.seed
    goals = [
        goal for goal in experiment.search_plan.goals
        if name in goal.backends or not (goal.weight or goal.targets)
    ]  # fmt: skip
    paths = [result_path(experiment.search_folder, goal) for goal in goals]
    return [path.with_name(f"{TRAINED}-{seed}") for path in paths]
