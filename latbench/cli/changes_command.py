"""``latbench changes``: what changed between two stores, sets or dates; and the gate that
``latbench report`` is for two stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli.common import (
    BackendChoice,
    JsonOption,
    PageOption,
    PlotOption,
    console,
    headed,
    milliseconds,
    print_json,
    show,
)
from latbench.cli.pages import check_plot
from latbench.errors import UsageError
from latbench.progress import messages

if TYPE_CHECKING:
    from latbench.comparison.gate import Gate
    from latbench.comparison.significance import Comparison
    from latbench.comparison.variance import Change
    from latbench.store.records import SetSummary
    from latbench.store.sides import Side

ROWS_PRINTED = 10


def parse_date(text: str) -> float:
    """Reads ``2026-11-24`` or ``2026-11-24T18:00``, local time, as seconds since 1970.

    Raises UsageError for anything else.
    """
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{text!r} is not a date; expected one such as 2026-11-24 or 2026-11-24T18:00"
        ) from None


def store_of(path: Path) -> Path:
    """Returns a store's path, or that of the store in an experiment's folder."""
    inside = path / "measurements.sqlite"
    return inside if inside.exists() else path


def changes(
    a: Annotated[Path, typer.Argument(help="A store, or the folder of an experiment.")],
    b: Annotated[
        Path | None, typer.Argument(help="Another one; none: two sets or dates of the first.")
    ] = None,
    sets: Annotated[
        tuple[int, int] | None,
        typer.Option("--sets", help="These sets, by number: one of each store, or two of one.",
                     metavar="A B", show_default=False),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="What was timed before this date, and from it on.",
                     metavar="DATE"),
    ] = None,
    backend: BackendChoice = None,
    out: PageOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say what changed between two stores of the same backend, beyond the noise.

    Which architectures changed, by how much the backend did as a whole, and what differs in
    conditions. Two sets or dates of one store are set side by side in the same way.
    """
    from latbench.comparison.significance import compare
    from latbench.spaces.absent import AbsentSpace
    from latbench.store.sides import pair_sides, unpaired

    check_plot(plot)
    if b is None and sets is None and split is None:
        raise UsageError("one store has nothing to be compared with: name a second one, --sets "
                         "or --split")  # fmt: skip
    a, b = store_of(a), store_of(b or a)
    when = None if split is None else parse_date(split)
    pairs = pair_sides(a, b, backend, sets, when)
    found = [compare(*sides) for sides in pairs]
    left = _left(*unpaired(a, b, pairs, backend)) if a != b and sets is None else []
    space = pairs[0][0].space
    left += [f"{space.note}."] if isinstance(space, AbsentSpace) else []
    _write(found, _title(a, b), left, out, plot)
    if as_json:
        print_json([_json(c) for c in found])
    for c in () if as_json else found:
        _print(c)
    for sentence in left:
        # Beside JSON, whose list has one entry a pair, they go to standard error.
        (messages if as_json else console).print(sentence, soft_wrap=True)
    for what, path in (("report", out), ("picture", plot)):
        if path is not None and not as_json:
            console.print(f"{what}: {path}", soft_wrap=True)


def _write(
    found: Sequence[Comparison], title: str, left: Sequence[str], out: Path | None,
    plot: Path | None,
) -> None:  # fmt: skip
    """Writes the page of comparisons and their picture, where there is a file for it."""
    if out is not None:
        from latbench.report.page import save
        from latbench.report.sections.change_page import render_changes

        save(render_changes(found, title, left), out)
    if plot is not None:
        from latbench.report.picture import picture_of_changes, save_picture

        save_picture(picture_of_changes(found), plot)


