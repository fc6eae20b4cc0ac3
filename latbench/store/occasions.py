"""The means to check a set: its occasions, its sentinels, and the state the machine was in."""

from __future__ import annotations

from latbench.store.file import Store
from latbench.store.repeats import sentinels as of_set
from latbench.store.repeats import spread
from latbench.store.schema import store_errors
from latbench.store.summary import usual_canary_s
from latbench.timing.noise import MOVED

Key = tuple[str, int, int | None, int | None]


def next_occasion(store: Store, set_id: int) -> int:
    """Returns the number of the next run of a campaign that fills a set: 1 for the first one."""
    with store_errors(store.path):
        query = "SELECT max(occasion), count(*) FROM main.measurements WHERE set_id = ?"
        last, rows = store.connection.execute(query, (set_id,)).fetchone()
    return int(last) + 1 if last is not None else 1 + (rows > 0)


def sentinels(store: Store, set_id: int, n: int | None = None) -> list[tuple[str, int]]:
    """Returns the architectures by which a set is checked at another occasion, each with the repeat
    of its next timing.

    See ``latbench.store.repeats.sentinels``. With ``n`` so many of all those that were measured,
    spread over the range of their latencies.
    """
    db = store.connection
    with store_errors(store.path):
        found = of_set(db, set_id) if n is None else spread(db, set_id, n)
    return [(str(store.space.unrank(rank)), repeat) for rank, repeat in found]


def disturbed_rows(store: Store, set_id: int, occasion: int) -> list[Key]:
    """Returns the rows of an occasion in whose block the canary was slower than it usually is
    beside the set by ``latbench.timing.noise.MOVED`` or more: architecture, repeat, sample index,
    seed."""
    db = store.connection
    with store_errors(store.path):
        rows = db.execute(
            "SELECT rank, repeat, sample_index, seed FROM main.measurements"
            " WHERE set_id = ? AND occasion = ? AND status = 'ok' AND canary_s > ?",
            (set_id, occasion, (1 + MOVED) * usual_canary_s(db, set_id)),
        ).fetchall()
    return [
        (str(store.space.unrank(rank)), repeat, index, seed) for rank, repeat, index, seed in rows
    ]
