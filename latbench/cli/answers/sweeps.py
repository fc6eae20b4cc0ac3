"""``latbench measure --sweep``: what is asked for, and its table, picture and sentences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli.answers.measured_answers import Tell, latency_text, of_architecture, row_of
from latbench.cli.common import console, print_json, show
from latbench.cli.pages import check_plot
from latbench.errors import UsageError, quoted
from latbench.text import number, short_percent
from latbench.timing.metric import METRICS

if TYPE_CHECKING:
    from latbench.backends.base import Backend
    from latbench.campaign import Progress
    from latbench.campaign.input_sweep import Axis, SweepOutcome, SweepPoint
    from latbench.comparison.answers import Answer
    from latbench.models import Model
    from latbench.store import Store

SweepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        metavar="NAME=VALUE,...",
        help="Measure the named networks at each batch=1,2,4, resolution=128,224x160 or "
        "threads=1,2; repeatable.",
    ),
]
SweepPlotOption = Annotated[
    Path | None,
    typer.Option("--plot", help="Also draw the curves of a sweep into this file (.png or .svg)."),
]


@dataclass(frozen=True)
class AskedSweep:
    """A sweep that was asked for: its axes, and the backend at all other options."""

    axes: tuple[Axis, ...]
    backend: Backend
    plot: Path | None

    def measure(
        self, store: Store, wanted: dict[str, Any], networks: Sequence[str],
        settings: dict[str, Any],
    ) -> tuple[SweepOutcome, Tell]:  # fmt: skip
        """Measures what was named at every point, see ``swept_points``.

        Args:
            store: The open store, of whose space the architectures are.
            wanted: The ``architectures`` and ``models`` that were named.
            networks: The texts of the published networks among them.
            settings: The protocol, the options and further arguments of ``measure_sweep``.

        Returns:
            What was measured, and what tells it.
        """
        architectures, models = wanted["architectures"], wanted["models"]
        points = swept_points(self, store, architectures, models, networks)
        outcome = measure_points(store, points, settings)

        def tell(as_json: bool) -> None:
            tell_swept(read_swept(store.path, points, outcome), self.plot, as_json)

        return outcome, tell


def read_sweep(
    texts: Sequence[str] | None, backend: Backend, given: dict[str, Any], plot: Path | None,
    refused: dict[str, bool],
) -> AskedSweep | None:  # fmt: skip
    """Reads what is to be swept, before anything is done.

    Args:
        texts: The texts of ``--sweep``; none for no sweep.
        backend: The backend.
        given: Its options that were given.
        plot: The picture to draw.
        refused: What goes with no sweep, by its name, and whether it was asked for.

    Returns:
        The sweep; None for none.

    Raises:
        UsageError: For a text that is no sweep of this backend, and for what goes with none.
    """
    check_plot(plot)
    if not texts:
        if plot is not None:
            raise UsageError("--plot draws the curves of a sweep; name one, as --sweep batch=1,2,4")
        return None
    from latbench.campaign.input_sweep import parse_axis

    axes = tuple(parse_axis(text, backend) for text in texts)
    for axis in axes:
        if axis.name in given:
            raise UsageError(
                f"{axis.name} is given by --option and by --sweep; leave one of the two out"
            )
    for what in (name for name, asked in refused.items() if asked):
        raise UsageError(f"a sweep is of named networks on this machine; leave {what} out")
    return AskedSweep(axes, backend, plot)


def swept_points(
    sweep: AskedSweep, store: Store, architectures: Sequence[Any], models: Sequence[Model],
    networks: Sequence[str],
) -> list[SweepPoint]:  # fmt: skip
    """Lists the points of a sweep of what was named.

    Args:
        sweep: What is swept.
        store: The open store, of whose space the architectures are.
        architectures: The architectures that were named.
        models: The models that were named.
        networks: The texts of the published networks among them.

    Returns:
        The points, network by network.

    Raises:
        UsageError: For no network, and for one that cannot be resized.
    """
    from latbench.backends import require
    from latbench.campaign.input_sweep import RESOLUTION, Base, sweep_points
    from latbench.models import Model

    bases = []
    for architecture in architectures:
        one = of_architecture(store.space, architecture)
        bases.append(Base(Model(one.name, one.network), architecture))
    bases += map(Base, models)
    if not bases:
        raise UsageError(
            "a sweep is of named networks; name some, with --network, --model or as architectures"
        )
    sized = next((text for text in networks if "@" in text), None)
    if sized and any(axis.name == RESOLUTION for axis in sweep.axes):
        raise UsageError(
            f"{quoted(sized)} names a resolution, which is swept; leave "
            f"{quoted('@' + sized.partition('@')[2])} out"
        )
    different = {str(base.architecture or base.model): base for base in bases}
    points = sweep_points(sweep.axes, sweep.backend, list(different.values()))
    for backend in dict.fromkeys(p.backend for p in points):
        require(backend)
    return points


def measure_points(
    store: Store, points: Sequence[SweepPoint], settings: dict[str, Any]
) -> SweepOutcome:
    """Measures the points of a sweep with a bar a campaign.

    Args:
        store: The open store.
        points: The points.
        settings: The protocol, the options and further arguments of ``measure_sweep``.

    Returns:
        What was measured.
    """
    from latbench.campaign.input_sweep import measure_sweep
    from latbench.cli.common import interruptible
    from latbench.cli.round_bars import kept
    from latbench.progress import Bars, of_campaign

    bars = Bars()

    @contextmanager
    def bar(title: str) -> Iterator[Callable[[Progress], None]]:
        with bars.bar(title) as step:
            yield of_campaign(step)

    with interruptible(kept(store)):
        return measure_sweep(store, points, **settings, bar=bar)


def read_swept(
    path: Path, points: Sequence[SweepPoint], outcome: SweepOutcome
) -> list[tuple[SweepPoint, Answer]]:
    """Reads what a store knows of each point of a sweep, in the sets that were filled."""
    from latbench.backends import backend_spec
    from latbench.comparison.answers import answer
    from latbench.store import Store
    from latbench.store.occasions import SetNoise

    with Store(path) as store:
        sets = [(s, SetNoise.read(store, s.id)) for s in store.sets() if s.id in outcome.set_ids]
        by_options = {repr(sorted(s.set.options.items())): (s, noise) for s, noise in sets}
        found = []
        for p in points:
            of = by_options[repr(sorted(backend_spec(p.backend)[1].items()))]
            told = answer(store, *of, p.name, str(p.measured), p.model.network, p.backend.requests)
            found.append((p, told))
        return found


def tell_swept(
    found: Sequence[tuple[SweepPoint, Answer]], plot: Path | None, as_json: bool
) -> None:
    """Prints the table of a sweep and what it says, or JSON, and draws the curves."""
    from latbench.campaign.input_sweep import value_text

    if plot is not None and any(a.latency_s is not None for _, a in found):
        from latbench.report.picture import picture_of_sweep, save_picture

        axes = list(found[0][0].at)
        save_picture(picture_of_sweep(axes, [_curve_point(p, a) for p, a in found]), plot)
    if as_json:
        print_json([row_of(a) | {"sweep": p.at, "network": p.base} for p, a in found])
        return
    rows = [
        {
            "network": p.base,
            **{name: value_text(value) for name, value in p.at.items()},
            "latency of a run": latency_text(a),
            "images/s": number(a.images_per_s, 4),
            "memory": METRICS["memory"].show(a.costs["memory"]),
            "multiply-adds": f"{a.network.macs:,}",
        }
        for p, a in found
        if a.latency_s is not None
    ]
    if rows:
        show(rows, False, "sweep", dict.fromkeys(rows[0], str))
    for sentence in sweep_sentences(found):
        console.print(sentence, soft_wrap=True)
    if plot is not None and rows:
        console.print(f"picture: {plot}", soft_wrap=True)


def _curve_point(p: SweepPoint, a: Answer) -> dict[str, Any]:
    from latbench.campaign.input_sweep import value_text

    low, high = a.interval_s or (None, None)
    return {
        "network": p.base, "at": {k: value_text(v) for k, v in p.at.items()},
        "latency_s": a.latency_s, "low_s": low, "high_s": high, "images_per_s": a.images_per_s,
    }  # fmt: skip


def sweep_sentences(found: Sequence[tuple[SweepPoint, Answer]]) -> list[str]:
    """Says of each network which neighbouring points cannot be told apart, and where it has its
    highest throughput."""
    sentences = []
    for base in dict.fromkeys(p.base for p, _ in found):
        own = [(p, a) for p, a in found if p.base == base and a.latency_s is not None]
        sentences += _not_told(base, own)
        if len(own) > 1:
            sentences.append(_highest(base, own))
    return sentences


def _not_told(base: str, own: Sequence[tuple[SweepPoint, Answer]]) -> list[str]:
    """The points that follow each other along an axis and whose order cannot be told."""
    from latbench.comparison.answers import judge

    neighbours = []
    for name in own[0][0].at if own else ():
        for i, one in enumerate(own):
            following = (o for o in own[i + 1 :] if _differing(one[0], o[0]) == [name])
            neighbours += [(one, other) for other in itertools.islice(following, 1)]
    judged = judge([(a, b) for (_, a), (_, b) in neighbours]) if neighbours else []
    return [
        f"whether {base} is faster at {_at(p)} or at {_at(q)} cannot be told: {found.why}"
        for ((p, _), (q, _)), found in zip(neighbours, judged, strict=True)
        if not found.told
    ]


def _highest(base: str, own: Sequence[tuple[SweepPoint, Answer]]) -> str:
    """The point of the highest throughput, beside the next best one."""
    from latbench.comparison.answers import judge, seconds_an_image

    (p, best), (q, second), *_ = sorted(own, key=lambda one: seconds_an_image(one[1]))
    (judged,) = judge([(best, second)], seconds_an_image)
    more = seconds_an_image(second) / seconds_an_image(best) - 1
    beside = (
        f"{short_percent(more)} more than at {_at(q)}" if judged.told
        else f"which cannot be told from that at {_at(q)}"
    )  # fmt: skip
    return (
        f"{base} computes the most images a second at {_at(p)}: {number(best.images_per_s, 4)}, "
        f"{beside}"
    )


def _differing(p: SweepPoint, q: SweepPoint) -> list[str]:
    return [name for name in p.at if p.at[name] != q.at[name]]


def _at(p: SweepPoint) -> str:
    from latbench.campaign.input_sweep import value_text

    return ", ".join(f"{name}={value_text(value)}" for name, value in p.at.items())
