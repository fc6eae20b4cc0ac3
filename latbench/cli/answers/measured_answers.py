"""The answers of ``latbench measure``: what each network takes, and which is faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

import typer

from latbench.cli.common import console, print_json, show
from latbench.cli.stores import say_concerns, show_sets
from latbench.progress import messages
from latbench.text import ABSENT, NBSP, number, percent, plural
from latbench.timing.metric import LATENCY, METRICS

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.comparison.answers import Answer, Pair
    from latbench.models import Model
    from latbench.networks.network import Network
    from latbench.spaces import AnySpace


class Outcome(Protocol):
    """An outcome of one campaign or of several, which counts its rows."""

    @property
    def set_ids(self) -> tuple[int, ...]:
        """Returns the sets that were filled."""
        ...

    @property
    def measured(self) -> int:
        """Returns how many rows were measured."""
        ...

    @property
    def failed(self) -> int:
        """Returns how many rows failed."""
        ...

    @property
    def already_there(self) -> int:
        """Returns how many rows the store had."""
        ...

    @property
    def seconds(self) -> float:
        """Returns how long it took."""
        ...


Tell = Callable[[bool], None]  # prints what was found, as JSON or for people
PercentilesOption = Annotated[
    bool,
    typer.Option(
        "--percentiles",
        help="Time enough runs for p50, p90 and p99 (MLPerf's rule); part of the set's protocol.",
    ),
]


class Asked(NamedTuple):
    """A network that somebody asked for: its name, its text in the store, and its layers."""

    name: str
    text: str
    network: Network


def asked_for(space: AnySpace, wanted: dict[str, Any], all_rows: bool) -> list[Asked]:
    """Returns the networks that a campaign is asked about, each once.

    Args:
        space: The store's space.
        wanted: The arguments of ``run_campaign`` that say what to measure.
        all_rows: Whether the sampled architectures are meant, too.

    Returns:
        Named architectures, models, and then the sample.
    """
    architectures = list(wanted["architectures"])
    models: Iterable[Model] = wanted["models"]
    sampled: list[Any] = []
    if all_rows:
        seed = wanted["seed"]
        sampled += [space.sample(seed, i) for i in wanted.get("indices", ())]
        if wanted.get("n"):
            sampled += [a for _, a in space.unique_samples(seed, wanted["n"])]
    found = [of_architecture(space, a) for a in architectures]
    found += [Asked(m.name, str(m), m.network) for m in models]
    found += [of_architecture(space, a) for a in sampled]
    return list({one.text: one for one in found}.values())


def of_architecture(space: AnySpace, architecture: Any) -> Asked:
    """Returns an architecture by its short name."""
    from latbench.spaces import known_name

    text = str(architecture)
    return Asked(known_name(text), text, space.build(architecture))


def teller(path: Path, set_ids: Sequence[int], asked: Sequence[Asked], backend: Backend) -> Tell:
    """Returns what tells, as a table and sentences or as JSON, what a store knows of networks.

    Args:
        path: The path of the store.
        set_ids: The numbers of the sets that were filled.
        asked: The networks.
        backend: The backend of the sets.

    Returns:
        The function, which reads the store when it is called.
    """

    def tell(as_json: bool) -> None:
        from latbench.comparison.answers import answer
        from latbench.store import Store
        from latbench.store.occasions import SetNoise

        if not asked and not as_json:
            return
        with Store(path) as store:
            sets = [(s, SetNoise.read(store, s.id)) for s in store.sets() if s.id in set_ids]
            found = [
                answer(store, s, noise, a.name, a.text, a.network, backend.requests)
                for s, noise in sets
                for a in asked
            ]
        tell_answers(found, as_json)

    return tell


def tell_answers(answers: Sequence[Answer], as_json: bool) -> None:
    """Prints answers as a table and sentences, or as JSON."""
    from latbench.comparison.answers import pairs

    judged = pairs(answers)
    if as_json:
        print_json([row_of(a, [p for p in judged if a in (p.faster, p.slower)]) for a in answers])
        return
    shown = [a for a in answers if a.latency_s is not None]
    if not shown:
        return
    show([_cells(a) for a in shown], False, "measured networks", _columns(shown))
    for sentence in [*_lacking(shown), *(p.sentence for p in judged)]:
        console.print(sentence, soft_wrap=True)


def conclude(path: Path, outcome: Outcome, tell: Tell | None = None, as_json: bool = False) -> None:
    """Prints what a campaign added and what its store holds now, and what it found.

    Args:
        path: The path of the store.
        outcome: What the campaign counted.
        tell: Prints what was found; None where there is nothing to tell.
        as_json: Whether standard output is for JSON alone.

    Raises:
        typer.Exit: With code 1 when every row failed.
    """
    from latbench.store import Store

    with Store(path) as store:
        filled = [s for s in store.sets() if s.id in outcome.set_ids]
    out = messages if as_json else console
    out.print(
        f"{outcome.measured} rows measured, {outcome.failed} failed, {outcome.already_there} were "
        f"there already; {outcome.seconds:.0f} s"
    )
    for found in filled:
        held = f"{plural(found.ok, 'architecture')}, {plural(found.networks, 'different network')}"
        out.print(f"set {found.id} holds {held}")
    if as_json:
        say_concerns(filled)
    else:
        show_sets(path, as_json=False)
    if tell is not None:
        tell(as_json)
    if not any(s.ok for s in filled):
        raise typer.Exit(1)  # every row failed, and the reasons are above


def row_of(a: Answer, judged: Sequence[Pair] = ()) -> dict[str, Any]:
    """Returns an answer as JSON has it, with how it compares with other networks."""
    ends = a.interval_s or (None, None)
    found = a.found.set
    return {
        "model": a.name,
        "text": a.text,
        "set": a.found.id,
        "backend": found.backend,
        "options": found.options,
        "version": found.version,
        "device": found.device,
        "batch": a.network.input_shape[0],
        "input_shape": list(a.network.input_shape),
        "parameters": a.network.parameters,
        "macs": a.network.macs,
        "latency_s": a.latency_s,
        "latency_low_s": ends[0],
        "latency_high_s": ends[1],
        "images_per_s": a.images_per_s,
        "runs": a.runs,
        **{f"{name}_s": p and p.value for name, p in a.percentiles.items()},
        **{f"{name}_at_most_s": p and p.at_most for name, p in a.percentiles.items()},
        **{METRICS[name].key: value for name, value in a.costs.items()},
        "error": a.error,
        "compared": [_compared(a, p) for p in judged],
    }


def _compared(a: Answer, p: Pair) -> dict[str, Any]:
    """A comparison as the answer ``a`` sees it: the other's change is against ``a``."""
    first = a is p.faster
    other, verdict = (p.slower, "faster") if first else (p.faster, "slower")
    # Of the faster one against the slower; the other way round for the other one.
    ends = [p.change.value, p.change.low, p.change.high]
    if not first:
        ends = [1 / (1 + end) - 1 for end in (p.change.value, p.change.high, p.change.low)]
    return {
        "with": other.name,
        "verdict": verdict if p.told else "cannot be told",
        **dict(zip(("change", "low", "high"), ends, strict=True)),
        "visible": p.visible if math.isfinite(p.visible) else None,
        "sentence": p.sentence.replace(NBSP, " "),
    }


