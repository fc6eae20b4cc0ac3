"""``latbench search``: searches with fitted predictors as their penalty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, interruptible, parse_options
from latbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel
    from latbench.search.config import SearchConfig
    from latbench.spaces import AnySpace


def search(
    model: Annotated[
        list[Path],
        typer.Option("--model", help="Folder of a fitted predictor; one a backend, repeatable."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoints and the result.")],
    judge: Annotated[
        list[Path] | None,
        typer.Option(
            "--judge",
            help="Folder of a more accurate predictor of a model's backend, such as ridge-layers. "
            "It needs no gradient, and says what the found network costs; repeatable.",
        ),
    ] = None,
    penalty_weight: Annotated[
        float | None,
        typer.Option("--penalty-weight", min=0, help="λ; 0 is plain DARTS.  \\[default: 0.5]"),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", metavar="λ,λ,...", help="One search for each λ.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", metavar="LIMIT,...",
            help="Limit on the cost of what is found, instead of λ: at most 5ms, or 80% of the "
            "reference's. Given once for each model, each has its own.",
        ),
    ] = None,
    together: Annotated[
        str | None,
        typer.Option(
            "--together", metavar="worst|mean",
            help="Pay for all models at once, by the worst or the mean of their relative costs.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", help="darts, darts-2nd, pc-darts or gdas; default: darts.",
            autocompletion=completing.methods,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="NAME",
            help="The method's published settings for cifar10, imagenet or nasbench201; --setting "
            "changes single ones.",
        ),
    ] = None,
    data: Annotated[
        str, typer.Option("--data", help="digits, mnist5k, a folder or an .npz file.")
    ] = "digits",
    setting: Annotated[
        list[str] | None,
        typer.Option("--setting", help="Search setting key=value, e.g. epochs=20; repeatable."),
    ] = None,
    train_epochs: Annotated[
        int, typer.Option("--train-epochs", min=0, help="Train what was found from scratch for so "
                          "many epochs, for its test accuracy; 0 leaves it out.")
    ] = 0,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Train it from so many seeds.")
    ] = 1,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure", metavar="BACKEND", help="Measure what was found; repeatable.",
            autocompletion=completing.backends,
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            help="Measure into this store, on the models' backends if --measure names none.",
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Refuse a predictor of another metric than this.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="Architecture whose cost λ is relative to."),
    ] = None,
    deviations: Annotated[
        float,
        typer.Option(
            "--deviations", min=0, max=100,
            help="Pay for the prediction plus so many of its standard deviations.",
        ),
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Search architectures that pay for their latency, or for what else the predictors predict.

    Run it again to go on where it stopped. With several models each has its own searches, and
    what was found for one is predicted, and measured, for the others too.
    """
    from latbench.cli.bars import Bars
    from latbench.cli.found import finish
    from latbench.cli.goals import goals_of
    from latbench.experiment.found import conditions_of
    from latbench.experiment.searching import Task, load_data
    from latbench.search.config import TrainConfig, check_settings

    models = _models(model, metric)
    judges = _judges(judge or (), models)
    space = next(iter(models.values())).space
    settings = _settings(space.name, method, preset, setting or ())
    check_settings(space.name, settings)
    if seeds > 1 and not train_epochs:
        raise UsageError(f"--seeds {seeds} trains nothing without --train-epochs; give both")
    goals = goals_of(models, penalty_weight, sweep, target or [], together)
    for found in models.values():
        found.as_module(deviations)  # an error in it comes before the images are read
    task = Task(
        space, load_data(data, space), _priced(models, judges, reference), settings,
        TrainConfig(epochs=train_epochs) if train_epochs else None, seeds,
        "mean" if together == "mean" else "worst", deviations,
    )  # fmt: skip
    for goal in goals:
        task.penalty(goal)  # an error in it comes before hours
    measured = bool(measure or store)
    conditions = conditions_of(models, measure or None) if measured else []
    try:
        finish(task, goals, conditions, out, store, Bars(), as_json)
    except KeyboardInterrupt:
        with interruptible(_kept(out)):
            raise


def _kept(out: Path) -> str:
    """What an interrupted search leaves, in a sentence."""
    from latbench.search.config import CHECKPOINT

    if any(out.rglob(CHECKPOINT)):
        return f"the last epoch is in {out}; the same command goes on from there"
    return "no epoch was finished; the same command begins anew"


def _settings(
    space: str, method: str | None, preset: str | None, setting: Sequence[str]
) -> SearchConfig:
    """Single settings over published ones over the defaults. The goals bring weight and target."""
    from latbench.experiment.checking import checked
    from latbench.search.config import Method, SearchConfig
    from latbench.search.presets import laid_over

    given = parse_options(setting) | {"penalty_weight": 0.0, "target": None}
    if method:
        if method not in get_args(Method):
            raise UsageError(f"--method: {unknown('method', method, get_args(Method))}")
        given["method"] = method
    settings = laid_over(preset, given, space) if preset else given
    return checked(SearchConfig, settings, "--setting")


def _judges(paths: Sequence[Path], models: dict[str, LatencyModel]) -> dict[str, LatencyModel]:
    """The judges by backend. Raises UsageError for one that is of no model's backend."""
    first = next(iter(models.values()))
    judges = _models(paths, first.metric.name, first.space)
    for name in judges:
        if name not in models:
            raise UsageError(
                f"--judge is a predictor of backend {name!r}, --model of {', '.join(models)}; give "
                "a --model of that backend too"
            )
    return judges


def _models(
    paths: Sequence[Path], metric: str | None, space: AnySpace | None = None
) -> dict[str, LatencyModel]:
    """The models by backend. Raises UsageError when they do not fit together."""
    from latbench.metric import parse_metric
    from latbench.predictors.model import LatencyModel

    found: dict[str, LatencyModel] = {}
    for path in paths:
        first = next(iter(found.values()), None)
        loaded = LatencyModel.load(path, space=first.space if first else space)
        wanted = first.metric if first else parse_metric(metric) if metric else loaded.metric
        if wanted != loaded.metric:
            raise UsageError(
                f"the predictor in {path} is of metric {loaded.metric.name!r}, not "
                f"{wanted.name!r}; fit one with `latbench fit --metric {wanted.name} --out FOLDER`"
            )
        if loaded.card.backend in found:
            raise UsageError(
                f"{path} is a second model of backend {loaded.card.backend!r}; give one a backend"
            )
        found[loaded.card.backend] = loaded
    return found


def _priced(
    models: dict[str, LatencyModel], judges: dict[str, LatencyModel], reference: str | None
) -> dict[str, Any]:
    """λ is relative to what each judge, or model, predicts for the reference architecture."""
    from latbench.experiment.searching import Priced

    space = next(iter(models.values())).space
    anchor = space.parse(reference) if reference else space.reference()
    return {
        name: Priced(m, float(judges.get(name, m).predict([anchor])[0]), judges.get(name))
        for name, m in models.items()
    }


COMMANDS = (search,)
