"""The means to check a set: its occasions, its sentinels, and the state the machine was in."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from latbench.store.file import Store
from latbench.store.repeats import Pairs, between, inside, repeated, spread
from latbench.store.repeats import sentinels as of_set
from latbench.store.schema import store_errors
from latbench.store.summary import usual_canary_s
from latbench.timing.noise import MOVED

TaskKey = tuple[str, int, int | None, int | None]


def next_occasion(store: Store, set_id: int) -> int:
    """Returns the number of the next run of a campaign that fills a set: 1 for the first one."""
    with store_errors(store.path):
        query = "SELECT max(occasion), count(*) FROM main.measurements WHERE set_id = ?"
        last, rows = store.connection.execute(query, (set_id,)).fetchone()
    return int(last) + 1 if last is not None else 1 + (rows > 0)


def sentinels(
    store: Store, set_id: int, n: int | None = None, models: Container[str] = ()
) -> list[tuple[str, int]]:
    """Returns the architectures by which a set is checked at another occasion, each with the repeat
    of its next timing; see ``latbench.store.repeats.sentinels``.

    Args:
        store: The store of the set.
        set_id: The number of the set.
        n: So many of all those that were measured, spread over the range of their latencies; None
            takes the set's sentinels.
        models: The texts of the models that are at hand; others cannot be timed.

    Returns:
        Texts of architectures and models, and repeats.
    """
    db = store.connection
    with store_errors(store.path):
        found = of_set(db, set_id, models) if n is None else spread(db, set_id, n, models)
    return [(store.text(key), repeat) for key, repeat in found]


def disturbed_rows(store: Store, set_id: int, occasion: int) -> list[TaskKey]:
    """Returns the rows of an occasion in whose block the canary was slower than it usually is
    beside the set by ``latbench.timing.noise.MOVED`` or more: architecture, repeat, sample index,
    seed."""
    db = store.connection
    with store_errors(store.path):
        rows = db.execute(
            "SELECT key, repeat, sample_index, seed FROM main.measurements"
            " WHERE set_id = ? AND occasion = ? AND status = 'ok' AND canary_s > ?",
            (set_id, occasion, (1 + MOVED) * usual_canary_s(db, set_id)),
        ).fetchall()
    return [(store.text(key), repeat, index, seed) for key, repeat, index, seed in rows]


@dataclass(frozen=True, eq=False)
class Timings:
    """The timings of one architecture or model in a set: how many (``repeats``), their mean in
    units of the canary (NaN for none), the root mean square of the relative half-widths of their
    95 % intervals, and the occasion and the end (seconds since 1970) of each."""

    repeats: int
    relative: float
    half_width: float
    moments: tuple[tuple[int, float], ...]

    @classmethod
    def read(cls, store: Store, set_id: int, text: str) -> Timings:
        """Reads those of the architecture or the model with a text."""
        with store_errors(store.path):
            rows = store.connection.execute(
                "SELECT half_width, relative, coalesce(occasion, 0), finished"
                " FROM main.measurements WHERE set_id = ? AND key = ? AND status = 'ok'"
                " ORDER BY repeat",
                (set_id, store.key(text)),
            ).fetchall()
        widths = finite_widths([row[0] for row in rows])
        moments = tuple((int(occasion), float(at)) for *_, occasion, at in rows)
        if not rows:
            return cls(0, math.nan, 0.0, ())
        relative = float(np.mean([row[1] for row in rows]))
        return cls(len(rows), relative, float(np.sqrt((widths**2).mean())), moments)


@dataclass(frozen=True, eq=False)
class SetNoise:
    """The noise of a set: the pairs of timings of one network ``inside`` an occasion and of those
    ``apart`` (n, 2), the half-widths of all its timings, and the canary's seconds beside them."""

    inside: Pairs
    apart: Pairs
    half_widths: Pairs
    canary_s: Pairs

    @classmethod
    def read(cls, store: Store, set_id: int) -> SetNoise:
        """Reads that of a set."""
        with store_errors(store.path):
            groups = repeated(store.connection, set_id, "relative")
            rows = store.connection.execute(
                "SELECT half_width, canary_s FROM main.measurements"
                " WHERE set_id = ? AND status = 'ok' AND canary_s > 0",
                (set_id,),
            ).fetchall()
        return cls(
            inside(groups), between(groups), finite_widths([row[0] for row in rows]),
            np.array([row[1] for row in rows], float),
        )  # fmt: skip


def finite_widths(values: Sequence[float | None]) -> Pairs:
    """Returns half-widths as numbers: one that is not finite says that there was no telling."""
    return np.asarray(np.nan_to_num(np.array(values, float), nan=0.0, posinf=10.0))
