"""``latbench search``: searches with fitted predictors as their penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, interruptible, parse_options
from latbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from latbench.experiment.goals import Goal
    from latbench.experiment.sweep import FittedModel
    from latbench.predictors.model import LatencyModel
    from latbench.search.config import SearchConfig, TrainConfig
    from latbench.spaces import AnySpace

ModelOption = Annotated[
    list[Path],
    typer.Option("--model", help="Folder of a fitted predictor; one a backend, repeatable."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for checkpoints and the results.")]
JudgeOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--judge",
        help="Folder of a more accurate predictor of a model's backend, such as ridge-layers. It "
        "needs no gradient, and says what the found network costs; repeatable.",
    ),
]
WeightOption = Annotated[
    str | None,
    typer.Option(
        "--penalty-weight", metavar="λ,...",
        help="One search for each λ; 0 is for accuracy alone.  \\[default: 0.5 without --target]",
    ),
]  # fmt: skip
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="LIMIT,...",
        help="One search for each limit on the cost of what is found: at most 5ms, or 80% of the "
        "reference's. Given once for each model, each has its own.",
    ),
]  # fmt: skip
TogetherOption = Annotated[
    str | None,
    typer.Option(
        "--together", metavar="worst|mean",
        help="Pay for all models at once, by the worst or the mean of their relative costs; every "
        "limit is kept in either case.",
    ),
]  # fmt: skip
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="darts, darts-2nd, pc-darts, gdas, msg-das, fbnet, dmasking, proxylessnas, "
        "hurricane, single-path or training-free, with settings as in 'gdas(temperature=5)', or "
        "module:Class for one of your own.  \\[default: darts]",
        autocompletion=completing.methods,
    ),
]  # fmt: skip
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="NAME",
        help="The method's published settings for cifar10, imagenet, nasbench201, toponas-cifar10 "
        "or toponas-imagenet; --setting changes single ones.",
    ),
]  # fmt: skip
DataOption = Annotated[
    str, typer.Option("--data", help="digits, mnist5k, a folder or an .npz file.")
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option("--setting", help="Search setting key=value, e.g. epochs=20; repeatable."),
]
TrainOption = Annotated[
    int,
    typer.Option(
        "--train-epochs", min=0,
        help="Train what was found from scratch for so many epochs, for its test accuracy; 0 "
        "leaves it out.",
    ),
]  # fmt: skip
TrainSettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--train-setting",
        help="Training setting key=value, e.g. learning_rate=0.1, over those of the preset and the "
        "search's device and precision; repeatable.",
    ),
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="Train it from so many seeds.")]
MeasureOption = Annotated[
    list[str] | None,
    typer.Option(
        "--measure", metavar="BACKEND", help="Measure what was found; repeatable.",
        autocompletion=completing.backends,
    ),
]  # fmt: skip
IntoOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Measure into this store, on the models' backends if --measure names none.",
    ),
]
OfMetricOption = Annotated[
    str | None, typer.Option("--metric", help="Refuse a predictor of another metric than this.")
]
ReferenceOption = Annotated[
    str | None, typer.Option("--reference", help="Architecture whose cost λ is relative to.")
]
DeviationsOption = Annotated[
    float,
    typer.Option(
        "--deviations", min=0, max=100,
        help="Pay for the prediction plus so many of its standard deviations.",
    ),
]  # fmt: skip


def search(
    model: ModelOption,
    out: OutOption,
    judge: JudgeOption = None,
    penalty_weight: WeightOption = None,
    target: TargetOption = None,
    together: TogetherOption = None,
    method: MethodOption = None,
    preset: PresetOption = None,
    data: DataOption = "digits",
    setting: SettingOption = None,
    train_epochs: TrainOption = 0,
    train_setting: TrainSettingOption = None,
    seeds: SeedsOption = 1,
    measure: MeasureOption = None,
    store: IntoOption = None,
    metric: OfMetricOption = None,
    reference: ReferenceOption = None,
    deviations: DeviationsOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Search architectures that pay for their latency, or for what else the predictors predict.

    Run it again to go on where it stopped. With several models each has its own searches, and
    what was found for one is predicted, and measured, for the others too.
    """
    from latbench.cli.search_tables import print_found
    from latbench.experiment.parallel import run_sweep
    from latbench.experiment.result_files import load_result
    from latbench.experiment.search_and_train import trained_models
    from latbench.experiment.sweep import Sweep
    from latbench.experiment.verification import conditions_of, verify
    from latbench.progress import Bars
    from latbench.search.searchability import check_searchable

    models = _models(model, metric)
    judges = _judges(judge or (), models)
    space = next(iter(models.values())).space
    settings = _settings(space.name, method, preset, setting or ())
    check_searchable(space, settings)
    training = _training(space, settings, preset, train_epochs, train_setting or (), seeds)
    goals = goals_of(models, penalty_weight, target or [], together)
    for found in models.values():
        found.as_module(deviations)  # an error in it comes before the images are read
    sweep = Sweep(
        _fitted(dict(zip(models, model, strict=True)), models, judge or (), judges, reference),
        tuple(goals), data, 0, settings, training, seeds,
        "mean" if together == "mean" else "worst", deviations,
    )  # fmt: skip
    conditions = conditions_of(models, measure or None) if measure or store else []
    try:
        task, bars = sweep.task(), Bars()
        paths = run_sweep(sweep, task, out, bars)
        if conditions:
            verify(paths, space, conditions, store or out / "measurements.sqlite", bars)
    except KeyboardInterrupt:
        with interruptible(_kept(out)):
            raise
    kept = [trained_models(path) for path in paths]
    print_found([load_result(path) for path in paths], task, as_json, kept)


