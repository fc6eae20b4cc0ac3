"""The summary of a set's rows. A million rows take about a second (2026-11-24)."""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from latbench.spaces import AnySpace
from latbench.store.keys import MAX_INTEGER, RowKey, number_of, numbers
from latbench.store.records import Done, MeasurementSet, SetSummary, set_from_conditions
from latbench.store.repeats import between, bias_by_size, inside, repeated
from latbench.text import html_table, percent
from latbench.timing.metric import LATENCY
from latbench.timing.noise import MOVED, WIDE
from latbench.timing.protocol import noise_floor

# The column that holds a metric; latency is relative to the canary there.
METRIC_COLUMNS = {
    "latency": "relative",
    "memory": "memory_bytes",
    "device-memory": "device_memory_bytes",
    "size": "model_bytes",
    "energy": "energy_j",
}


def summarize(
    db: sqlite3.Connection, space: AnySpace, set_id: int, conditions: MeasurementSet
) -> SetSummary:
    """Summarises a set: its counts, noise floor and anchor.

    Args:
        db: The connection to the store's file.
        space: The store's space.
        set_id: The number of the set.
        conditions: What all rows of the set have in common.

    Returns:
        The summary.
    """
    ok, named, failed, rows, noisy, rejected = db.execute(
        "SELECT total(repeat = 0 AND status = 'ok'),"
        " total(repeat = 0 AND status = 'ok' AND sample_index IS NULL),"
        " total(repeat = 0 AND status = 'failed'), total(status = 'ok'),"
        " total(status = 'ok' AND half_width > ?), total(rejected)"
        " FROM main.measurements WHERE set_id = ?",
        (WIDE, set_id),
    ).fetchone()
    groups = repeated(db, set_id, "relative")
    pairs, later = inside(groups), between(groups)
    anchor = anchor_s(db, set_id)
    return SetSummary(
        id=set_id,
        set=conditions,
        ok=int(ok),
        networks=_networks(db, space, set_id) if space.repeats_networks else int(ok),
        named=int(named),
        failed=int(failed),
        rows=int(rows),
        retested=len(pairs),
        noisy=int(noisy),
        rejected=int(rejected),
        noise_floor=noise_floor(*pairs.T),
        rechecked=len(later),
        floor_between=noise_floor(*later.T),
        size_bias=bias_by_size(later * (anchor or 1.0)),
        disturbed=_disturbed(db, set_id) if conditions.protocol.version > 1 else None,
        anchor_s=anchor,
        throttled=_counted(db, set_id, "throttled"),
        errors=_counted(db, set_id, "error") if failed else {},
        fallbacks=_counted(db, set_id, "fallbacks"),
        tables=_tables(db, set_id),
    )


def _networks(db: sqlite3.Connection, space: AnySpace, set_id: int) -> int:
    """Counts the different networks of a set's measured architectures; every model is one."""
    query = (
        "SELECT key FROM main.measurements"
        " WHERE set_id = ? AND repeat = 0 AND status = 'ok' AND key {} ''"
    )
    plain, others = (db.execute(query.format(which), (set_id,)) for which in ("<", ">="))
    found = np.fromiter((key for (key,) in plain), np.int64)
    odd = [key for (key,) in others]
    large = [number_of(key) for key in odd if not isinstance(key, str)]
    ranks = np.concatenate([numbers(space.size, found), numbers(space.size, large)])
    return len(np.unique(space.canonical_ranks(ranks))) + len(odd) - len(large)


def done_of(db: sqlite3.Connection, size: int, set_id: int, seed: int, widest: float) -> Done:
    """Reads which rows of a set are there, see ``Store.done``.

    Args:
        db: The connection to the store's file.
        size: The number of architectures of the store's space.
        set_id: The number of the set.
        seed: The seed of the sample that is asked about.
        widest: The half-width (a fraction) beyond which a row does not count.

    Returns:
        The rows.
    """
    rows = "FROM main.measurements WHERE set_id = ? AND coalesce(half_width, 0) <= ?"
    index = "CASE WHEN seed = ? THEN coalesce(sample_index, -1) ELSE -1 END"
    # Keys that are no INTEGER come after all that are one, and take longer.
    plain, others = (
        db.execute(
            f"SELECT key, {index} {rows} AND repeat = 0 AND key {which} ''",
            (min(seed, MAX_INTEGER), set_id, widest),
        )
        for which in ("<", ">=")
    )
    pairs = np.fromiter(itertools.chain.from_iterable(plain), np.int64)
    odd = [(number_of(key), int(at)) for key, at in others]
    again = db.execute(f"SELECT key {rows} AND repeat = 1", (set_id, widest))
    return Done(
        np.concatenate([numbers(size, pairs[::2]), numbers(size, [n for n, _ in odd])]),
        np.concatenate([pairs[1::2], np.array([at for _, at in odd], np.int64)]),
        numbers(size, [number_of(key) for (key,) in again]),
    )


