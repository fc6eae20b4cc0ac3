"""By what a set is checked: its occasions, its sentinels, and the state the machine was in."""

from __future__ import annotations

import json
import sqlite3

import numpy as np

from latbench.noise import MOVED
from latbench.store.file import Store
from latbench.store.repeats import sentinels as of_set
from latbench.store.repeats import spread
from latbench.store.schema import store_errors, transaction

Key = tuple[str, int, int | None, int | None]


def next_occasion(store: Store, set_id: int) -> int:
    """The number of the next run of a campaign that fills a set: 1 for the first one."""
    with store_errors(store.path):
        query = "SELECT max(occasion), count(*) FROM main.measurements WHERE set_id = ?"
        last, rows = store.connection.execute(query, (set_id,)).fetchone()
    return int(last) + 1 if last is not None else 1 + (rows > 0)


def sentinels(store: Store, set_id: int, n: int | None = None) -> list[tuple[str, int]]:
    """The architectures by which a set is checked at another occasion, each with the repeat of its
    next timing; see ``latbench.store.repeats.sentinels``. With ``n`` so many of all those that were
    measured, spread over the range of their latencies."""
    db = store.connection
    with store_errors(store.path):
        found = of_set(db, set_id) if n is None else spread(db, set_id, n)
    return [(str(store.space.unrank(rank)), repeat) for rank, repeat in found]


def mark_moved(store: Store, set_id: int, occasion: int) -> list[Key]:
    """Says of every row of an occasion by how much the machine was slower in its block than it
    usually is (``moved``, a fraction), by the canary that shows it most. Gives the rows for which
    it was too much (``latbench.noise.MOVED``): architecture, repeat, sample index, seed.

    What is usual is the median over all rows of the set.
    """
    with store_errors(store.path), transaction(store.connection):
        moved = _moved_rows(store.connection, set_id, occasion)
    return [(str(store.space.unrank(rank)), *rest) for rank, *rest in moved]  # type: ignore[misc]


def _moved_rows(
    db: sqlite3.Connection, set_id: int, occasion: int
) -> list[tuple[int, int, int | None, int | None]]:
    """See ``mark_moved``; architectures by number."""
    rows = [
        (*key, number, json.loads(text))
        for *key, number, text in db.execute(
            "SELECT rank, repeat, sample_index, seed, occasion, canaries FROM main.measurements"
            " WHERE set_id = ? AND canaries IS NOT NULL", (set_id,)
        )
    ]  # fmt: skip
    names = {name for *_, found in rows for name in found}
    usual = {n: float(np.median([f[n] for *_, f in rows if n in f])) for n in names}
    moved = [
        (max((s / usual[name] - 1 for name, s in found.items()), default=0.0), key)
        for *key, number, found in rows
        if number == occasion
    ]
    db.executemany(
        "UPDATE main.measurements SET moved = ? WHERE set_id = ? AND rank = ? AND repeat = ?",
        [(value, set_id, rank, repeat) for value, (rank, repeat, *_) in moved],
    )
    return [(key[0], key[1], key[2], key[3]) for value, key in moved if value > MOVED]
