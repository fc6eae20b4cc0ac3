"""The report of an experiment's folder."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

from latbench.errors import UsageError
from latbench.experiment.config import SearchStage, load_experiment
from latbench.experiment.results import load_comparison, load_result
from latbench.experiment.stages import predictors_folder
from latbench.files import read_json
from latbench.metric import LATENCY, Metric, parse_metric
from latbench.report.data import BackendResult, ReportData, SearchResult
from latbench.store import SetSummary, Store


def _backend(
    store: Store, summary: SetSummary, comparison: Path, metric: Metric = LATENCY
) -> BackendResult:
    dataset = store.dataset(set_id=summary.id, metric=metric.name)
    return BackendResult(
        backend=dataset.backend,
        device=dataset.device,
        architectures=tuple(map(str, dataset.architectures)),
        measured=tuple(map(float, dataset.values)),
        noise_floor=dataset.noise_floor,
        predictors=load_comparison(comparison) if comparison.exists() else (),
        # Said once, with the latency.
        failed=summary.failed if metric == LATENCY else 0,
        metric=metric,
        conditions={
            "version": summary.set.version,
            **summary.set.options,
            **dataclasses.asdict(summary.set.protocol),
            "canary": summary.set.canary,
        },
    )


def _comparison(directory: Path, backend: str, metric: Metric) -> Path:
    return predictors_folder(directory, backend, metric) / "comparison.json"


def _paid_for(
    store: Store, summaries: dict[int, SetSummary], sets: dict[str, int], directory: Path,
    plan: SearchStage,
) -> list[BackendResult]:  # fmt: skip
    """What the search pays for on its backend, where that is not latency and was compared."""
    metric = parse_metric(plan.metric)
    path = _comparison(directory, plan.backend, metric)
    if metric == LATENCY or not path.exists():
        return []
    return [_backend(store, summaries[sets[plan.backend]], path, metric)]


def _search(path: Path, store: Store, sets: dict[str, int]) -> SearchResult:
    result = load_result(path)
    measured = {
        name: value
        for name, set_id in sets.items()
        if (value := store.value(set_id, result.architecture, result.metric.name)) is not None
    }
    return dataclasses.replace(
        result,
        measured=measured.pop(result.backend, None),
        measured_elsewhere=measured,
    )


def collect(directory: Path) -> ReportData:
    """Everything that an experiment's folder holds so far.

    Raises UsageError when the folder is not an experiment's.
    """
    if not (directory / "sets.json").exists():
        raise UsageError(
            f"{directory} holds no measured experiment; `latbench run FILE --out {directory}` "
            "makes one"
        )
    config = load_experiment(directory / "experiment.toml")
    sets = {str(k): int(v) for k, v in read_json(directory / "sets.json").items()}
    with Store(directory / "measurements.sqlite") as store:
        summaries = {s.id: s for s in store.sets()}
        backends = [
            _backend(store, summaries[i], _comparison(directory, name, LATENCY))
            for name, i in sets.items()
        ]
        if config.search is not None:
            backends += _paid_for(store, summaries, sets, directory, config.search)
        weights = config.search.penalty_weights if config.search else ()
        paths = [directory / "search" / f"weight-{w:g}" / "result.json" for w in weights]
        searches = tuple(_search(path, store, sets) for path in paths if path.exists())
        machine = next(iter(summaries.values())).set.machine
        space = str(store.space)
    flat = {k: str(v) for k, v in machine.items() if not isinstance(v, dict | list)}
    return ReportData(
        title=config.title,
        created=time.strftime("%Y-%m-%d %H:%M"),
        space=space,
        machine=flat | {k: str(v) for k, v in machine.get("versions", {}).items()},
        backends=tuple(backends),
        searches=searches,
        notes=(f"settings of the search: {json.dumps(dataclasses.asdict(config.search))}",)
        if config.search
        else (),
    )


def write_report(directory: Path) -> Path:
    """Writes ``report.html`` into an experiment's folder and returns its path."""
    from latbench.report import write

    path = directory / "report.html"
    write(collect(directory), path)
    return path