def _counted(db: sqlite3.Connection, set_id: int, column: str) -> dict[str, int]:
    """In how many rows of a set a column has each of its texts, the most frequent first."""
    return dict(
        db.execute(
            f"SELECT {column}, count(*) FROM main.measurements WHERE set_id = ?"
            f" AND {column} IS NOT NULL GROUP BY {column} ORDER BY count(*) DESC, {column}",
            (set_id,),
        ).fetchall()
    )


def _tables(db: sqlite3.Connection, set_id: int) -> int:
    query = "SELECT count(*) FROM main.latency_tables WHERE set_id = ?"
    return int(db.execute(query, (set_id,)).fetchone()[0])


def failures_of(db: sqlite3.Connection, set_id: int) -> dict[RowKey, str]:
    """Returns why rows of a set failed, by their keys."""
    rows = db.execute(
        "SELECT key, error FROM main.measurements WHERE set_id = ? AND status = 'failed'"
        " ORDER BY key, repeat",
        (set_id,),
    )
    return {key: str(error) for key, error in rows}


def noise_floor_of(db: sqlite3.Connection, set_id: int, column: str) -> float | None:
    """Returns the noise floor (fraction) of a column of ``METRIC_COLUMNS``; None without
    retests."""
    return noise_floor(*inside(repeated(db, set_id, column)).T)


def floor_between_of(db: sqlite3.Connection, set_id: int, column: str) -> float | None:
    """Returns the floor between occasions (fraction) of a column; None where none was measured."""
    return noise_floor(*between(repeated(db, set_id, column)).T)


def noise_of(db: sqlite3.Connection, set_id: int, key: RowKey, metric: str) -> float | None:
    """Returns how far two measurements of one architecture may lie apart (see ``Store.noise``).

    Args:
        db: The connection to the store's file.
        set_id: The number of the set.
        key: The key of the architecture or model.
        metric: The name of the metric.

    Returns:
        The noise, a fraction; None where nothing is known of it.
    """
    column = METRIC_COLUMNS[metric]
    rows = db.execute(
        f"SELECT {column}, half_width FROM main.measurements"
        f" WHERE set_id = ? AND key = ? AND status = 'ok' AND {column} > 0",
        (set_id, key),
    ).fetchall()
    if not rows:
        return None
    known = [noise_floor_of(db, set_id, column)]
    values = [value for value, _ in rows]
    if len(values) > 1:
        known.append(2 * (max(values) - min(values)) / (max(values) + min(values)))
    widths = [half_width for _, half_width in rows if half_width is not None]
    if metric == LATENCY.name and widths:  # a foreign measurement has none
        # The noise of the mean of the timings, which is what is judged.
        known.append(math.hypot(*widths) / len(widths))
    # One visit alone has an interval without end.
    return max((n for n in known if n is not None and math.isfinite(n)), default=None)


def usual_canary_s(db: sqlite3.Connection, set_id: int) -> float:
    """Returns the canary's median seconds beside a set's rows, NaN for no row."""
    times = db.execute(
        "SELECT canary_s FROM main.measurements WHERE set_id = ? AND status = 'ok'", (set_id,)
    ).fetchall()
    return float(np.median(times)) if times else math.nan


def _disturbed(db: sqlite3.Connection, set_id: int) -> float | None:
    """The share of rows in whose block the canary was slower than usual by ``MOVED`` or more."""
    (share,) = db.execute(
        "SELECT avg(canary_s > ?) FROM main.measurements WHERE set_id = ? AND status = 'ok'",
        ((1 + MOVED) * usual_canary_s(db, set_id), set_id),
    ).fetchone()
    return None if share is None else float(share)


def anchor_s(db: sqlite3.Connection, set_id: int) -> float | None:
    """Returns the canary's time over a set in seconds, see ``anchor_of``.

    Named architectures count only where there is no sample, so that measuring what a search found
    does not move the labels that it was found with.
    """
    column = "SELECT canary_s FROM main.measurements WHERE set_id = ? AND status = 'ok'"
    (conditions,) = db.execute(
        "SELECT conditions FROM main.sets WHERE id = ?", (set_id,)
    ).fetchone()
    version = set_from_conditions(conditions).protocol.version
    for condition in (" AND sample_index IS NOT NULL", ""):
        anchors = [value for (value,) in db.execute(column + condition, (set_id,))]
        if anchors:
            return anchor_of(anchors, version)
    return None


def anchor_of(canary_s: npt.ArrayLike, version: int) -> float:
    """Returns a set's anchor in seconds: what stands for the canary's times beside all of its rows.

    The fastest runs of protocol 2 have no outliers, and their geometric mean is what is known best
    (``latbench.comparison.anchor``); of protocol 1, it was the median.
    """
    times = np.asarray(canary_s, float)
    return float(np.median(times) if version == 1 else np.exp(np.log(times).mean()))


def sets_table(caption: str, sets: Sequence[SetSummary]) -> str:
    """Returns the sets as an HTML table."""
    columns = ("set", "backend", "device", "measured", "failed", "noise floor", "canary")
    rows = [
        (s.id, s.set.backend, s.set.device, f"{s.ok:,}", f"{s.failed:,}", percent(s.noise_floor),
         LATENCY.show(s.canary_s))
        for s in sets
    ]  # fmt: skip
    return html_table(caption, columns, rows)
