"""One side of a comparison: the timings of a set, or of a part of it, as columns."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latbench.errors import NotEnoughData, SpaceMismatchError, UsageError
from latbench.spaces import AnySpace
from latbench.store.file import Store
from latbench.store.keys import Numbers, number_of, numbers
from latbench.store.occasions import finite_widths
from latbench.store.records import Ints, MeasurementSet, SetSummary
from latbench.store.repeats import between, inside, repeated
from latbench.store.schema import store_errors
from latbench.store.summary import anchor_of
from latbench.timing.noise import MIN_PAIRS, Floors, floor_for
from latbench.timing.protocol import noise_floor

Floats = npt.NDArray[np.float64]
MIN_ROWS = 3  # architectures; an interval of fewer says nothing
Window = tuple[float, float]
ALWAYS: Window = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Side:
    """The timings of a set that were finished in a window of time.

    One entry an architecture or model, by rising ``ranks`` (the numbers of ``latbench.store.keys``;
    ``models`` has the texts of models by theirs): ``log_relative`` is the mean logarithm of its
    ``repeats`` timings in units of the canary, ``half_width`` the root mean square of their
    relative 95 % half-widths, ``sampled`` whether a sample drew it. ``pairs`` (n, 2) are timings of
    one architecture in one occasion, ``apart`` (n, 2) those in occasions that follow each other, in
    the window or not (``latbench.store.repeats``). ``canary_s`` is the canary beside every timing
    in the order of finishing, ``timed`` which architecture that was (its place in ``ranks``) and
    ``block`` in which block, by rising numbers (each its own where blocks are not known),
    ``in_common`` what the timings of each architecture have in common (``_in_common``),
    ``anchor_s`` as ``latbench.store.summary`` defines it, and ``first`` and ``last`` when the first
    and the last row was finished (seconds since 1970).
    """

    path: Path
    space: AnySpace
    set_id: int
    set: MeasurementSet
    ranks: Numbers
    log_relative: Floats
    repeats: Ints
    half_width: Floats
    sampled: npt.NDArray[np.bool_]
    pairs: Floats
    apart: Floats
    canary_s: Floats
    timed: Ints
    block: Ints
    in_common: Floats
    anchor_s: float
    first: float
    last: float
    failed: int
    models: Mapping[int, str] = field(default_factory=dict)

    def text(self, rank: int) -> str:
        """Returns the text of the architecture or model with a number."""
        return self.models.get(rank) or str(self.space.unrank(rank))

    @property
    def noise_floor(self) -> float | None:
        """Returns the noise floor of the window's timings, a fraction; None where none was
        repeated."""
        return noise_floor(*self.pairs.T)

    @property
    def floors(self) -> Floors:
        """Returns both noise floors; that between occasions is of the whole set."""
        return Floors(self.noise_floor, noise_floor(*self.apart.T))

    @property
    def repeats_of(self) -> Floats:
        """Returns the pairs (n, 2) by which a timing of this side is judged beside those of another
        one, which cross occasions: ``apart``, where there are enough and they differ by more."""
        if len(self.apart) < MIN_PAIRS or self.floors.between != floor_for(self.floors, True):
            return self.pairs
        return self.apart


def read_side(
    store: Store, summary: SetSummary, window: Window = ALWAYS, fewest: int = MIN_ROWS
) -> Side:
    """Reads the timings of a set from ``window[0]`` to before ``window[1]``, seconds since 1970.

    Args:
        store: The store of the set.
        summary: The set.
        window: The time in which timings were finished.
        fewest: The number of architectures that a side needs.

    Returns:
        The side.

    Raises:
        NotEnoughData: For fewer than ``fewest`` architectures.
        UsageError: For foreign measurements.
    """
    if summary.foreign:
        raise UsageError(
            f"set {summary.id} of {store.path} was measured elsewhere, once and beside no canary, "
            "so that no change can be told from noise; set measurements of latbench side by side"
        )
    with store_errors(store.path):
        again = repeated(store.connection, summary.id, "relative")
        rows = store.connection.execute(
            "SELECT key, repeat, sample_index IS NOT NULL, relative, half_width, canary_s,"
            " finished, coalesce(occasion, 0), coalesce(block, -1)"
            " FROM main.measurements WHERE set_id = ? AND status = 'ok' AND relative > 0"
            " AND canary_s > 0 AND finished >= ? AND finished < ? ORDER BY key, repeat",
            (summary.id, *window),
        ).fetchall()
        models = {number_of(r[0]): r[0] for r in rows if isinstance(r[0], str)}
        rows = sorted(((number_of(key), *rest) for key, *rest in rows), key=lambda row: row[0])
    # An empty cell is NaN. Ranks are taken apart: a float64 cannot hold them all.
    ranks, starts, places, repeats = np.unique(
        numbers(store.space.size, [r[0] for r in rows]),
        return_index=True, return_inverse=True, return_counts=True,
    )  # fmt: skip
    if len(ranks) < fewest:
        when = "" if window == ALWAYS else f" {_when(window)}"
        raise NotEnoughData(
            f"set {summary.id} ({summary.set.backend}) of {store.path} has {len(ranks)} measured "
            f"architectures{when}; setting it beside another needs {fewest}"
        )
    _, sampled, relative, half_width, canary_s, finished, *where = np.array(
        [r[1:] for r in rows], np.float64
    ).T
    counts = np.asarray(repeats, np.int64)
    widths = finite_widths(half_width)
    seen = [[t for t in group if window[0] <= t.finished < window[1]] for group in again]
    drawn = sampled > 0
    anchors = canary_s[drawn] if drawn.any() else canary_s
    in_time = np.argsort(finished, kind="stable")
    return Side(
        path=store.path,
        space=store.space,
        set_id=summary.id,
        set=summary.set,
        ranks=ranks,
        log_relative=np.add.reduceat(np.log(relative), starts) / counts,
        repeats=counts,
        half_width=np.sqrt(np.add.reduceat(widths**2, starts) / counts),
        sampled=drawn[starts],
        pairs=inside(seen),
        apart=between(again),
        canary_s=canary_s[in_time],
        timed=places[in_time],
        block=_blocks(*(part[in_time] for part in where)),
        in_common=_in_common(places, where[0], counts),
        anchor_s=anchor_of(anchors, summary.set.protocol.version),
        first=float(finished.min()),
        last=float(finished.max()),
        failed=summary.failed,
        models=models,
    )


def _blocks(occasion: Floats, block: Floats) -> Ints:
    """Rising numbers of the blocks of rows in the order of finishing; a row without is its own."""
    begins = (np.diff(occasion, prepend=-1) != 0) | (np.diff(block, prepend=-2) != 0) | (block < 0)
    return np.cumsum(begins) - 1


def _in_common(timed: Ints, occasion: Floats, repeats: Ints) -> Floats:
    """Returns by how much the mean of an architecture's timings varies more than that of as many
    independent ones, in variances of one timing.

    Timings of one occasion share a session of the canary. Those of several differ by it as well,
    so that only how unevenly they lie counts; of a single one it does not show, and counts whole.
    """
    pairs, counts = np.unique(np.column_stack([timed, occasion]), axis=0, return_counts=True)
    of = pairs[:, 0].astype(np.int64)
    weights = np.bincount(of, (counts / repeats[of]) ** 2, len(repeats))
    return np.where(np.bincount(of, minlength=len(repeats)) > 1, weights - 1 / repeats, 1.0)


def _when(window: Window) -> str:
    """A window with one end, in local time."""
    after = window[0] > ALWAYS[0]
    at = datetime.datetime.fromtimestamp(window[0] if after else window[1])
    return f"from {at:%Y-%m-%d %H:%M} on" if after else f"before {at:%Y-%m-%d %H:%M}"


def pair_sides(
    a: Path,
    b: Path,
    backend: str | None = None,
    sets: tuple[int, int] | None = None,
    split: float | None = None,
    fewest: int = MIN_ROWS,
) -> list[tuple[Side, Side]]:
    """Pairs the sets of two stores (or of one, when ``a`` is ``b``) that belong side by side.

    A model that changed has another text in the second store. Where each of them has one model of
    a name, these two stand for each other (``by_name``).

    Args:
        a: The path of the first store.
        b: The path of the second store.
        backend: The backend whose sets are paired; None takes all.
        sets: The numbers of one set of each store. Without them, sets of the same backend are
            paired: those of equal options on the same device where there are several.
        split: Seconds since 1970; rows finished before then are the first side and the others the
            second.
        fewest: The number of architectures that each side needs.

    Returns:
        The two sides of each pair.

    Raises:
        SpaceMismatchError: For different spaces.
        UsageError: When no backend is in both, or when several sets of one match.
        NotEnoughData: When a side is too small.
    """
    with Store(a, need_space=False) as first, Store(b, need_space=False) as second:
        if first.space != second.space:
            raise SpaceMismatchError(
                f"{a} holds measurements of {first.space}, {b} of {second.space}; only stores of "
                "one space can be set side by side"
            )
        windows = (ALWAYS, ALWAYS) if split is None else ((-math.inf, split), (split, math.inf))
        if sets is not None:
            found = [(first.find_set(None, sets[0]), second.find_set(None, sets[1]))]
        else:
            found = _matching(first, second, backend, within=split is not None and a == b)
        for one, other in found:
            _same_backend(first, second, one, other)
        sides = [
            (
                read_side(first, one, windows[0], fewest),
                read_side(second, other, windows[1], fewest),
            )
            for one, other in found
        ]
    return [(one, by_name(other, one)) for one, other in sides]


def name_of(text: str) -> str:
    """Returns the name in a model's text, ``name@digest``."""
    return text.rpartition("@")[0]


