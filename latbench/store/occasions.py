"""The means to check a set: its occasions, its sentinels, and the state the machine was in."""

from __future__ import annotations

from collections.abc import Container

from latbench.store.file import Store
from latbench.store.repeats import sentinels as of_set
from latbench.store.repeats import spread
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


def moments(store: Store, set_id: int, text: str) -> list[tuple[int, float]]:
    """Returns the occasion of each timing of an architecture or a model, by its text, and when it
    was finished (seconds since 1970)."""
    with store_errors(store.path):
        rows = store.connection.execute(
            "SELECT coalesce(occasion, 0), finished FROM main.measurements"
            " WHERE set_id = ? AND key = ? AND status = 'ok' ORDER BY repeat",
            (set_id, store.key(text)),
        ).fetchall()
    return [(int(occasion), float(finished)) for occasion, finished in rows]
