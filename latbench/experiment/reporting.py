"""The reports of an experiment's folder, of a pruned model's budgets, and of a store."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from latbench.errors import NotEnoughData, UsageError
from latbench.experiment.folder import predictors_folder, prune_folder, search_folder
from latbench.experiment.prune_stage import MODELS, pruned_in
from latbench.experiment.pruning.prune_job import pruned_results
from latbench.experiment.result_files import load_comparison, load_result
from latbench.experiment.settings import SearchStage
from latbench.experiment.sweep import result_path
from latbench.experiment.toml_file import read_experiment
from latbench.experiment.verification import measured_in
from latbench.files import read_json
from latbench.report.from_datasets import backend_result, machine_of
from latbench.results import BackendResult, PrunedResult, ReportData, SearchResult
from latbench.search.config import CHECKPOINT
from latbench.spaces.absent import AbsentSpace
from latbench.store import SetSummary, Store
from latbench.text import ABSENT, flatten, listing
from latbench.timing.metric import LATENCY, Metric, parse_metric

_OF_A_SEARCH = (CHECKPOINT, "result.json")


def _backend(
    store: Store, summary: SetSummary, comparison: Path | None, metric: Metric = LATENCY
) -> BackendResult:
    dataset = store.dataset(set_id=summary.id, metric=metric.name)
    known = load_comparison(comparison) if comparison and comparison.exists() else ()
    return backend_result(dataset, known)


def _comparison(directory: Path, backend: str, metric: Metric) -> Path:
    return predictors_folder(directory, backend, metric) / "comparison.json"


def _paid_for(
    store: Store, summaries: dict[int, SetSummary], sets: dict[str, int], directory: Path,
    plan: SearchStage,
) -> list[BackendResult]:  # fmt: skip
    """Returns what the search pays for on its backends, where that is not latency and was
    compared."""
    metric = parse_metric(plan.metric)
    if metric == LATENCY:
        return []
    paths = {name: _comparison(directory, name, metric) for name in plan.priced}
    return [
        _backend(store, summaries[sets[name]], path, metric)
        for name, path in paths.items()
        if name in sets and path.exists()
    ]


def _search(
    path: Path, store: Store, sets: dict[str, int], plan: SearchStage
) -> list[SearchResult]:
    """A finished search as it is seen from its backend; one for accuracy alone from every backend
    that others pay for."""
    result = load_result(path)
    # Rows are found by the number that the space gives to an architecture.
    known = {} if isinstance(store.space, AbsentSpace) else sets
    others = [n for n in plan.priced if result.plain and n in result.predicted_elsewhere]
    seen = [result, *(_from_other(result, name) for name in others)]
    return [measured_in(store, known, s) for s in seen]


def _from_other(result: SearchResult, backend: str) -> SearchResult:
    """A search for accuracy alone beside those for another backend. The expected cost of its course
    is known on its own backend only."""
    predicted = {**result.predicted_elsewhere, result.backend: result.predicted}
    return dataclasses.replace(
        result,
        backend=backend,
        predicted=predicted.pop(backend),
        predicted_elsewhere=predicted,
        reference=None,  # of its own backend, as are the predictors
        guide="",
        keeper="",
        judge="",
        label=f"{result.label}, seen on {backend}",
        history=(),
    )


def collect(directory: Path) -> ReportData:
    """Reads everything that an experiment's folder holds so far. Nothing that its files name is
    imported, and none of it has to be installed here.

    Raises UsageError when the folder is not an experiment's.
    """
    sampled = (directory / "sets.json").exists()
    if not sampled and not (prune_folder(directory) / MODELS).exists():
        raise UsageError(_no_experiment(directory))
    config = read_experiment(directory / "experiment.toml")
    pruned = pruned_in(prune_folder(directory), config.prune) if config.prune else ()
    data = dataclasses.replace(
        _of_pruned(pruned, config.title),
        settings=_not_default(config.search) if config.search else (),
    )
    return _with_samples(data, directory, config.search) if sampled else data


def _with_samples(data: ReportData, directory: Path, plan: SearchStage | None) -> ReportData:
    """The report with what was measured of the sample, and with what was found."""
    sets = {str(k): int(v) for k, v in read_json(directory / "sets.json").items()}
    with Store(directory / "measurements.sqlite", need_space=False) as store:
        summaries = {s.id: s for s in store.sets()}
        backends = [
            _backend(store, summaries[i], _comparison(directory, name, LATENCY))
            for name, i in sets.items()
        ]
        if plan is not None:
            backends += _paid_for(store, summaries, sets, directory, plan)
        folder = search_folder(directory)
        paths = [result_path(folder, goal) for goal in plan.goals] if plan else []
        searches = tuple(
            s for path in paths if plan and path.exists() for s in _search(path, store, sets, plan)
        )
        return dataclasses.replace(
            data, space=str(store.space), backends=tuple(backends), searches=searches,
            machine=machine_of(summaries[i].set.machine for i in sets.values()),
            notes=_notes(store),
        )  # fmt: skip


def _of_pruned(pruned: Sequence[PrunedResult], title: str) -> ReportData:
    """A report with pruned models alone, and the machines that they were measured on."""
    stores = dict.fromkeys(Path(one.folder).parents[1] / one.store for one in pruned)
    machines = []
    for path in (p for p in stores if p.is_file()):
        with Store(path, need_space=False) as store:
            machines += [s.set.machine for s in store.sets()]
    return ReportData(
        title=title,
        created=time.strftime("%Y-%m-%d %H:%M"),
        space="",
        machine=machine_of(machines),
        backends=(),
        pruned=tuple(pruned),
    )


def _not_default(plan: SearchStage) -> tuple[tuple[str, str, str], ...]:
    """Name in the experiment file, value and default of what is not the default."""
    own, default = (flatten(dataclasses.asdict(p), "search.") for p in (plan, SearchStage()))
    return tuple((k, v or ABSENT, default[k] or ABSENT) for k, v in own.items() if v != default[k])


def _no_experiment(directory: Path) -> str:
    # A search's folder itself, one folder a goal, or one a backend and goal.
    places = (f"{above}{name}" for above in ("", "*/", "*/*/") for name in _OF_A_SEARCH)
    if any(next(directory.glob(place), None) for place in places):
        return (
            f"{directory} is a folder of `latbench search`, which holds checkpoints and a "
            "result.json for each finished search, but no page; a search with a page is one of "
            "`latbench run FILE` (`latbench example` prints a file), and `latbench report "
            "STORE` is the page of a store"
        )
    return (
        f"{directory} holds no measured experiment; `latbench run FILE --out {directory}` makes one"
    )


def _notes(store: Store) -> tuple[str, ...]:
    return (f"{store.space.note}.",) if isinstance(store.space, AbsentSpace) else ()


def write_report(directory: Path, out: Path | None = None, plot: Path | None = None) -> Path:
    """Writes ``report.html`` into the folder of an experiment, or of a pruned model's budgets, or a
    page at ``out``, and a picture at ``plot``; returns the page's path."""
    pruned = () if (directory / "experiment.toml").exists() else pruned_results(directory)
    data = collect_pruned(pruned) if pruned else collect(directory)
    return _write(data, out or directory / "report.html", plot)


