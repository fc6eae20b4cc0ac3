"""The searches of ``latbench search``, and what it says about what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.cli.common import console, show
from latbench.files import write_json
from latbench.numerals import percent

if TYPE_CHECKING:
    from latbench.experiment.found import Conditions
    from latbench.experiment.goals import Goal
    from latbench.experiment.searching import Task
    from latbench.experiment.stages import Bars
    from latbench.report.data import SearchResult


def finish(
    task: Task, goals: Sequence[Goal], conditions: Sequence[Conditions], out: Path,
    store: Path | None, bars: Bars, as_json: bool,
) -> None:  # fmt: skip
    """Runs every search, measures what was found, writes the results and prints them."""
    from latbench.experiment.found import measured
    from latbench.experiment.searching import search_and_train

    folders = [_folder(out, goals, goal) for goal in goals]
    results = [
        search_and_train(task, goal, folder, bars)
        for goal, folder in zip(goals, folders, strict=True)
    ]
    if conditions:
        path = store or out / "measurements.sqlite"
        results = measured(results, task.space, conditions, path, bars)
    _write(results, folders)
    _print(results, as_json)


def _folder(out: Path, goals: Sequence[Goal], goal: Goal) -> Path:
    """The folder itself for a single search; else one a backend and goal."""
    from latbench.experiment.goals import JOINED

    if len(goals) == 1:
        return out
    several = len({g.backends for g in goals}) > 1
    return (out / JOINED.join(goal.backends) if several else out) / goal.name


def _write(results: Sequence[SearchResult], folders: Sequence[Path]) -> None:
    from latbench.experiment.results import result_json

    for result, folder in zip(results, folders, strict=True):
        write_json(folder / "result.json", {"result": result_json(result)})


def _print(results: Sequence[SearchResult], as_json: bool) -> None:
    from latbench.report.fronts import worth_sentences

    rows = [_row(result, results) for result in results]
    if as_json:
        show(rows, True)
        return
    others = _others(results)
    for row, result in zip(rows, results, strict=True):
        row |= {f"on {name}": _cost(result, name) for name in others}
    show(rows, False, columns=_columns(results))
    for sentence in (*map(_kept, results), *worth_sentences(results)):
        if sentence:
            console.print(sentence, highlight=False)


def _kept(result: SearchResult) -> str:
    """Whether what was found keeps its limit as measured: the search knew the prediction only."""
    if result.target is None or result.measured is None:
        return ""
    over = result.measured / result.target - 1
    metric = result.metric
    return (
        f"{result.goal} on {result.backend}: predicted {metric.show(result.predicted, 3)}, "
        f"measured {metric.show(result.measured, 3)}, {100 * abs(over):.1f} % "
        f"{'above' if over > 0 else 'below'} the limit"
    )


def _row(result: SearchResult, results: Sequence[SearchResult]) -> dict[str, Any]:
    from latbench.report.fronts import found_for

    metric = result.metric
    return {
        "found_for": found_for(result),
        "goal": result.goal,
        "penalty_weight": result.penalty_weight,
        "target": result.target,
        "kept": result.met,
        "architecture": result.architecture,
        metric.predicted_key: result.predicted,
        metric.key: result.measured,
        "predicted_elsewhere": result.predicted_elsewhere,
        "measured_elsewhere": result.measured_elsewhere,
        "accuracy": result.accuracy,
        "deviation": result.deviation,
        "parameters": result.parameters,
        "macs": result.macs,
        "front": _on_front(result, results),
    }


def _others(results: Sequence[SearchResult]) -> list[str]:
    names = (n for r in results for n in (r.backend, *r.predicted_elsewhere, *r.measured_elsewhere))
    found = list(dict.fromkeys(names))
    return found if len(found) > 1 else []


def _columns(results: Sequence[SearchResult]) -> dict[str, Callable[..., str]]:
    """What a table shows and how each is written: what no result has is left out."""
    metric = results[0].metric
    several = len(results) > 1
    columns: dict[str, Callable[..., str]] = {}
    if several:
        columns |= {"found_for": str, "goal": str}
    columns |= {"architecture": str, metric.predicted_key: metric.show}
    if any(r.measured is not None for r in results):
        columns[metric.key] = metric.show
    columns |= {f"on {name}": metric.show for name in _others(results)}
    columns["accuracy"] = percent
    if any(r.deviation is not None for r in results):
        columns["deviation"] = percent
    columns |= {"parameters": "{:,}".format, "macs": "{:,}".format}
    if several and any(r.accuracy is not None for r in results):
        columns["front"] = lambda on: "yes" if on else ""
    return columns


def _on_front(result: SearchResult, results: Sequence[SearchResult]) -> bool | None:
    """Whether nothing that was found has a higher accuracy at no higher cost, or a lower cost at no
    lower accuracy, on the result's backend; None without accuracy."""
    if result.accuracy is None:
        return None
    return not any(_beats(other, result) for other in results)


def _beats(other: SearchResult, result: SearchResult) -> bool:
    mine, its = _cost(result, result.backend), _cost(other, result.backend)
    if mine is None or its is None or other.accuracy is None or result.accuracy is None:
        return False
    no_worse = its <= mine and other.accuracy >= result.accuracy
    return no_worse and (its < mine or other.accuracy > result.accuracy)


def _cost(result: SearchResult, backend: str) -> float | None:
    """Measured, else predicted."""
    predicted = {**result.predicted_elsewhere, result.backend: result.predicted}
    measured = result.cost_on(backend)
    return predicted.get(backend) if measured is None else measured
