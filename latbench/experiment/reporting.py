"""The report of an experiment's folder."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

from latbench.errors import UsageError
from latbench.experiment.config import load_experiment
from latbench.experiment.stages import load_comparison, load_result
from latbench.files import read_json
from latbench.report.data import BackendResult, ReportData, SearchResult
from latbench.store import SetSummary, Store


def _backend(store: Store, summary: SetSummary, comparison: Path) -> BackendResult:
    dataset = store.dataset(set_id=summary.id)
    return BackendResult(
        backend=dataset.backend,
        device=dataset.device,
        architectures=tuple(map(str, dataset.architectures)),
        measured=tuple(map(float, dataset.values)),
        noise_floor=dataset.noise_floor,
        predictors=load_comparison(comparison) if comparison.exists() else (),
        failed=summary.failed,
        conditions={
            "version": summary.set.version,
            **summary.set.options,
            **dataclasses.asdict(summary.set.protocol),
            "canary": summary.set.canary,
        },
    )


def _search(path: Path, store: Store, sets: dict[str, int]) -> SearchResult:
    result = load_result(path)
    measured = {
        name: value
        for name, set_id in sets.items()
        if (value := store.value(set_id, result.architecture)) is not None
    }
    return dataclasses.replace(
        result,
        measured=measured.pop(result.backend, None),
        measured_elsewhere_s=measured,
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
        backends = tuple(
            _backend(store, summaries[i], directory / "predictors" / name / "comparison.json")
            for name, i in sets.items()
        )
        weights = config.search.penalty_weights if config.search else ()
        paths = [directory / "search" / f"weight-{w:g}" / "result.json" for w in weights]
        searches = tuple(_search(path, store, sets) for path in paths if path.exists())
        machine = next(iter(summaries.values())).set.machine
        space = str(store.space)
    flat = {k: str(v) for k, v in machine.items() if not isinstance(v, dict)}
    return ReportData(
        title=config.title,
        created=time.strftime("%Y-%m-%d %H:%M"),
        space=space,
        machine=flat | {k: str(v) for k, v in machine.get("versions", {}).items()},
        backends=backends,
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
