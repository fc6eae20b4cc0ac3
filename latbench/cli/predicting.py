"""``latbench fit``, ``latbench compare`` and ``latbench predict``: latency models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli.common import (
    JsonOption,
    MetricOption,
    SeedOption,
    StoreOption,
    console,
    messages,
    parse_options,
    percent,
    print_json,
    show,
)
from latbench.cli.rounds import parse_share, stated, until
from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.dataset import LatencyDataset
    from latbench.predictors.model import LatencyModel
    from latbench.report.data import PredictorResult
    from latbench.store import Store

BackendChoice = Annotated[
    str | None, typer.Option("--backend", help="Backend, where the store holds several.")
]
SetChoice = Annotated[int | None, typer.Option("--set", help="Measurement set by number.")]


def _dataset(store: Path, backend: str | None, set_id: int | None, metric: str) -> LatencyDataset:
    from latbench.store import Store

    with Store(store) as opened:
        return opened.dataset(backend, set_id, metric)


def _print_comparison(
    dataset: LatencyDataset, results: list[PredictorResult], as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    if as_json:
        print_json(
            {
                "backend": dataset.backend,
                "device": dataset.device,
                "metric": dataset.metric.name,
                "unit": dataset.metric.unit,
                "samples": len(dataset),
                "noise_floor": dataset.noise_floor,
                "predictors": [{"name": r.name, "metrics": r.metrics} for r in results],
                **(more or {}),
            }
        )
        return

    def share(rating: tuple[float, float, float]) -> str:
        value, low, high = (100 * v for v in rating)
        return f"{value:.2f} % ({low:.2f} – {high:.2f})"

    def interval(
        rating: tuple[float, float, float], write: Callable[[float], str] = "{:.3f}".format
    ) -> str:
        value, low, high = map(write, rating)
        return f"{value} ({low} – {high})"

    metric = dataset.metric
    rows: list[dict[str, Any]] = [
        {
            "predictor": r.name,
            "MAPE": share(r.metrics["mape"]),
            f"RMSE_{metric.shown_unit}": interval(r.metrics["rmse"], metric.figure),
            "within_5_%": share(r.metrics["within_5"]),
            "within_10_%": share(r.metrics["within_10"]),
            "Spearman": interval(r.metrics["spearman"]),
            "Kendall": interval(r.metrics["kendall"]),
        }
        for r in sorted(results, key=lambda r: r.metrics["mape"][0])
    ]
    title = f"{metric.title}, {dataset.backend} on {dataset.device}: {len(dataset)} architectures"
    show(rows, False, title)
    console.print(f"noise floor of the measurements: {percent(dataset.noise_floor)}")


def _compare(
    dataset: LatencyDataset, names: list[str], folds: int, seed: int
) -> list[PredictorResult]:
    from latbench.cli.bars import Bars, across
    from latbench.predictors.compare import compare as run

    with Bars().bar("cross-validation") as step:
        return run(
            dataset, names, folds=folds, seed=seed, progress=across(names, step)
        )  # fmt: skip


def compare(
    store: StoreOption = Path("latbench.sqlite"),
    backend: BackendChoice = None,
    set_id: SetChoice = None,
    predictor: Annotated[
        list[str] | None, typer.Option("--predictor", help="Only this one; repeatable.")
    ] = None,
    metric: MetricOption = "latency",
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare predictors by cross-validation, beside the noise floor."""
    from latbench.predictors import PREDICTORS

    dataset = _dataset(store, backend, set_id, metric)
    names = list(predictor or PREDICTORS)
    _print_comparison(dataset, _compare(dataset, names, folds, seed), as_json)


def fit(
    out: Annotated[Path, typer.Option("--out", help="Folder for the fitted predictor.")],
    store: StoreOption = Path("latbench.sqlite"),
    backend: BackendChoice = None,
    set_id: SetChoice = None,
    predictor: Annotated[str, typer.Option("--predictor", help="Which predictor.")] = "mlp",
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
        str | None, typer.Option("--space", help="Search space, for a store that is made.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Backend option key=value; repeatable.")
    ] = None,
    retest: Annotated[float, typer.Option(min=0, max=1, help="Share timed twice.")] = 0.1,
    target: Annotated[
        float, typer.Option(help="Wanted relative half-width of a measurement's 95 % interval.")
    ] = 0.01,
    as_json: JsonOption = False,
) -> None:
    """Fit a predictor to a store's measurements and save it with its cross-validated error.

    With --until-error it measures first, round after round, until the predictor is good enough.
    """
    from latbench.predictors import make_predictor
    from latbench.predictors.model import LatencyModel

    made, more = make_predictor(predictor), None
    if until_error is None:
        if space is not None or option:
            raise UsageError("--space and --option are for --until-error; name an error too")
        dataset = _dataset(store, backend, set_id, metric)
        results = _compare(dataset, [predictor], folds, seed)
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
    _print_comparison(dataset, results, as_json, more)
    if not as_json:
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


def _campaign(target: float, retest: float) -> dict[str, Any]:
    from latbench.campaign import CampaignOptions
    from latbench.protocol import Protocol

    return {"protocol": Protocol(target=target), "options": CampaignOptions(retest=retest)}


def predict(
    model: Annotated[Path, typer.Option("--model", help="Folder of a fitted predictor.")],
    architectures: Annotated[
        list[str] | None, typer.Argument(help="Architectures; a name such as DARTS_V2 works too.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Or: how many sampled architectures.")] = 0,
    space: Annotated[
        str | None, typer.Option("--space", help="Refuse a predictor of another space.")
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            metavar="LEVEL",
            help="Also the ends of an interval that covers a measurement with this probability, "
            "e.g. 0.9.",
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of architectures, or what else a predictor was fitted on.

    Architectures unlike those that it was fitted on are marked.
    """
    from latbench.predictors.model import LatencyModel
    from latbench.spaces import parse_space

    loaded = LatencyModel.load(model, space=parse_space(space) if space else None)
    chosen = [loaded.space.parse(text) for text in architectures or ()]
    chosen += [a for _, a in loaded.space.unique_samples(seed, n)] if n else []
    if not chosen:
        raise UsageError("nothing to predict: name architectures, or give -n for a sample")
    _show_predictions(loaded, chosen, interval, as_json)


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
    distances = model.novelty_of(chosen)
    if distances is not None:
        values["novelty"] = distances
        columns["unlike_training"] = lambda unlike: "[yellow]yes[/]" if unlike else ""
    rows: list[dict[str, Any]] = [
        {"architecture": str(a), **{name: float(v[i]) for name, v in values.items()}}
        for i, a in enumerate(chosen)
    ]
    for row in rows if distances is not None else ():
        row["unlike_training"] = row["novelty"] > 1
    show(rows, as_json, columns=columns)
    unlike = sum(bool(row.get("unlike_training")) for row in rows)
    if unlike and not as_json:
        messages.print(
            f"{unlike} of {len(rows)}: unlike the {model.card.samples} networks that the predictor "
            "was fitted on; measure them before you trust the figures",
            style="yellow", soft_wrap=True,
        )  # fmt: skip


COMMANDS = (compare, fit, predict)
