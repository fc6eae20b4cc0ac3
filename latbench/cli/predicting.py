"""``latbench fit`` and ``latbench predict``: latency models."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import (
    BackendChoice,
    JsonOption,
    MetricOption,
    SeedOption,
    SetChoice,
    StoreOption,
    console,
    messages,
    parse_level,
    parse_options,
    print_json,
    show,
)
from latbench.cli.comparison import as_values, cross_validate, show_comparison
from latbench.cli.measuring import PrecisionOption, RetestOption
from latbench.cli.rounds import parse_share, stated, until
from latbench.cli.tables import Styled
from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.predictors.model import LatencyModel
    from latbench.store import Store

DEFAULT = "mlp"  # the paper's; a search can use it


def fit(
    out: Annotated[Path, typer.Option("--out", help="Folder for the fitted predictor.")],
    store: StoreOption = Path("latbench.sqlite"),
    backend: BackendChoice = None,
    set_id: SetChoice = None,
    predictor: Annotated[
        str | None,
        typer.Option(
            "--predictor",
            help=f"Which predictor; `latbench compare` says which is best.  \\[default: {DEFAULT}]",
            autocompletion=completing.predictors,
        ),
    ] = None,
    metric: MetricOption = "latency",
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    seed: SeedOption = 0,
    until_error: Annotated[
        str | None,
        typer.Option(
            "--until-error",
            metavar="SHARE",
            help="Measure with --backend until the cross-validated error is at most this (5% or "
            "0.05) or the noise floor is reached; the options below are for it.",
        ),
    ] = None,
    max_n: Annotated[int, typer.Option("--max-n", help="Measure no more than this.")] = 1000,
    step: Annotated[int, typer.Option(min=1, help="Architectures a round.")] = 50,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            help="Search space, for a store that is made.",
            autocompletion=completing.spaces,
        ),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Backend option key=value; repeatable.")
    ] = None,
    retest: RetestOption = "10%",
    target: PrecisionOption = "1%",
    as_json: JsonOption = False,
) -> None:
    """Fit a predictor to a store's measurements and save it with its cross-validated error.

    With --until-error it measures first, round after round, until the predictor is good enough.
    """
    from latbench.predictors import make_predictor
    from latbench.predictors.model import LatencyModel
    from latbench.store import Store

    name = predictor or DEFAULT
    made = make_predictor(name)
    more: dict[str, Any] = {}
    if until_error is None:
        if space is not None or option:
            raise UsageError("--space and --option are for --until-error; name an error too")
        with Store(store) as opened:
            dataset = opened.dataset(backend, set_id, metric)
        results = cross_validate(dataset, [name], folds, seed)
    else:
        error = parse_share(until_error)
        if backend is None or set_id is not None:
            raise UsageError("--until-error measures: name a --backend, and no --set")
        with _measurable(store, space) as opened:
            enough = until(
                opened, _backend(backend, option), made, error, max_n=max_n, step=step, seed=seed,
                folds=folds, metric=metric, **_campaign(target, retest),
            )  # fmt: skip
        dataset, results = enough.dataset, [enough.result]
        more = {"until": stated(store, enough.judged, error)}
    LatencyModel.fit(
        dataset, made, metrics=results[0].metrics, out_of_fold=results[0].predicted
    ).save(out)
    if predictor is None:
        messages.print(
            f"no --predictor was named, so this is {name}; `latbench compare --store "
            f"{shlex.quote(str(store))}` says which one is best on these measurements",
            soft_wrap=True,
        )  # fmt: skip
    if as_json:
        print_json({**as_values(dataset, results), **more})
        return
    show_comparison(dataset, results)
    console.print(f"saved in {out}")


def _measurable(store: Path, space: str | None) -> Store:
    """An open store, made where there is none. Raises UsageError without a space to make it of."""
    from latbench.spaces import parse_space
    from latbench.store import Store

    if space is None and not store.exists():
        raise UsageError(f"there is no store at {store}; name its --space and it is made")
    return Store(store, parse_space(space) if space else None)


def _backend(name: str, option: list[str] | None) -> Backend:
    from latbench.backends import make_backend

    return make_backend(name, **parse_options(option or ()))


def _campaign(target: str, retest: str) -> dict[str, Any]:
    from latbench.campaign import CampaignOptions
    from latbench.protocol import Protocol

    return {
        "protocol": Protocol(target=parse_share(target)),
        "options": CampaignOptions(retest=parse_share(retest, ends=True)),
    }


def predict(
    model: Annotated[Path, typer.Option("--model", help="Folder of a fitted predictor.")],
    architectures: Annotated[
        list[str] | None, typer.Argument(help="Architectures; a name such as DARTS_V2 works too.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Or: how many sampled architectures.")] = 0,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            help="Refuse a predictor of another space.",
            autocompletion=completing.spaces,
        ),
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            "--interval",
            metavar="LEVEL",
            help="Also the ends of an interval that covers a measurement with this probability: "
            "0.9 or 90%.",
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of architectures, or what else a predictor was fitted on.

    Architectures unlike those that it was fitted on, and predictions outside its range, are marked.
    """
    from latbench.predictors.model import LatencyModel
    from latbench.spaces import parse_space

    level = None if interval is None else parse_level(interval)
    loaded = LatencyModel.load(model, space=parse_space(space) if space else None)
    chosen = [loaded.space.parse(text) for text in architectures or ()]
    chosen += [a for _, a in loaded.space.unique_samples(seed, n)] if n else []
    if not chosen:
        raise UsageError("nothing to predict: name architectures, or give -n for a sample")
    _show_predictions(loaded, chosen, level, as_json)


def _show_predictions(
    model: LatencyModel, chosen: list[Any], level: float | None, as_json: bool
) -> None:
    """The keys of an interval's ends are the metric's with ``_low`` and ``_high`` behind."""
    key, show_value = model.metric.key, model.metric.show
    values: dict[str, Any] = {key: model.predict(chosen)}
    if level is not None:
        ends = model.predict(chosen, return_interval=level)
        values = dict(zip((key, f"{key}_low", f"{key}_high"), ends, strict=True))
    columns: dict[str, Callable[..., str]] = {"architecture": str}
    columns |= dict.fromkeys(values, show_value)
    rows: list[dict[str, Any]] = [
        {"architecture": str(a), **{name: float(v[i]) for name, v in values.items()}}
        for i, a in enumerate(chosen)
    ]
    distances, outside = model.novelty_of(chosen), model.outside_range(values[key])
    if distances is not None and outside is not None:
        for row, distance, out in zip(rows, distances, outside, strict=True):
            row |= {"novelty": float(distance), "unlike_training": bool(distance > 1)}
            row["outside_range"] = bool(out)
        columns |= dict.fromkeys(("unlike_training", "outside_range"), _mark)
    device = f" on {model.card.device}" if model.card.device else ""
    show(rows, as_json, f"{model.metric.title} predicted for {model.card.backend}{device}", columns)
    if not as_json:
        _warn(model, rows)


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


COMMANDS = (fit, predict)