def _kept(out: Path) -> str:
    """Says what an interrupted search leaves, in a sentence."""
    from latbench.search.config import CHECKPOINT

    if any(out.rglob(CHECKPOINT)):
        return f"the last epoch is in {out}; the same command goes on from there"
    return "no epoch was finished; the same command begins anew"


def goals_of(
    models: Mapping[str, LatencyModel], weights: str | None, targets: Sequence[str],
    together: str | None,
) -> list[Goal]:  # fmt: skip
    """Returns the goals that the options ask for.

    Args:
        models: The models by their backends.
        weights: The text of ``--penalty-weight``, numbers with commas between; None means 0.5
            without targets, and no weight beside them.
        targets: The texts of ``--target``, limits with commas between: none, one for all models,
            or one for each.
        together: Whether, and how, all models are paid for at once: ``worst``, ``mean`` or None.

    Returns:
        The goals, each once.

    Raises:
        UsageError: When the options make no sense.
    """
    from latbench.experiment.goals import check_targets, make_goals

    if together not in (None, "worst", "mean"):
        raise UsageError(f"--together must be 'worst' or 'mean', got {together!r}")
    if together and len(models) < 2:
        raise UsageError("--together needs two or more models; give --model for each backend")
    numbers = _numbers(weights) if weights is not None else [] if targets else [0.5]
    fronts = [tuple(models)] if together else [(name,) for name in models]
    lists = [[part.strip() for part in text.split(",")] for text in targets] or [[]]
    check_targets(next(iter(models.values())).metric, [text for texts in lists for text in texts])
    if len(lists) not in (1, len(models)):
        raise UsageError(
            f"--target was given {len(lists)} times for {len(models)} models; give it once, or "
            "once for each model"
        )
    lists = lists if len(lists) == len(models) else lists * len(models)
    if together and len({len(texts) for texts in lists}) > 1:
        raise UsageError("with --together, every --target needs equally many values")
    return make_goals(fronts, numbers, dict(zip(models, lists, strict=True)))


def _numbers(text: str) -> list[float]:
    """The penalty weights of an option's text."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1.0]
    if not all(0 <= number < float("inf") for number in numbers):
        raise UsageError(
            f"--penalty-weight must be numbers of 0 or more with commas between, got {text!r}"
        )
    return numbers


def _settings(
    space: str, method: str | None, preset: str | None, setting: Sequence[str]
) -> SearchConfig:
    """Returns the settings of a search: single ones over published ones over the defaults.

    The goals bring weight and target.
    """
    from latbench.search.config import SearchConfig
    from latbench.search.methods import method_names, parse_method
    from latbench.search.presets import laid_over
    from latbench.validation import checked

    given = parse_options(setting) | {"penalty_weight": 0.0, "target": None}
    if method is not None:
        try:
            if not method.strip():
                raise UsageError(unknown("method", method, method_names()))
            parse_method(method)
        except UsageError as error:
            raise UsageError(f"--method: {error}") from error
        given["method"] = method
    settings = given if preset is None else laid_over(preset, given, space)
    return checked(SearchConfig, settings, "--setting")


def _training(
    space: AnySpace, settings: SearchConfig, preset: str | None, epochs: int,
    setting: Sequence[str], seeds: int,
) -> TrainConfig | None:  # fmt: skip
    """Returns the settings with which what is found is trained; None without epochs.

    Raises UsageError for wrong ones, and for some that do nothing.
    """
    from latbench.search.config import TrainConfig
    from latbench.search.presets import train_settings
    from latbench.search.training.trainee import check_trainable
    from latbench.validation import checked

    if not epochs:
        for option, given in (("--seeds", seeds > 1), ("--train-setting", bool(setting))):
            if given:
                raise UsageError(f"{option} trains nothing without --train-epochs; give both")
        return None
    searched = {"device": settings.device, "precision": settings.precision}
    values = train_settings(preset or "", space.name, searched, parse_options(setting))
    training = checked(TrainConfig, values | {"epochs": epochs}, "--train-setting")
    check_trainable(space, training)
    return training


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
    from latbench.predictors.model import LatencyModel
    from latbench.timing.metric import parse_metric

    found: dict[str, LatencyModel] = {}
    for path in paths:
        first = next(iter(found.values()), None)
        loaded = LatencyModel.load(path, space=first.space if first else space)
        wanted = first.metric if first else parse_metric(metric) if metric else loaded.metric
        if wanted != loaded.metric:
            made = f"count {wanted.name}" if wanted.counted else f"fit --metric {wanted.name}"
            raise UsageError(
                f"the predictor in {path} is of metric {loaded.metric.name!r}, not "
                f"{wanted.name!r}; make one with `latbench {made} --out FOLDER`"
            )
        if loaded.card.backend in found:
            raise UsageError(
                f"{path} is a second model of backend {loaded.card.backend!r}; give one a backend"
            )
        found[loaded.card.backend] = loaded
    return found


def _fitted(
    folders: Mapping[str, Path], models: Mapping[str, LatencyModel], judge_folders: Sequence[Path],
    judges: Mapping[str, LatencyModel], reference: str | None,
) -> dict[str, FittedModel]:  # fmt: skip
    """Returns the models with their judges, and what λ is relative to.

    That is what each judge, or model, predicts for the reference architecture.
    """
    from latbench.experiment.sweep import FittedModel

    space = next(iter(models.values())).space
    anchor = space.parse(reference) if reference else space.reference()
    judged = dict(zip(judges, map(str, judge_folders), strict=True))
    return {
        name: FittedModel(
            str(folders[name]),
            float(judges.get(name, found).predict([anchor])[0]),
            judged.get(name, ""),
        )
        for name, found in models.items()
    }


COMMANDS = (search,)
