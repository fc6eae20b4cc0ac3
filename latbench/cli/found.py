"""The searches of ``latbench search``, and what it says about what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.cli.common import console, show
from latbench.files import write_json
from latbench.numerals import percent
from latbench.verdicts import difference

if TYPE_CHECKING:
    from latbench.experiment.found import Conditions
    from latbench.experiment.goals import Goal
    from latbench.experiment.searching import Task
    from latbench.experiment.stages import Bars
    from latbench.report.data import SearchResult

TABLE_COLUMNS = 7  # as many as can be read in a terminal of 80 characters
Columns = dict[str, Callable[..., str]]


def finish(
    task: Task, goals: Sequence[Goal], conditions: Sequence[Conditions], out: Path,
    store: Path | None, bars: Bars, as_json: bool,
) -> None:  # fmt: skip
    """Runs every search, measures what was found, writes the results and prints them."""
    from latbench.experiment.doubts import warn_of_reach
    from latbench.experiment.found import measured
    from latbench.experiment.searching import search_and_train

    folders = [_folder(out, goals, goal) for goal in goals]
    warn_of_reach(task, goals)
    results = [
        search_and_train(task, goal, folder, bars)
        for goal, folder in zip(goals, folders, strict=True)
    ]
    if conditions:
        path = store or out / "measurements.sqlite"
        results = measured(results, task.space, conditions, path, bars)
    _write(results, folders)
    rows = [_row(result, results) for result in results]
    if as_json:
        show(rows, True)
    else:
        _print(rows, results, task)


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


def _print(rows: list[dict[str, Any]], results: Sequence[SearchResult], task: Task) -> None:
    from latbench.cli.verdicts import as_guessed, verdicts
    from latbench.report.fronts import worth_sentences
    from latbench.report.same import shared_sentences

    others, epochs = _others(results), task.training.epochs if task.training else 0
    rows = [
        {
            **row,
            **_for_table(result, epochs),
            **{f"on {n}": _cost(result, n) for n in others},
        }
        for row, result in zip(rows, results, strict=True)
    ]
    for columns in _tables(results, epochs):
        show(rows, False, columns=columns)
    for row in rows:
        name = f" for {row['found_for']}, {row['goal']}" if len(rows) > 1 else ""
        console.print(f"found{name}: {row['architecture']}", soft_wrap=True)
    said = [sentence for result in results for sentence in verdicts(result)]
    if task.training is not None:
        said += filter(None, [as_guessed(results, task.training, task.data)])
    for sentence in (*said, *shared_sentences(results), *worth_sentences(results)):
        console.print(sentence)


def _accuracy_title(epochs: int) -> str:
    from latbench.report.text import plural

    return f"test accuracy after {plural(epochs, 'epoch')}"


def _for_table(result: SearchResult, epochs: int) -> dict[str, Any]:
    """What a table shows in other words than the JSON does."""
    from latbench.cli.verdicts import kept

    share = None
    if result.target is not None and result.reference is not None:
        share = result.target / result.reference
    return {
        "goal": f"at most {result.asked}" if result.asked else result.goal,
        "limit": result.target,
        "limit / reference": share,
        "kept": kept(result),
        "predicted": result.predicted,
        "measured": result.measured,
        _accuracy_title(epochs): result.accuracy,
    }


def _row(result: SearchResult, results: Sequence[SearchResult]) -> dict[str, Any]:
    from latbench.report.same import found_for, goals_by_network

    metric = result.metric
    return {
        "found_for": found_for(result),
        "goal": result.goal,
        "penalty_weight": result.penalty_weight,
        "target": result.target,
        "reference": result.reference,
        "kept": result.met,
        "verdict": result.verdict,
        "verdicts": {name: one.verdict for name, one in result.verdicts.items()},
        "noise": result.noise,
        "network_found_for": goals_by_network(results)[result.architecture],
        "architecture": result.architecture,
        metric.predicted_key: result.predicted,
        metric.key: result.measured,
        "stated": {name: asdict(stated) for name, stated in result.stated.items()},
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


def _tables(results: Sequence[SearchResult], epochs: int) -> list[Columns]:
    """What tables show and how each column is written: what no result has is left out. Costs stand
    by themselves where one table would be too wide for a terminal."""
    metric, several = results[0].metric, len(results) > 1
    held = any(r.target is not None for r in results)
    who: Columns = {"found_for": str} if several else {}
    if several or held:
        who["goal"] = str
    costs: Columns = {}
    if held:
        costs = {"limit": metric.show, "limit / reference": percent, "kept": str}
    costs["predicted"] = metric.show
    if any(r.measured is not None for r in results):
        costs["measured"] = metric.show
    costs |= {f"on {name}": metric.show for name in _others(results)}
    rest: Columns = {_accuracy_title(epochs): percent} if epochs else {}
    if any(r.deviation is not None for r in results):
        rest["deviation"] = percent
    rest |= {"parameters": "{:,}".format, "macs": "{:,}".format}
    if several and epochs:
        rest["front"] = lambda on: "yes" if on else ""
    whole = who | costs | rest
    return [whole] if len(whole) <= TABLE_COLUMNS else [who | costs, who | rest]


def _on_front(result: SearchResult, results: Sequence[SearchResult]) -> bool | None:
    """Whether nothing that was found has a higher accuracy at no higher cost, or a lower cost
    (beyond the noise, where it was measured) at no lower accuracy, on the result's backend; None
    without accuracy."""
    if result.accuracy is None:
        return None
    return not any(_beats(other, result) for other in results)


def _beats(other: SearchResult, result: SearchResult) -> bool:
    mine, its = _cost(result, result.backend), _cost(other, result.backend)
    if mine is None or its is None or other.accuracy is None or result.accuracy is None:
        return False
    if its > mine or other.accuracy < result.accuracy:
        return False
    apart = difference(its, mine, [s.noise.get(result.backend) for s in (other, result)])
    cheaper = its < mine and not apart.within_noise
    return cheaper or other.accuracy > result.accuracy


def _cost(result: SearchResult, backend: str) -> float | None:
    """Measured, else predicted."""
    measured = result.cost_on(backend)
    return result.predicted_on(backend) if measured is None else measured