def by_name(side: Side, other: Side) -> Side:
    """Returns a side in which changed models have the numbers that ``other`` has them by.

    A model changed where its name is that of one model here and one there, whose texts differ.
    """
    ours, theirs = _unmatched(side, other), _unmatched(other, side)
    renumbered = {ours[name]: theirs[name] for name in ours.keys() & theirs.keys()}
    if not renumbered:
        return side
    kind = side.ranks.dtype
    ranks = np.array([renumbered.get(int(rank), int(rank)) for rank in side.ranks], kind)
    order = np.argsort(ranks, kind="stable")
    return replace(
        side,
        ranks=ranks[order],
        log_relative=side.log_relative[order],
        repeats=side.repeats[order],
        half_width=side.half_width[order],
        sampled=side.sampled[order],
        timed=np.argsort(order, kind="stable")[side.timed],
        in_common=side.in_common[order],
        models={renumbered.get(number, number): text for number, text in side.models.items()},
    )


def _unmatched(side: Side, other: Side) -> dict[str, int]:
    """The numbers of the models that the other side does not have, by the names that are those of
    one of them only."""
    left = {n: name_of(text) for n, text in side.models.items() if n not in other.models}
    counts = Counter(left.values())
    return {name: number for number, name in left.items() if counts[name] == 1}


