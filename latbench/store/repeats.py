"""The two noise floors and the sentinels, from repeated timings of the same architectures.

An *occasion* is one run of a campaign that filled a set. Timings of one occasion differ by the
**floor inside**. Those of different occasions, a quarter of an hour or more apart, differ by the
**floor between**, which is what a figure of today is off by tomorrow. Which of the two a decision
stands on, ``latbench.timing.noise.floor_for`` says.
"""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from latbench.store.keys import RowKey

T = TypeVar("T")
Pairs = npt.NDArray[np.float64]
BETWEEN_S = 15 * 60.0
# Classes of size that a bias is stated for, each with as many architectures.
SIZES = 3
LEAST_SENTINELS, MOST_SENTINELS, SENTINEL_SHARE = 6, 24, 0.025


class Timing(NamedTuple):
    """One timing of an architecture or model that has several; ``value`` is of the column asked
    for."""

    key: RowKey
    repeat: int
    occasion: int
    finished: float
    value: float
    sampled: int  # 1 for one of a sample


@dataclass(frozen=True)
class SizeBias:
    """A bias between occasions of the architectures of ``low`` to ``high`` (in the column's unit).

    ``bias`` is how much longer they are at a later occasion, on average, and ``half_width`` that of
    its 95 % interval, both fractions.
    """

    low: float
    high: float
    pairs: int
    bias: float
    half_width: float


def repeated(db: sqlite3.Connection, set_id: int, column: str) -> list[list[Timing]]:
    """Returns all timings of each architecture of a set that was timed more than once, in their
    order.

    Named architectures and models count only where no sampled one was: what a search found is not
    what the space is like.
    """
    rows = db.execute(
        f"SELECT key, repeat, coalesce(occasion, 0), finished, {column},"
        " max(sample_index IS NOT NULL) OVER (PARTITION BY key) FROM main.measurements"
        f" WHERE set_id = :set AND status = 'ok' AND {column} > 0 AND key IN"
        " (SELECT key FROM main.measurements WHERE set_id = :set AND repeat > 0)"
        " ORDER BY key, finished, repeat",
        {"set": set_id},
    )
    timings = map(Timing._make, rows)
    groups = [list(g) for _, g in itertools.groupby(timings, key=lambda t: t.key)]
    groups = [group for group in groups if len(group) > 1]
    sampled = [group for group in groups if group[0].sampled]
    return sampled or groups


def inside(groups: Sequence[Sequence[Timing]]) -> Pairs:
    """Returns the timings that follow each other in one occasion, ``(n, 2)``."""
    pairs = [
        (a.value, b.value)
        for group in groups
        for a, b in itertools.pairwise(group)
        if not _apart(a, b)
    ]
    return np.array(pairs, np.float64).reshape(-1, 2)


def between(groups: Sequence[Sequence[Timing]]) -> Pairs:
    """Returns the first timings of occasions that follow each other, ``(n, 2)``."""
    pairs = []
    for group in groups:
        firsts: list[Timing] = []
        for timing in group:
            if not firsts or _apart(firsts[-1], timing):
                firsts.append(timing)
        pairs += [(a.value, b.value) for a, b in itertools.pairwise(firsts)]
    return np.array(pairs, np.float64).reshape(-1, 2)


def _apart(a: Timing, b: Timing) -> bool:
    return a.occasion != b.occasion and b.finished - a.finished >= BETWEEN_S


def bias_by_size(pairs: Pairs) -> tuple[SizeBias, ...]:
    """Returns the bias of the second of each pair, by size; nothing for fewer than two pairs a
    class."""
    if len(pairs) < 2 * SIZES:
        return ()
    by_size = np.argsort(pairs.prod(axis=1))
    return tuple(bias_of(pairs[part]) for part in np.array_split(by_size, SIZES))


def bias_of(pairs: Pairs) -> SizeBias:
    """Returns the bias of the second of each of two pairs or more."""
    from scipy import stats  # a third of a second (2026-11-29), seldom needed by `latbench store`

    sizes = np.exp(np.log(pairs).mean(axis=1))
    changes = np.log(pairs[:, 1] / pairs[:, 0])
    n = len(changes)
    half_width = float(stats.t.ppf(0.975, n - 1) * changes.std(ddof=1) / math.sqrt(n))
    return SizeBias(
        float(sizes.min()), float(sizes.max()), n, math.expm1(changes.mean()), half_width
    )


def sentinels(
    db: sqlite3.Connection, set_id: int, models: Container[str] = ()
) -> list[tuple[RowKey, int]]:
    """Returns the architectures by which a set is checked, by key, each with the repeat that its
    next timing has; of the models those at hand, whose texts are ``models``.

    They are spread over the range of latencies, and taken from those of the first fifth of the
    rows that have a retest: timed at the beginning and, again, half a campaign later. Once any was
    timed a third time, those are the sentinels.
    """
    repeats = repeated(db, set_id, "relative")
    groups = [g for g in repeats if not isinstance(g[0].key, str) or g[0].key in models]
    checked = [group for group in groups if any(t.repeat > 1 for t in group)]
    if not checked:
        (rows,) = db.execute(
            "SELECT count(*) FROM main.measurements"
            " WHERE set_id = ? AND repeat = 0 AND status = 'ok'", (set_id,)
        ).fetchone()  # fmt: skip
        wanted = round(min(max(LEAST_SENTINELS, SENTINEL_SHARE * rows), MOST_SENTINELS))
        early = sorted(groups, key=lambda group: group[0].finished)
        first = early[: max(2 * wanted, len(early) // 5)]
        checked = _spread(sorted(first, key=lambda group: group[0].value), wanted)
    return [(group[0].key, max(2, max(t.repeat for t in group) + 1)) for group in checked]


def spread(
    db: sqlite3.Connection, set_id: int, n: int, models: Container[str] = ()
) -> list[tuple[RowKey, int]]:
    """Chooses architectures of a set over the range of their latencies.

    Args:
        db: The connection to the store's file.
        set_id: The number of the set.
        n: The number of architectures.
        models: The texts of the models that are at hand, which may be chosen, too.

    Returns:
        What was chosen, as ``sentinels`` has it.
    """
    rows = db.execute(
        "SELECT key, min(relative), max(repeat) FROM main.measurements"
        " WHERE set_id = ? AND status = 'ok' GROUP BY key ORDER BY min(relative)", (set_id,)
    ).fetchall()  # fmt: skip
    rows = [row for row in rows if not isinstance(row[0], str) or row[0] in models]
    return [(key, max(2, last + 1)) for key, _, last in _spread(rows, n)]


def _spread(ordered: Sequence[T], wanted: int) -> list[T]:
    """So many of them, at equal steps."""
    places = np.linspace(0, len(ordered) - 1, min(wanted, len(ordered))).round().astype(int)
    return [ordered[place] for place in np.unique(places).tolist()]
