"""``latbench fit``, ``fit-until`` and ``predict``: latency models."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    BackendChoice,
    BackendOption,
    BackendOptions,
    FoldsOption,
    HalfWidthOption,
    JsonOption,
    MetricOption,
    PredictorFolder,
    PredictorOption,
    RetestOption,
    SeedOption,
    SetChoice,
    SpaceOption,
    StoreOption,
    StoreSpaceOption,
    console,
    milliseconds,
    open_store,
    parse_level,
    parse_options,
    print_json,
    show,
)
from latbench.cli.compare_predictors import as_values, show_comparison
from latbench.cli.measuring import campaign_settings
from latbench.cli.model_options import OnnxOption, ShapeOption
from latbench.cli.naming_models import named_models, onnx_models
from latbench.cli.rich_tables import Styled
from latbench.cli.round_bars import parse_share, stated, until
from latbench.errors import UsageError
from latbench.progress import messages
from latbench.text import percent, plural

if TYPE_CHECKING:
    from latbench.models import Model
    from latbench.predictors.base import LatencyPredictor
    from latbench.predictors.model import LatencyModel
    from latbench.results import PredictorResult
    from latbench.store.dataset import LatencyDataset

FittedOption = Annotated[
    Path,
    typer.Option(
        "--model",
        help="Folder of a fitted predictor, or a store with latency tables of networks on "
        "simd-sparse.",
    ),
]
IntervalOption = Annotated[
    str | None,
    typer.Option(
        "--interval",
        metavar="LEVEL",
        help="Also the ends of an interval that covers a measurement with this probability: 0.9 or "
        "90%.",
    ),
]
DEFAULT = "mlp"  # the paper's; a search can use it


def fit(
    out: PredictorFolder,
    store: StoreOption = Path("latbench.sqlite"),
    backend: BackendChoice = None,
    set_id: SetChoice = None,
    predictor: PredictorOption = None,
    metric: MetricOption = "latency",
    folds: FoldsOption = 5,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit a predictor to a store's measurements and save it with its cross-validated error."""
    from latbench.predictors import make_predictor
    from latbench.predictors.evaluation.compare import cross_validate
    from latbench.store import Store

    name = predictor or DEFAULT
    made = make_predictor(name)
    with Store(store) as opened:
        dataset = opened.dataset(backend, set_id, metric)
    (result,) = cross_validate(dataset, [name], folds, seed)
    _save(dataset, made, result, out)
    _say_saved(dataset, result, out, store, predictor, as_json)
    if as_json:
        print_json(as_values(dataset, [result]))


