"""``latbench compare``: predictors against each other on every backend of a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

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
    print_json,
    show,
)
from latbench.errors import UsageError
from latbench.metric import LATENCY
from latbench.noise import concern, noise_line, reachable_error, standing
from latbench.numerals import percent, rough

if TYPE_CHECKING:
    from latbench.dataset import LatencyDataset
    from latbench.predictors.base import LatencyPredictor
    from latbench.predictors.recommend import Recommendation
    from latbench.report.data import PredictorCosts, PredictorResult


def cross_validate(
    dataset: LatencyDataset,
    predictors: Sequence[LatencyPredictor | str],
    folds: int,
    seed: int,
    curves: bool = False,
    bar: bool = True,
) -> list[PredictorResult]:
    """The predictors (or registry names) on the dataset's rows, with a progress bar."""
    from latbench.cli.bars import Bars, across
    from latbench.predictors import make_predictor
    from latbench.predictors.compare import compare as run
    from latbench.predictors.compare import labels

    made = [make_predictor(p) if isinstance(p, str) else p for p in predictors]
    with Bars(shown=bar).bar(f"cross-validation, {dataset.backend}") as step:
        progress = across(labels(made), step)
        return run(dataset, made, folds=folds, seed=seed, curves=curves, progress=progress)


def as_values(dataset: LatencyDataset, results: Sequence[PredictorResult]) -> dict[str, Any]:
    """A comparison as JSON values."""
    return {
        "backend": dataset.backend,
        "device": dataset.device,
        "metric": dataset.metric.name,
        "unit": dataset.metric.unit,
        "samples": len(dataset),
        "noise_floor": dataset.noise_floor,
        "floor_between": dataset.floor_between,
        "reachable_error": reachable_error(dataset.noise_floor),
        "predictors": [
            {
                "name": r.name,
                "metrics": r.metrics,
                "beside_reachable": standing(r.metrics["mape"], dataset.noise_floor),
                "costs": r.costs and asdict(r.costs),
            }
            for r in results
        ],
    }


def show_comparison(dataset: LatencyDataset, results: Sequence[PredictorResult]) -> None:
    """Two tables: how good the predictors are, with bootstrap intervals, and what they take."""
    metric = dataset.metric

    def share(rating: tuple[float, float, float]) -> str:
        value, low, high = (100 * v for v in rating)
        return f"{value:.2f} % ({low:.2f} – {high:.2f})"

    def interval(
        rating: tuple[float, float, float], write: Callable[[float], str] = "{:.3f}".format
    ) -> str:
        value, low, high = map(write, rating)
        return f"{value} ({low} – {high})"

    ordered = sorted(results, key=lambda r: r.metrics["mape"][0])
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
        for r in ordered
    ]
    title = f"{metric.title}, {dataset.backend} on {dataset.device}: {len(dataset)} architectures"
    show(rows, False, title)
    show([{"predictor": r.name, **_costs(r.costs)} for r in ordered if r.costs], False)
    console.print(noise_line(dataset.floors))
    said = concern(dataset.noise_floor) if metric == LATENCY else None
    if said:
        messages.print(said, style="yellow", soft_wrap=True)


def _costs(costs: PredictorCosts) -> dict[str, str]:
    from latbench.metric import SIZE

    return {
        "fit": f"{costs.fit_s:.2g} s",
        "predictions_a_second": rough(costs.predicted_per_s),
        "size": SIZE.show(costs.model_bytes, 3),
        "covered_by_90_%_intervals": percent(costs.coverage_90),
    }


def compare(
    store: StoreOption = Path("latbench.sqlite"),
    backend: BackendChoice = None,
    set_id: SetChoice = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--predictor",
            help="Only this one; repeatable.",
            autocompletion=completing.predictors,
        ),
    ] = None,
    metric: MetricOption = "latency",
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write a page with the plots (HTML).")
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="With learning curves on the page; takes thrice as long."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare predictors by cross-validation, beside the noise floor; recommend one, also for a
    search.

    On every measurement set of the store, unless one is chosen.
    """
    from latbench.predictors import PREDICTORS
    from latbench.predictors.recommend import recommend, recommend_for_search

    if curves and out is None:
        raise UsageError("--curves are drawn on a page; say where with --out page.html")
    names = list(predictor or PREDICTORS)
    compared, values = [], []
    for dataset in _datasets(store, backend, set_id, metric):
        results = cross_validate(dataset, names, folds, seed, curves)
        compared.append((dataset, results))
        chosen = recommend(results, dataset.values, dataset.noise_floor)
        for_search = recommend_for_search(results, dataset.values)
        said = {"recommended": chosen, "recommended_for_search": for_search}
        values.append(
            {**as_values(dataset, results), **{k: v and asdict(v) for k, v in said.items()}}
        )
        if not as_json:
            show_comparison(dataset, results)
            _show_recommended(chosen, for_search)
    if out is not None:
        from latbench.cli.pages import write_page

        write_page(out, "Predictors compared", compared)
    if as_json:
        print_json(values)


def _show_recommended(chosen: Recommendation | None, for_search: Recommendation | None) -> None:
    """Both where they differ: what is best has no gradient then, and can only judge a search."""
    if chosen is None:
        return
    console.print(Text.assemble("recommended: ", (chosen.name, "bold"), f", which {chosen.reason}"))
    if for_search is None:
        console.print("for a search: none of these, it needs one with a gradient such as mlp")
    elif for_search.name != chosen.name:
        console.print(
            Text.assemble(
                "for a search: ",
                (for_search.name, "bold"),
                f", which {for_search.reason}; "
                f"{chosen.name} has no gradient, but can be its --judge",
            )
        )


def _datasets(
    store: Path, backend: str | None, set_id: int | None, metric: str
) -> list[LatencyDataset]:
    from latbench.store import Store

    with Store(store) as opened:
        sets = [s for s in opened.sets() if s.ok and backend in (None, s.set.backend)]
        sampled = [s for s in sets if s.ok > s.named]
        if set_id is not None or not sampled:
            return [opened.dataset(backend, set_id, metric)]
        for left_out in (s for s in sets if s not in sampled):
            messages.print(
                f"set {left_out.id} ({left_out.set.backend}) is left out: it has no sample, only "
                "networks that somebody named",
                soft_wrap=True,
            )  # fmt: skip
        return [opened.dataset(set_id=s.id, metric=metric) for s in sampled]


COMMANDS = (compare,)