def _cells(a: Answer) -> dict[str, Any]:
    return {
        "model": a.name, "latency": latency_text(a),
        **{name: ABSENT if p is None else LATENCY.show(p.value) for name, p in
           a.percentiles.items()},
        "images/s": number(a.images_per_s, 4),
        "memory": METRICS["memory"].show(a.costs["memory"]),
        "device memory": METRICS["device-memory"].show(a.costs["device-memory"]),
        "parameters": f"{a.network.parameters:,}", "multiply-adds": f"{a.network.macs:,}",
        "batch": str(a.network.input_shape[0]),
        "set": str(a.found.id),
    }  # fmt: skip


def _columns(shown: Sequence[Answer]) -> dict[str, Callable[..., str]]:
    """The columns that tell anything."""
    names = ["model", "latency", "p50", "p90", "p99", "images/s", "memory"]
    if any(a.costs["device-memory"] for a in shown):
        names.append("device memory")
    names += ["parameters", "multiply-adds"]
    if any(a.network.input_shape[0] > 1 for a in shown):
        names.insert(1, "batch")
    if len({a.found.id for a in shown}) > 1:
        names.insert(1, "set")
    return dict.fromkeys(names, str)


def latency_text(a: Answer) -> str:
    """Writes a latency with its interval."""
    ends = a.interval_s
    if ends is None or a.latency_s is None:
        return ABSENT
    return f"{LATENCY.show(a.latency_s)} ± {percent(ends[1] / a.latency_s - 1)}"


def _lacking(shown: Sequence[Answer]) -> list[str]:
    """Which percentiles are not told, and why."""
    from latbench.timing.percentiles import RULE, too_few

    fewest = min(shown, key=lambda a: a.runs)
    what = too_few(fewest.runs)
    if not what:
        return []
    who = fewest.name if len(shown) > 1 else "it"
    return [
        f"{what} ({RULE}), and {who} has {plural(fewest.runs, 'run')}: --percentiles times enough"
    ]