def collect_pruned(pruned: Sequence[PrunedResult]) -> ReportData:
    """Makes the report of models that were pruned, of which there is at least one."""
    names = listing(list(dict.fromkeys(one.name for one in pruned)))
    return _of_pruned(pruned, f"{names} pruned on {pruned[0].backend}")


def _write(report: ReportData, page: Path, plot: Path | None) -> Path:
    from latbench.report import write

    write(report, page)
    if plot is not None:
        from latbench.report.picture import picture_of, save_picture

        save_picture(picture_of(report), plot)
    return page


def collect_store(path: Path) -> ReportData:
    """Reads the latencies of every set of a store.

    Raises NotEnoughData when it holds none.
    """
    with Store(path, need_space=False) as store:
        # A set may hold failures or named architectures only.
        sets = [s for s in store.sets() if s.ok]
        found = [(s, b) for s in sets if (b := _sampled(store, s)) is not None]
        if not found:
            raise NotEnoughData(f"the store {path} holds no sampled architecture to report")
        space, notes = str(store.space), _notes(store)
    return ReportData(
        title=f"Latencies in {path.name}",
        created=time.strftime("%Y-%m-%d %H:%M"),
        space=space,
        machine=machine_of(s.set.machine for s, _ in found),
        backends=tuple(b for _, b in found),
        notes=notes,
    )


def _sampled(store: Store, summary: SetSummary) -> BackendResult | None:
    try:
        return _backend(store, summary, None)
    except NotEnoughData:
        return None


def write_store_report(path: Path, out: Path | None = None, plot: Path | None = None) -> Path:
    """Writes a store's page beside it, or at ``out``, and a picture at ``plot``; returns the page's
    path."""
    return _write(collect_store(path), out or path.with_suffix(".html"), plot)
