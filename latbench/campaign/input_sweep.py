"""Sweeps: the same networks at several batches, resolutions or values of an option of the backend.

A batch and a resolution make other networks, which are measured in one campaign. A value of an
option, such as ``threads``, makes another measurement set; two sets are filled in turns, the first
timings of each and then the retests of each, so that no set has a time of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from latbench.backends import backend_spec, make_backend, option_types
from latbench.backends.base import Backend
from latbench.backends.options import type_text
from latbench.campaign.campaign import CampaignOptions, CampaignOutcome, Progress, run_campaign
from latbench.errors import UsageError, quoted
from latbench.models import Model
from latbench.networks.resizing import Pixels, parse_pixels, pixels_text, resized
from latbench.store import Store
from latbench.timing.protocol import Protocol

BATCH, RESOLUTION = "batch", "resolution"
MOST_POINTS = 1000
Value = int | Pixels
# Shows a bar of a campaign that is called so, and gives what reports to it.
Bar = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True)
class Axis:
    """An axis of a sweep: "batch", "resolution" or the name of an option of the backend, with its
    values in the order in which they were asked for."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Base:
    """A network that is to be swept: a model, or an architecture of the store's space, of which
    ``model`` is the network under its short name."""

    model: Model
    architecture: Any = None


@dataclass(frozen=True)
class SweepPoint:
    """A point of a sweep at which a network is measured: its values by the names of the axes, and
    what is measured, an architecture or a model, on which backend."""

    base: str
    at: dict[str, Value] = field(hash=False)
    backend: Backend
    model: Model
    measured: Any = field(hash=False)

    @property
    def name(self) -> str:
        """Returns what it is called in tables: the network with its batch and resolution."""
        return self.model.name


@dataclass(frozen=True)
class SweepOutcome:
    """The counts of what the campaigns of a sweep added to their sets, as ``CampaignOutcome`` has
    them."""

    set_ids: tuple[int, ...]
    measured: int
    failed: int
    already_there: int
    seconds: float


def value_text(value: Value) -> str:
    """Writes a value as it was asked for."""
    return pixels_text(value) if isinstance(value, tuple) else str(value)


def parse_axis(text: str, backend: Backend) -> Axis:
    """Reads ``batch=1,2,4``, ``resolution=128,224x160`` or ``threads=1,2`` for a backend.

    Raises UsageError for what is none of these, for an option that the backend does not have or
    that is no whole number, and for values that are none, or repeated.
    """
    name, _, listed = (part.strip() for part in text.partition("="))
    if not name or not listed:
        raise UsageError(
            f"{quoted(text)} is no sweep; expected a name and values, such as batch=1,2,4,8, "
            "resolution=128,224x160 or threads=1,2"
        )
    if name not in (BATCH, RESOLUTION):
        _check_option(name, backend)
    values = tuple(_value(name, part.strip(), text) for part in listed.split(","))
    twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
    if twice is not None:
        raise UsageError(
            f"the sweep {quoted(text)} has {value_text(twice)} twice; name each value once"
        )
    return Axis(name, values)


def _check_option(name: str, backend: Backend) -> None:
    found = option_types(type(backend))
    whole = [
        option for option in found
        if type(getattr(backend, option)) is int
    ]  # fmt: skip
    if name in whole:
        return
    swept = ", ".join([BATCH, RESOLUTION, *whole])
    if name in found:
        raise UsageError(
            f"the option {name!r} of backend {backend.name!r} is {type_text(found[name])}, which "
            f"is not swept; {swept} are, and --option sets the others, one campaign each"
        )
    raise UsageError(
        f"backend {backend.name!r} has no option {name!r} to sweep; it takes a sweep of {swept}"
    )


def _value(name: str, text: str, sweep: str) -> Value:
    pixels = parse_pixels(text)
    wanted = "sizes in pixels such as 224 or 224x160" if name == RESOLUTION else "whole numbers"
    if pixels is None or min(pixels) < 1 or (name != RESOLUTION and "x" in text):
        raise UsageError(
            f"{quoted(text)} in the sweep {quoted(sweep)} is none of the {wanted} that {name} "
            "takes, from 1 to 999,999"
        )
    return pixels if name == RESOLUTION else pixels[0]


