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
    percent,
    print_json,
    show,
)
from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.dataset import LatencyDataset
    from latbench.report.data import PredictorResult

BackendChoice = Annotated[
    str | None, typer.Option("--backend", help="Backend, where the store holds several.")
]
SetChoice = Annotated[int | None, typer.Option("--set", help="Measurement set by number.")]


def _dataset(store: Path, backend: str | None, set_id: int | None, metric: str) -> LatencyDataset:
    from latbench.store import Store

    with Store(store) as opened:
        return opened.dataset(backend, set_id, metric)


def _print_comparison(
    dataset: LatencyDataset, results: list[PredictorResult], as_json: bool
) -> None:
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
    as_json: JsonOption = False,
) -> None:
    """Fit a predictor to a store's measurements and save it with its cross-validated error."""
    from latbench.predictors import make_predictor
    from latbench.predictors.model import LatencyModel

    dataset = _dataset(store, backend, set_id, metric)
    made = make_predictor(predictor)
    results = _compare(dataset, [predictor], folds, seed)
    LatencyModel.fit(dataset, made, metrics=results[0].metrics).save(out)
    _print_comparison(dataset, results, as_json)
    if not as_json:
        console.print(f"saved in {out}")


def predict(
    model: Annotated[Path, typer.Option("--model", help="Folder of a fitted predictor.")],
    architectures: Annotated[
        list[str] | None, typer.Argument(help="Architectures; a name such as DARTS_V2 works too.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Or: how many sampled architectures.")] = 0,
    space: Annotated[
        str | None, typer.Option("--space", help="Refuse a predictor of another space.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of architectures, or what else a predictor was fitted on."""
    from latbench.predictors.model import LatencyModel
    from latbench.spaces import parse_space

    loaded = LatencyModel.load(model, space=parse_space(space) if space else None)
    chosen = [loaded.space.parse(text) for text in architectures or ()]
    chosen += [a for _, a in loaded.space.unique_samples(seed, n)] if n else []
    if not chosen:
        raise UsageError("nothing to predict: name architectures, or give -n for a sample")
    rows = [
        {"architecture": str(a), loaded.metric.key: float(s)}
        for a, s in zip(chosen, loaded.predict(chosen), strict=True)
    ]
    show(rows, as_json, columns={"architecture": str, loaded.metric.key: loaded.metric.show})


COMMANDS = (compare, fit, predict)