def gate(
    base: Path, new: Path, limit: float, *, backend: str | None, strict: bool,
    summary: Path | None, out: Path | None, plot: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Judges whether anything in a store is slower than in another one.

    Args:
        base: The store of what there was, or an experiment's folder.
        new: That of what there is now.
        limit: By how much more something has to be slower to fail (a fraction).
        backend: The backend whose sets are compared; None takes all.
        strict: Whether what cannot be told ends with exit code 3.
        summary: A file that the verdict is appended to, as Markdown; None writes none.
        out: A page of what changed; None writes none.
        plot: A picture of it; None draws none.
        as_json: Whether to print JSON.

    Raises:
        Exit: With code 1 where something is slower, and 3 where ``strict`` says so.
        UsageError: Where the stores have nothing in common.
    """
    from latbench.comparison.gate import judge
    from latbench.comparison.significance import compare
    from latbench.report.sections.gate_sentences import markdown
    from latbench.store.sides import pair_sides, unpaired

    base, new = store_of(base), store_of(new)
    pairs = pair_sides(base, new, backend, fewest=1)
    found = [compare(*sides) for sides in pairs]
    if not any(c.shared for c in found):
        raise UsageError(
            f"{base} and {new} have no network in common, so that there is nothing to judge; "
            "measure the same models, by the same names, on both sides"
        )
    ours, theirs = unpaired(base, new, pairs, backend) if base != new else ([], [])
    verdict = judge(found, limit, map(_named, ours), map(_named, theirs))
    _write(found, _title(base, new), [], out, plot)
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(markdown(verdict, found, f"{base.name} and {new.name}"))
    _say_gate(verdict, found, as_json)
    if verdict.outcome == "slower":
        raise typer.Exit(1)
    if verdict.outcome == "untold" and strict:
        raise typer.Exit(3)


def _say_gate(verdict: Gate, found: Sequence[Comparison], as_json: bool) -> None:
    from latbench.report.sections.gate_sentences import LISTED, ordered, row, sentences

    first, *more = sentences(verdict, found)
    if as_json:
        print_json(_gate_json(verdict, [first, *more]))
    else:
        rows = [row(j) for j in ordered(verdict)]
        columns = dict.fromkeys(rows[0], str) if rows else {}
        listed = f"{LISTED} of {len(rows)} verdicts" if len(rows) > LISTED else "verdicts"
        show(rows[:LISTED], False, listed, columns)
    if verdict.outcome == "untold":
        messages.print(headed("warning:", "yellow", first), soft_wrap=True)
        first = ""
    for sentence in () if as_json else filter(None, (first, *more)):
        console.print(sentence, soft_wrap=True)


def _gate_json(verdict: Gate, said: Sequence[str]) -> dict[str, Any]:
    from dataclasses import asdict

    from latbench.report.sections.gate_sentences import ordered

    return {
        "limit": verdict.limit,
        "outcome": verdict.outcome,
        "sentences": [s.replace("\u00a0", " ") for s in said],
        "missing": list(verdict.missing),
        "added": list(verdict.added),
        "networks": [
            {**asdict(j), "change": _change(j.change)} for j in ordered(verdict)
        ],
    }  # fmt: skip


def _left(ours: Sequence[SetSummary], theirs: Sequence[SetSummary]) -> list[str]:
    """The sets that have no counterpart, a sentence a side."""
    return [
        f"Only in {name}, and not compared: {'; '.join(map(_named, sets))}."
        for name, sets in (("A", ours), ("B", theirs))
        if sets
    ]


def _named(s: SetSummary) -> str:
    from latbench.cli.stores import changed_options

    options = changed_options(s.set.backend, s.set.options)
    return f"set {s.id} ({s.set.backend} on {s.set.device}, {options}, {s.ok:,} measured)"


def _title(a: Path, b: Path) -> str:
    return f"What changed: {a}" if a == b else f"What changed from {a} to {b}"


def _print(c: Comparison) -> None:
    from latbench.report.sections.change_sentences import differing, order, sentences, verdict
    from latbench.text import plural, signed

    for sentence in sentences(c):
        console.print(sentence, soft_wrap=True)
    rows = [
        {
            "architecture": c.text(i),
            "a_s": float(c.a_s[i]),
            "b_s": float(c.b_s[i]),
            "change": signed(float(c.absolute.change[i])),
            "verdict": verdict(float(c.absolute.change[i]), bool(c.absolute.beyond[i]), c.judged),
        }
        for i in order(c)[:ROWS_PRINTED]
    ]
    if rows:
        writers: dict[str, Callable[..., str]] = dict.fromkeys(rows[0], str)
        writers |= {"a_s": milliseconds, "b_s": milliseconds}
        most = "the most changed of the" if c.shared > len(rows) else "the"
        show(rows, False, f"{most} {plural(c.shared, 'shared architecture')}", writers)
    changed = [{"condition": k, "A": v or "–", "B": w or "–"} for k, (v, w) in differing(c).items()]
    if changed:
        show(changed, False, "conditions that differ")


def _json(c: Comparison) -> dict[str, Any]:
    from latbench.report.sections.change_sentences import differing, sentences

    return {
        "backend": c.a.set.backend,
        "a": _side(c.a),
        "b": _side(c.b),
        "shared": c.shared,
        "whole": _change(c.whole),
        "canary": _change(c.canary),
        "relative_to_canary": _change(c.relative),
        "noise_known": c.judged,
        "visible_alone": None if c.visible is None else _finite(c.visible),
        "beyond_noise": int(c.absolute.beyond.sum()),
        "beyond_noise_against_mean": int(c.against.beyond.sum()),
        "differing_conditions": {k: list(v) for k, v in differing(c).items()},
        "sentences": [s.replace("\u00a0", " ") for s in sentences(c)],
        "architectures": [_architecture(c, i) for i in range(len(c.ranks))],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "store": str(side.path),
        "set": side.set_id,
        "device": side.set.device,
        "version": side.set.version,
        "first": side.first,
        "last": side.last,
        "architectures": len(side.ranks),
        "retested": len(side.pairs),
        "failed": side.failed,
        "noise_floor": side.noise_floor,
        "floor_between": side.floors.between,
        "canary_s": side.anchor_s,
    }


def _change(change: Change | None) -> dict[str, float] | None:
    if change is None:
        return None
    return {"change": change.value, "low": change.low, "high": change.high}


def _architecture(c: Comparison, i: int) -> dict[str, Any]:
    return {
        "architecture": c.text(i),
        "a_s": float(c.a_s[i]),
        "b_s": float(c.b_s[i]),
        "change": float(c.absolute.change[i]),
        "low": float(c.absolute.low[i]),
        "high": _finite(float(c.absolute.high[i])),
        "beyond_noise": bool(c.absolute.beyond[i]),
        "against_mean": float(c.against.change[i]),
        "beyond_noise_against_mean": bool(c.against.beyond[i]),
    }


def _finite(value: float) -> float | None:
    """Returns None for what is infinite: JSON has no infinity."""
    return value if abs(value) < float("inf") else None


COMMANDS = (changes,)
