"""The verdict of a gate in sentences, as rows of a table, and as Markdown for a job's page."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.comparison.gate import Gate, GateVerdict, beside_canary
from latbench.comparison.significance import Comparison
from latbench.report.sections.change_sentences import HOPELESS, change_text
from latbench.text import ABSENT, listing, number, plural, rounded_percent, shorten, signed
from latbench.timing.metric import LATENCY

NAMED = 5  # networks that a sentence names
LISTED = 20  # rows of a table
ALL = "all together"
_MARKS = {"slower": "❌", "untold": "⚠️", "passed": "✅"}
_VERDICTS = {"slower": "slower", "untold": "cannot be told", "passed": "passed"}


def headline(gate: Gate) -> str:
    """Returns the verdict in a sentence."""
    slower, untold = gate.having("slower"), gate.having("untold")
    limit = rounded_percent(gate.limit)
    if slower:
        told = [f"{_called(j)} by {change_text(j.change)}" for j in slower[:NAMED]]
        return f"Slower by more than {limit} beyond the noise: {listing([*told, *_more(slower)])}."
    if untold and gate.reasons:
        return f"Whether anything is slower by more than {limit} cannot be told."
    if untold:
        told = [f"{_called(j)} may be slower by up to {_at_most(j)}" for j in untold[:NAMED]]
        return f"Too noisy to tell {limit}: {listing([*told, *_more(untold)])}."
    if gate.missing:
        return (
            f"Nothing that both sides have is slower by more than {limit} beyond the noise; not "
            "all of the base was measured again."
        )
    judged = sum(j.network is not None for j in gate.judged)
    return f"Nothing is slower by more than {limit} beyond the noise ({plural(judged, 'network')})."


def sentences(gate: Gate, comparisons: Sequence[Comparison]) -> list[str]:
    """Returns the verdict and what to know of it, the most important first."""
    found = [headline(gate), *gate.reasons]
    untold = gate.having("untold")
    if gate.having("slower") and untold:
        found.append(f"{plural(len(untold), 'further verdict')} cannot be told.")
    if untold and not gate.reasons:
        found.append(
            "More timings tell more: time both sides again, in turns (`latbench recheck STORE`), "
            "on a machine that nothing else uses."
        )
    for what, names in (("base", gate.missing), ("other side", gate.added)):
        if names:
            told = [shorten(name, 100) for name in names[:NAMED]]
            rest = [f"{len(names) - NAMED:,} more"] if len(names) > NAMED else []
            found.append(f"Only in the {what}, and not judged: {listing([*told, *rest])}.")
    return found + [text for c in comparisons for text in _yardstick(c)]


def _called(j: GateVerdict) -> str:
    return f"{shorten(j.network or ALL, 100)} on {j.backend}"


def _at_most(j: GateVerdict) -> str:
    return rounded_percent(j.most) if j.most < HOPELESS else "many times"


def _more(judged: Sequence[GateVerdict]) -> list[str]:
    return [f"{len(judged) - NAMED:,} more"] if len(judged) > NAMED else []


def _yardstick(c: Comparison) -> list[str]:
    """What the changes of a comparison are relative to."""
    backend = c.a.set.backend
    if beside_canary(c) is None:
        return [
            f"On {backend} the runtime, its options or the canaries differ, so that seconds were "
            "judged, in which the machine's speed counts: measure both sides in turns."
        ]
    if c.canary is not None and c.canary.clear:
        how = "slower" if c.canary.value > 0 else "faster"
        return [
            f"On {backend} the machine was {how} on the new side, by its canary "
            f"{change_text(c.canary)}: this is divided out of what is judged, not of the seconds."
        ]
    return []


def ordered(gate: Gate) -> list[GateVerdict]:
    """Returns what was judged: slower ones first, then what cannot be told, the larger changes
    first."""
    order = list(_MARKS)
    return sorted(gate.judged, key=lambda j: (order.index(j.outcome), -j.change.value))


def row(j: GateVerdict) -> dict[str, str]:
    """Returns what a table shows of a judged network."""
    return {
        "network": shorten(j.network or ALL, 100),
        "backend": j.backend,
        "base": LATENCY.show(j.base_s),
        "now": LATENCY.show(j.new_s),
        "change": signed(j.change.value),
        "95 % interval": f"{signed(j.change.low)} to {_end(j.change.high)}",
        "verdict": _VERDICTS[j.outcome],
    }


def _end(value: float) -> str:
    return signed(value) if value < HOPELESS else f"{number(1 + min(value, 1e6), 2)} times"


def markdown(gate: Gate, comparisons: Sequence[Comparison], title: str) -> str:
    """Writes the verdict for a job's page: a heading, the sentences and a table."""
    first, *more = sentences(gate, comparisons)
    rows = [row(j) for j in ordered(gate)]
    head = list(rows[0]) if rows else []
    lines = [f"### {_MARKS[gate.outcome]} latbench: {_plain(title)}", "", _plain(first), ""]
    if rows:
        lines += [_cells(head), _cells(["---"] * len(head))]
        lines += [
            _cells([f"`{_code(r['network'])}`", *list(r.values())[1:]]) for r in rows[:LISTED]
        ]
        lines.append("")
    if len(rows) > LISTED:
        lines += [f"{len(rows) - LISTED:,} more passed or cannot be told.", ""]
    lines += [f"- {_plain(text)}" for text in more]
    return "\n".join(lines).rstrip() + "\n\n"


def _cells(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _code(text: str) -> str:
    """Names come from others, and an architecture's text has bars, which end cells."""
    return (text.replace("`", "'").replace("|", "\\|") or ABSENT).replace("\n", " ")


def _plain(text: str) -> str:
    for sign in ("\\", "<", "[", "*", "_", "|", "~"):
        text = text.replace(sign, f"\\{sign}")
    return text
