"""What the rows of a set say together. A million rows take about a second."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

import numpy as np

from latbench.html import table
from latbench.metric import LATENCY
from latbench.noise import WIDE
from latbench.numerals import percent
from latbench.protocol import noise_floor
from latbench.spaces import AnySpace
from latbench.store.records import MeasurementSet, SetSummary

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
    """Counts, noise floor and anchor of a set."""
    ok, named, failed, rows, noisy, rejected = db.execute(
        "SELECT total(repeat = 0 AND status = 'ok'),"
        " total(repeat = 0 AND status = 'ok' AND sample_index IS NULL),"
        " total(repeat = 0 AND status = 'failed'), total(status = 'ok'),"
        " total(status = 'ok' AND half_width > ?), total(rejected)"
        " FROM main.measurements WHERE set_id = ?",
        (WIDE, set_id),
    ).fetchone()
    pairs = _pairs(db, set_id, "relative")
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
        noise_floor=noise_floor([a for a, _ in pairs], [b for _, b in pairs]),
        anchor_s=anchor_s(db, set_id),
        throttled=_counted(db, set_id, "throttled"),
        errors=_counted(db, set_id, "error") if failed else {},
    )


def _networks(db: sqlite3.Connection, space: AnySpace, set_id: int) -> int:
    """How many different networks the measured architectures of a set are."""
    rows = db.execute(
        "SELECT rank FROM main.measurements WHERE set_id = ? AND repeat = 0 AND status = 'ok'",
        (set_id,),
    )
    ranks = np.fromiter((rank for (rank,) in rows), np.int64)
    return len(np.unique(space.canonical_ranks(ranks)))


def _counted(db: sqlite3.Connection, set_id: int, column: str) -> dict[str, int]:
    """In how many rows of a set a column has each of its texts, the most frequent first."""
    return dict(
        db.execute(
            f"SELECT {column}, count(*) FROM main.measurements WHERE set_id = ?"
            f" AND {column} IS NOT NULL GROUP BY {column} ORDER BY count(*) DESC, {column}",
            (set_id,),
        ).fetchall()
    )


def _pairs(db: sqlite3.Connection, set_id: int, column: str) -> list[tuple[float, float]]:
    """A column of the first timings and the retests of the same architectures.

    As with ``anchor_s``, named ones count only where there is no sample.
    """
    query = (
        f"SELECT a.{column}, b.{column} FROM main.measurements b JOIN main.measurements a"
        " ON a.set_id = b.set_id AND a.rank = b.rank AND a.repeat = 0"
        " WHERE b.set_id = ? AND b.repeat = 1 AND a.status = 'ok' AND b.status = 'ok'"
        f" AND a.{column} > 0 AND b.{column} > 0"
    )
    sampled = db.execute(f"{query} AND a.sample_index IS NOT NULL", (set_id,)).fetchall()
    return sampled or db.execute(query, (set_id,)).fetchall()


def noise_floor_of(db: sqlite3.Connection, set_id: int, column: str) -> float | None:
    """The noise floor (fraction) of a column of ``METRIC_COLUMNS``; None without retests."""
    pairs = _pairs(db, set_id, column)
    return noise_floor([a for a, _ in pairs], [b for _, b in pairs])


def noise_of(db: sqlite3.Connection, set_id: int, rank: int, metric: str) -> float | None:
    """See ``Store.noise``; ``rank`` is the architecture's number."""
    column = METRIC_COLUMNS[metric]
    rows = db.execute(
        f"SELECT {column}, half_width FROM main.measurements"
        f" WHERE set_id = ? AND rank = ? AND status = 'ok' AND {column} > 0",
        (set_id, rank),
    ).fetchall()
    if not rows:
        return None
    known = [noise_floor_of(db, set_id, column)]
    values = [value for value, _ in rows]
    if len(values) > 1:
        known.append(2 * (max(values) - min(values)) / (max(values) + min(values)))
    if metric == LATENCY.name:
        # Of the mean of the timings, which is what is judged.
        known.append(math.hypot(*(half_width for _, half_width in rows)) / len(rows))
    # One visit alone has an interval without end.
    return max((n for n in known if n is not None and math.isfinite(n)), default=None)


def anchor_s(db: sqlite3.Connection, set_id: int) -> float | None:
    """The canary's median time over a set in seconds.

    Named architectures count only where there is no sample, so that measuring what a search found
    does not move the labels that it was found with.
    """
    column = "SELECT canary_s FROM main.measurements WHERE set_id = ? AND status = 'ok'"
    for condition in (" AND sample_index IS NOT NULL", ""):
        anchors = [value for (value,) in db.execute(column + condition, (set_id,))]
        if anchors:
            return float(np.median(anchors))
    return None


def sets_table(caption: str, sets: Sequence[SetSummary]) -> str:
    """The sets as an HTML table."""
    columns = ("set", "backend", "device", "measured", "failed", "noise floor", "canary")
    rows = [
        (s.id, s.set.backend, s.set.device, f"{s.ok:,}", f"{s.failed:,}", percent(s.noise_floor),
         LATENCY.show(s.anchor_s))
        for s in sets
    ]  # fmt: skip
    return table(caption, columns, rows)
