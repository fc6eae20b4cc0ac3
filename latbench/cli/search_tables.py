"""The tables of ``latbench search``: what was found, beside what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from latbench.cli.common import console, show
from latbench.text import percent
from latbench.timing.verdicts import difference

if TYPE_CHECKING:
    from pathlib import Path

    from latbench.experiment.search_task import SearchTask
    from latbench.results import SearchResult

TABLE_COLUMNS = 7  # as many as can be read in a terminal of 80 characters
Columns = dict[str, Callable[..., str]]


def print_found(
    results: Sequence[SearchResult], task: SearchTask, as_json: bool,
    trained: Sequence[Sequence[Path]],
) -> None:  # fmt: skip
    """Prints what the searches of a task found, as tables and sentences, or as JSON.

    Args:
        results: What each of them found.
        task: What all of them have in common.
        as_json: Whether to print JSON.
        trained: The folders of the models that were trained for each.
    """
    rows = [
        {**_row(result, results), "models": [str(path) for path in folders]}
        for result, folders in zip(results, trained, strict=True)
    ]
    if as_json:
        show(rows, True)
    else:
        _print(rows, results, task)


def _print(rows: list[dict[str, Any]], results: Sequence[SearchResult], task: SearchTask) -> None:
    from latbench.cli.search_sentences import as_guessed, verdicts
    from latbench.report.sections.across_backends import worth_sentences
    from latbench.report.sections.same_network import shared_sentences

    others, epochs = _others(results), task.training.epochs if task.training else 0
    rows = [
        {
            **row,
            **_for_table(result, epochs),
            **{f"on {n}": _cost(result, n) for n in others},
        }
        for row, result in zip(rows, results, strict=True)
    ]
    for sentence in worth_sentences(results):  # the most important, where there are any
        console.print(sentence)
    for columns in _tables(results, epochs):
        show(rows, False, columns=columns)
    for row in rows:
        name = f" for {row['found_for']}, {row['goal']}" if len(rows) > 1 else ""
        console.print(f"found{name}: {row['architecture']}", soft_wrap=True)
        if row["models"]:
            console.print(f"trained{name}: {', '.join(row['models'])}", soft_wrap=True)
    said = [sentence for result in results for sentence in verdicts(result)]
    if task.training is not None:
        said += filter(None, [as_guessed(results, task.training, task.data)])
    for sentence in (*said, *shared_sentences(results)):
        console.print(sentence)


def _accuracy_title(epochs: int) -> str:
    from latbench.text import plural

    return f"test accuracy after {plural(epochs, 'epoch')}"


def _for_table(result: SearchResult, epochs: int) -> dict[str, Any]:
    """What a table shows in other words than the JSON does."""
    from latbench.cli.search_sentences import kept

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
    from latbench.report.sections.same_network import found_for, goals_by_network

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
    """Returns what each table shows and how each column is written.

    What no result has is left out. Costs stand by themselves where one table would be too wide for
    a terminal.
    """
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
    """Returns the measured cost on a backend, else the predicted one."""
    measured = result.cost_on(backend)
    return result.predicted_on(backend) if measured is None else measured
