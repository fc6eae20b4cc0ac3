"""``latbench transfer``: a latency model of a new device from a few measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli.common import (
    BackendChoice,
    JsonOption,
    MetricOption,
    SeedOption,
    SetChoice,
    console,
    print_json,
    show,
)
from latbench.errors import NotEnoughData, UsageError
from latbench.text import percent
from latbench.timing.noise import noise_line, reachable_error

if TYPE_CHECKING:
    from latbench.predictors.evaluation.metrics import Interval
    from latbench.predictors.transfer.transfer import Transfer
    from latbench.store.dataset import LatencyDataset


def transfer(
    source: Annotated[
        list[Path], typer.Option("--from", help="Store of other backends; several may follow.")
    ],
    target: Annotated[Path, typer.Option("--to", help="Store of the new device or backend.")],
    more: Annotated[
        list[Path] | None, typer.Argument(help="Further stores to learn from.", metavar="STORE")
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", min=5, help="Samples to use.")] = 20,
    backend: BackendChoice = None,
    set_id: SetChoice = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Only this one; repeatable.")
    ] = None,
    metric: MetricOption = "latency",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the fitted predictor.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit a predictor to a few measurements of a new device, given stores of others.

    Every set of the source stores with 20 rows or more is a source, but for the target's own.
    ``--backend`` and ``--set`` name the target's set. Its rows after the first ``--n`` are not
    used; where there are two or more, the error on them is printed too.
    """
    from latbench.predictors.transfer.transfer import METHODS
    from latbench.predictors.transfer.transfer import transfer as run

    everything, own = _target(target, backend, set_id, metric)
    sources = _sources([*source, *(more or ())], target, own, metric)
    samples = everything.subset(range(min(n, len(everything))))
    found = run(sources, samples, methods=method or tuple(METHODS), seed=seed)
    if out is not None:
        found.model.save(out)
    rest = _on_rest(found, everything, len(samples))
    if as_json:
        print_json(_document(found, samples, rest, len(everything) - len(samples)))
    else:
        _print(found, samples, rest, len(everything) - len(samples), out)


def _target(
    store: Path, backend: str | None, set_id: int | None, metric: str
) -> tuple[LatencyDataset, int]:
    from latbench.store import Store

    with Store(store) as opened:
        own = opened.find_set(backend, set_id).id
        return opened.dataset(None, own, metric), own


def _sources(stores: list[Path], target: Path, own: int, metric: str) -> list[LatencyDataset]:
    from latbench.predictors.transfer.prior import MIN_SOURCE_ROWS
    from latbench.store import Store

    found = []
    for store in dict.fromkeys(path.resolve() for path in stores):
        with Store(store) as opened:
            for summary in opened.sets():
                mine = store == target.resolve() and summary.id == own
                if mine or summary.ok < MIN_SOURCE_ROWS:
                    continue
                try:
                    dataset = opened.dataset(None, summary.id, metric)
                except NotEnoughData:  # this set was measured without the metric
                    continue
                if len(dataset) >= MIN_SOURCE_ROWS:
                    found.append(dataset)
    if not found:
        raise UsageError(
            f"no set in {', '.join(map(str, stores))} has {MIN_SOURCE_ROWS} sampled rows beside "
            "the target's own; name a store of other backends"
        )
    return found


def _on_rest(found: Transfer, everything: LatencyDataset, used: int) -> dict[str, Interval] | None:
    from latbench.predictors.evaluation.metrics import evaluate

    rest = everything.subset(range(used, len(everything)))
    if len(rest) < 2:
        return None
    return evaluate(rest.values, found.model.predict(rest.architectures))


def _document(
    found: Transfer, samples: LatencyDataset, rest: dict[str, Interval] | None, rows: int
) -> dict[str, Any]:
    return {
        "backend": samples.backend,
        "device": samples.device,
        "metric": samples.metric.name,
        "unit": samples.metric.unit,
        "samples": len(samples),
        "noise_floor": samples.noise_floor,
        "reachable_error": reachable_error(samples.noise_floor),
        "sources": list(found.sources),
        "chosen": found.method,
        "candidates": [{"method": m, "metrics": v} for m, v in found.metrics.items()],
        "rest": None if rest is None else {"rows": rows, "metrics": rest},
    }


def _row(name: str, metrics: dict[str, Interval]) -> dict[str, str]:
    return {
        "method": name,
        "MAPE": percent(metrics["mape"][0]),
        "within_10_%": percent(metrics["within_10"][0]),
        "Spearman": f"{metrics['spearman'][0]:.3f}",
        "Kendall": f"{metrics['kendall'][0]:.3f}",
    }


def _print(
    found: Transfer, samples: LatencyDataset, rest: dict[str, Interval] | None, rows: int,
    out: Path | None,
) -> None:  # fmt: skip
    title = (
        f"{samples.metric.title}, {samples.backend} on {samples.device}: cross-validated on "
        f"{len(samples)} samples"
    )
    ordered = sorted(found.metrics.items(), key=lambda item: item[1]["mape"][0])
    show([_row(name, metrics) for name, metrics in ordered], False, title)
    console.print(f"learnt from: {'; '.join(found.sources)}")
    console.print(f"chosen: {found.method}")
    if rest is not None:
        show([_row(found.method, rest)], False, f"on the {rows} rows that were not used")
    console.print(noise_line(samples.floors))
    if out is not None:
        console.print(f"saved in {out}")


COMMANDS = (transfer,)