def fit_until(
    error: Annotated[
        str,
        typer.Argument(
            metavar="SHARE",
            help="Measure until the cross-validated error is at most this (5% or 0.05), or the "
            "noise floor is reached.",
        ),
    ],
    out: PredictorFolder,
    backend: BackendOption = "onnxruntime",
    space: StoreSpaceOption = None,
    store: StoreOption = Path("latbench.sqlite"),
    predictor: PredictorOption = None,
    metric: MetricOption = "latency",
    max_n: Annotated[int, typer.Option("--max-n", help="Measure no more than this.")] = 1000,
    step: Annotated[int, typer.Option(min=1, help="Architectures a round.")] = 50,
    folds: FoldsOption = 5,
    seed: SeedOption = 0,
    option: BackendOptions = None,
    retest: RetestOption = "10%",
    half_width: HalfWidthOption = "1%",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure, round after round, until a predictor is good enough; save it as ``fit`` does.

    Run it again to go on where it stopped, also with a smaller error.
    """
    from latbench.backends import make_backend
    from latbench.predictors import make_predictor

    wanted, made = parse_share(error), make_predictor(predictor or DEFAULT)
    timed = make_backend(backend, **parse_options(option or ()))
    with open_store(store, space) as opened:
        enough = until(
            opened, timed, made, wanted, max_n=max_n, step=step, seed=seed, folds=folds,
            metric=metric, **campaign_settings(half_width, retest),
        )  # fmt: skip
    dataset, result = enough.dataset, enough.result
    _save(dataset, made, result, out)
    _say_saved(dataset, result, out, store, predictor, as_json)
    if as_json:
        more = stated(store, enough.judged, wanted)
        print_json({**as_values(dataset, [result]), "until": more})


def count(
    what: Annotated[
        str, typer.Argument(metavar="macs|parameters", help="What is counted of a network.")
    ],
    out: PredictorFolder,
    space: SpaceOption = "fbnetv2",
) -> None:
    """Save an exact model of what needs no measuring, for a search that pays for it."""
    from latbench.predictors.counted import counted_model
    from latbench.spaces import parse_space
    from latbench.timing.metric import COUNTED

    if what not in COUNTED:
        raise UsageError(f"what is counted must be {' or '.join(COUNTED)}, got {what!r}")
    model = counted_model(parse_space(space), "macs" if what == "macs" else "parameters")
    model.save(out)
    reference = model.metric.show(float(model.predict([model.space.reference()])[0]))
    messages.print(
        f"{out}: the {model.metric.label} of {model.space}; its reference has {reference}"
    )
    messages.print(
        f"latbench search --model {shlex.quote(str(out))} --method gdas --target 150% --out found",
        soft_wrap=True,
    )


def _save(
    dataset: LatencyDataset, made: LatencyPredictor, result: PredictorResult, out: Path
) -> None:
    """Fits on all rows and saves the model with its cross-validated error."""
    from latbench.predictors.model import LatencyModel

    LatencyModel.fit(
        dataset, made, metrics=result.metrics, out_of_fold=result.predicted
    ).save(out)  # fmt: skip


def _say_saved(
    dataset: LatencyDataset, result: PredictorResult, out: Path, store: Path,
    predictor: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Says how good the saved predictor is, and where to see a better one where none was named."""
    if predictor is None:
        messages.print(
            f"no --predictor was named, so this is {DEFAULT}; `latbench compare --store "
            f"{shlex.quote(str(store))}` says which one is best on these measurements",
            soft_wrap=True,
        )  # fmt: skip
    if not as_json:
        show_comparison(dataset, [result])
        console.print(f"saved in {out}")


def predict(
    model: FittedOption,
    architectures: Annotated[
        list[str] | None,
        typer.Argument(
            help="Architectures; a name such as DARTS_V2 works too. By latency tables: folders of "
            "saved models."
        ),
    ] = None,
    set_id: SetChoice = None,
    onnx: OnnxOption = None,
    shape: ShapeOption = None,
    n: Annotated[int, typer.Option("-n", help="Or: how many sampled architectures.")] = 0,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            help="Refuse a predictor of another space.",
            autocompletion=completing.spaces,
        ),
    ] = None,
    interval: IntervalOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of architectures, or what else a predictor was fitted on.

    Architectures unlike those that it was fitted on, and predictions outside its range, are marked.
    A sparse model is predicted by the latency table of its network (`latbench measure --tables`).
    """
    from latbench.predictors.model import LatencyModel
    from latbench.spaces import parse_space

    if model.is_file():
        if n or space or interval or onnx or not architectures:
            raise UsageError(
                f"{model} is a store, by whose latency tables saved models are predicted: name "
                "their folders, without -n, --space, --interval and --onnx"
            )
        _predict_by_tables(model, architectures, set_id, as_json)
        return
    level = None if interval is None else parse_level(interval)
    files = onnx_models(onnx, shape, ())
    loaded = LatencyModel.load(model, space=parse_space(space) if space else None)
    chosen = [loaded.space.parse(text) for text in architectures or ()]
    chosen += [a for _, a in loaded.space.unique_samples(seed, n)] if n else []
    if not chosen and not files:
        raise UsageError("nothing to predict: name architectures, or give -n for a sample")
    _show_predictions(loaded, chosen, files, level, as_json)


def _show_predictions(
    model: LatencyModel, chosen: list[Any], files: list[Model], level: float | None, as_json: bool
) -> None:
    """Shows predictions of architectures and of ONNX files, with an interval where there is a
    ``level``.

    The keys of an interval's ends are the metric's with ``_low`` and ``_high`` behind.
    """
    import numpy as np

    key, show_value = model.metric.key, model.metric.show
    networks = [one.network for one in files]
    keys = (key,) if level is None else (key, f"{key}_low", f"{key}_high")
    predicted = [
        predict(ones, return_interval=level)
        for predict, ones in ((model.predict, chosen), (model.predict_networks, networks)) if ones
    ]  # fmt: skip
    parts = [found if isinstance(found, tuple) else (found,) for found in predicted]
    values = dict(zip(keys, map(np.concatenate, zip(*parts, strict=True)), strict=True))
    columns: dict[str, Callable[..., str]] = {"architecture": str}
    columns |= dict.fromkeys(values, show_value)
    batches = [model.space.config.batch] * len(chosen)
    batches += [(*file.network.input_shape, 1)[0] for file in files]
    rows: list[dict[str, Any]] = [
        {
            "architecture": str(a),
            "batch": batch,
            **{name: float(v[i]) for name, v in values.items()},
        }
        for i, (a, batch) in enumerate(zip([*chosen, *files], batches, strict=True))
    ]
    distances, outside = model.novelty_of(chosen), model.outside_range(values[key])
    if distances is not None and outside is not None:
        # Counts are of architectures: nothing else tells how unlike a network from outside is.
        told: list[float | None] = [*map(float, distances), *[None] * len(files)]
        for row, distance, out in zip(rows, told, outside, strict=True):
            row |= {"novelty": distance, "unlike_training": distance is None or distance > 1}
            row["outside_range"] = bool(out)
        columns |= dict.fromkeys(("unlike_training", "outside_range"), _mark)
    device = f" on {model.card.device}" if model.card.device else ""
    show(rows, as_json, f"{model.metric.title} predicted for {model.card.backend}{device}", columns)
    if not as_json:
        _warn(model, rows)
    _say_not_counted(files)


def _say_not_counted(files: list[Model]) -> None:
    """Says which operators of files count no work, since latbench has no layer kind for them."""
    from latbench.networks.general.arrays import Unread

    for one in files:
        ops = [layer.op for layer in one.network.layers]
        unread = [op for op in ops if isinstance(op, Unread)]
        if unread:
            messages.print(
                f"{one.name}: {plural(len(unread), 'operator')} that latbench has no layer kind "
                f"for, such as {unread[0].operator} at {unread[0].where}, count no work in the "
                "prediction",
                style="yellow", soft_wrap=True,
            )  # fmt: skip


def _predict_by_tables(path: Path, folders: list[str], set_id: int | None, as_json: bool) -> None:
    """Shows what saved models take by the tables of their networks, and what these err by."""
    from latbench.campaign.group_tables import table_for
    from latbench.sparse.groups import kept_groups_of
    from latbench.store import Store

    rows: list[dict[str, Any]] = []
    with Store(path, need_space=False) as store:
        for folder in folders:
            (model,) = named_models([Path(folder)])
            table = table_for(store, model, set_id)
            kept = kept_groups_of(model, table.tiles.group)
            every = sum(numbers[-1] for numbers, _ in table.latency.layers.values())
            rows.append(
                {
                    "model": str(model),
                    "set": table.set_id,
                    "device": table.conditions.device,
                    "density": sum(kept.values()) / every,
                    "latency_s": table.latency.latency(kept),
                    "mean_error": table.error,
                    "largest_error": table.largest_error,
                }
            )
            for difference in table.differences(model):
                again = shlex.join(["--model", folder, "--store", str(path)])
                messages.print(
                    f"the latency table for {folder} is {difference}; `latbench measure --tables "
                    f"--backend simd-sparse {again}` measures one of here",
                    style="yellow", soft_wrap=True,
                )  # fmt: skip
    writers: dict[str, Callable[..., str]] = dict.fromkeys(("model", "set", "device"), str)
    writers |= {"density": percent, "latency_s": milliseconds}
    writers |= dict.fromkeys(("mean_error", "largest_error"), percent)
    show(rows, as_json, "Latency by the tables of the layers", writers)


def _mark(marked: bool) -> str:
    return Styled("yes", "yellow") if marked else ""


def _warn(model: LatencyModel, rows: list[dict[str, Any]]) -> None:
    """Says how many predictions are extrapolations, and of which kind."""
    counts = {key: sum(row.get(key, False) for row in rows)
              for key in ("unlike_training", "outside_range")}  # fmt: skip
    said = {
        "unlike_training": f"unlike the {model.card.samples} networks",
        "outside_range": f"predicted outside the {model.range_text}",
    }
    reasons = [f"{n} of {len(rows)} {said[key]}" for key, n in counts.items() if n]
    if reasons:
        messages.print(
            f"{' and '.join(reasons)} that the predictor was fitted on; measure them before you "
            "trust the figures",
            style="yellow", soft_wrap=True,
        )  # fmt: skip


COMMANDS = (fit, fit_until, count, predict)