def sweep_points(axes: Sequence[Axis], backend: Backend, bases: Sequence[Base]) -> list[SweepPoint]:
    """Lists the points of a sweep, network by network, along all axes.

    Args:
        axes: What is swept.
        backend: The backend, with the options that are not swept.
        bases: The networks.

    Returns:
        The points. A network that is what it was keeps its name, so that what a store has of it is
        not measured again.

    Raises:
        UsageError: For an axis that is named twice, for more than ``MOST_POINTS`` points, and for a
            network that cannot take a batch or a resolution.
    """
    names = [axis.name for axis in axes]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UsageError(f"{twice} is swept twice; name all of its values in one --sweep")
    grid = [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]
    if len(grid) * len(bases) > MOST_POINTS:
        raise UsageError(
            f"the sweep has {len(grid) * len(bases):,} points; at most {MOST_POINTS:,} are "
            "measured at a time"
        )
    return [_point(base, at, backend) for base in bases for at in grid]


def _point(base: Base, at: dict[str, Value], backend: Backend) -> SweepPoint:
    own = {k: v for k, v in at.items() if k not in (BATCH, RESOLUTION)}
    spec, options = backend_spec(backend)
    batch, pixels = at.get(BATCH), at.get(RESOLUTION)
    assert not isinstance(batch, tuple)
    assert not isinstance(pixels, int)
    model = _model(base.model, batch, pixels)
    return SweepPoint(
        base=base.model.name,
        at=at,
        backend=make_backend(spec, **{**options, **own}) if own else backend,
        model=model,
        measured=base.architecture if model is base.model and base.architecture else model,
    )


def _model(model: Model, batch: int | None, pixels: Pixels | None) -> Model:
    """The model at a batch and a resolution, called by what is not its own."""
    if model.source is not None:
        return _of_file(model, batch, pixels)
    network = resized(model.network, model.name, batch, pixels)
    if network is model.network:
        return model
    name, old = model.name, model.network.input_shape
    if pixels is not None and pixels != old[2:]:
        name += f"@{pixels_text(pixels)}"
    if batch is not None and batch != old[0]:
        name += f" batch={batch}"
    return Model(name, network, model.weights)


def _of_file(model: Model, batch: int | None, pixels: Pixels | None) -> Model:
    """The model of an ONNX file at a batch, which is read again for it."""
    old = model.network.input_shape
    if pixels is not None and pixels != old[2:]:
        raise UsageError(
            f"{model.name} is an ONNX file of {'x'.join(map(str, old[2:]))} pixels; export it at "
            "other sizes, and measure the files"
        )
    if batch in (None, old[0]):
        return model
    return model.at_batch(batch, f"{model.name} batch={batch}")


def measure_sweep(
    store: Store, points: Sequence[SweepPoint], *, protocol: Protocol, options: CampaignOptions,
    bar: Bar, retry_failed: bool = False,
) -> SweepOutcome:  # fmt: skip
    """Measures the points of a sweep into a store; what it has already is left alone.

    Args:
        store: The open store.
        points: The points, of one backend at one or several values of an option.
        protocol: How one timing is taken.
        options: How the campaigns are run.
        bar: Makes the bar of each campaign.
        retry_failed: Whether rows that failed before are measured again.

    Returns:
        What was measured.

    Raises:
        LatbenchError: As ``run_campaign`` raises it.
    """
    backends = list(dict.fromkeys(p.backend for p in points))
    # The campaigns of a later round have only the retests left.
    rounds = [options]
    if len(backends) > 1 and options.retest:
        # What was compared with torch in the first round is what it was.
        rounds = [replace(options, retest=0.0), replace(options, parity=False)]
    found: list[list[CampaignOutcome]] = []
    for i, chosen in enumerate(rounds):
        found.append([])
        for backend in backends:
            own = [p for p in points if p.backend == backend]
            with bar(_title(backend, own[0], retests=i > 0)) as report:
                found[i].append(
                    run_campaign(
                        store, backend,
                        architectures=[p.measured for p in own if p.measured is not p.model],
                        models=[p.model for p in own if p.measured is p.model],
                        protocol=protocol, options=chosen, report=report,
                        retry_failed=retry_failed and i == 0,
                    )
                )  # fmt: skip
    each = [outcome for outcomes in found for outcome in outcomes]
    return SweepOutcome(
        set_ids=tuple(dict.fromkeys(o.set_id for o in each)),
        measured=sum(o.measured for o in each),
        failed=sum(o.failed for o in each),
        already_there=sum(o.already_there for o in found[-1]) - sum(
            o.measured + o.failed for outcomes in found[:-1] for o in outcomes
        ),
        seconds=sum(o.seconds for o in each),
    )  # fmt: skip


def _title(backend: Backend, point: SweepPoint, retests: bool) -> str:
    """How the bar of a campaign is called."""
    own = [f"{k}={v}" for k, v in point.at.items() if k not in (BATCH, RESOLUTION)]
    return " ".join([backend_spec(backend)[0], *own, *(["again"] if retests else [])])
