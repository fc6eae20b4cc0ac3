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
    FoldsOption,
    JsonOption,
    MetricOption,
    PageOption,
    PlotOption,
    SeedOption,
    SetChoice,
    StoreOption,
    console,
    print_json,
    show,
)
from latbench.cli.pages import check_plot, write_page
from latbench.errors import UsageError
from latbench.progress import messages
from latbench.text import percent, rough
from latbench.timing.metric import LATENCY
from latbench.timing.noise import concern, noise_line, reachable_error, standing

if TYPE_CHECKING:
    from latbench.predictors.evaluation.recommend import Recommendation
    from latbench.results import PredictorCosts, PredictorResult
    from latbench.store.dataset import LatencyDataset


def as_values(dataset: LatencyDataset, results: Sequence[PredictorResult]) -> dict[str, Any]:
    """Returns a comparison as JSON values."""
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
    """Prints two tables: how good the predictors are, with bootstrap intervals, and what they take.

    The noise of the measurements is said below them.
    """
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
    from latbench.timing.metric import SIZE

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
    folds: FoldsOption = 5,
    seed: SeedOption = 0,
    out: PageOption = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="With learning curves on the page; takes thrice as long."),
    ] = False,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare predictors by cross-validation, beside the noise floor; recommend one, also for a
    search.

    On every measurement set of the store, unless one is chosen.
    """
    from latbench.predictors import PREDICTORS
    from latbench.predictors.evaluation.compare import cross_validate
    from latbench.predictors.evaluation.recommend import recommend, recommend_for_search

    check_plot(plot)
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
    write_page(out, "Predictors compared", compared, plot)
    if as_json:
        print_json(values)


def _show_recommended(chosen: Recommendation | None, for_search: Recommendation | None) -> None:
    """Prints the best predictor and, where it differs, the best for a search.

    What is best has no gradient then, and can only judge a search.
    """
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