def unpaired(
    a: Path, b: Path, pairs: Sequence[tuple[Side, Side]], backend: str | None = None
) -> tuple[list[SetSummary], list[SetSummary]]:
    """Returns the sets of each of two stores that have measurements and no counterpart.

    Args:
        a: The path of the first store.
        b: The path of the second store.
        pairs: The sides that were paired.
        backend: The backend whose sets are meant; None takes all.

    Returns:
        The sets of ``a`` and those of ``b``.
    """
    with Store(a, need_space=False) as first, Store(b, need_space=False) as second:
        ours, theirs = (
            [
                s for s in store.sets()
                if s.ok and backend in (None, s.set.backend) and s.id not in paired
            ]
            for store, paired in (
                (first, {one.set_id for one, _ in pairs}),
                (second, {other.set_id for _, other in pairs}),
            )
        )  # fmt: skip
    return ours, theirs


def _same_backend(a: Store, b: Store, one: SetSummary, other: SetSummary) -> None:
    if one.set.backend != other.set.backend:
        raise UsageError(
            f"set {one.id} of {a.path} is of {one.set.backend}, set {other.id} of {b.path} of "
            f"{other.set.backend}; changes are those of one backend (`latbench "
            "compare-backends` sets several side by side)"
        )


def _matching(
    a: Store, b: Store, backend: str | None, within: bool
) -> list[tuple[SetSummary, SetSummary]]:
    """The pairs of sets of each backend; ``within`` pairs every set with itself, and a store
    beside itself gives pairs of its own sets."""
    ours, theirs = ([s for s in store.sets() if s.ok] for store in (a, b))
    names = [n for n in dict.fromkeys(s.set.backend for s in ours) if backend in (None, n)]
    found = []
    for name in names:
        pairs = [(s, t) for s in ours for t in theirs if s.set.backend == t.set.backend == name]
        if within:
            pairs = [(s, t) for s, t in pairs if s.id == t.id]
        elif a.path == b.path:
            pairs = [(s, t) for s, t in pairs if s.id < t.id]
        alike = [(s, t) for s, t in pairs if _alike(s.set, t.set)]
        pairs = pairs if len(pairs) == 1 else alike or pairs
        if len(pairs) > 1:
            listed = ", ".join(f"{s.id} and {t.id}" for s, t in pairs)
            raise UsageError(
                f"several sets of {name} can be set side by side ({listed}); choose with "
                "`--sets A B` (see `latbench store`)"
            )
        found += pairs
    if not found and a.path == b.path and backend in (None, *names):
        raise UsageError(
            f"{a.path} has one set of each backend; name a second store, or a date with `--split`"
        )
    if not found:
        held = [", ".join(dict.fromkeys(s.set.backend for s in side)) for side in (ours, theirs)]
        wanted = f"no measurements of {backend} are" if backend else "no backend is"
        raise UsageError(
            f"{wanted} in both: {a.path} holds {held[0] or 'none'}, {b.path} holds "
            f"{held[1] or 'none'}; changes are those of one backend (`latbench compare-backends` "
            "sets several side by side)"
        )
    return found


def _alike(a: MeasurementSet, b: MeasurementSet) -> bool:
    same = (a.options, a.device, a.protocol.version)
    return same == (b.options, b.device, b.protocol.version)
