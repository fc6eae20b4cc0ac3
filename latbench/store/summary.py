"""What the rows of a set say together. A million rows take about a second."""

from __future__ import annotations

import sqlite3

import numpy as np

from latbench.protocol import noise_floor
from latbench.store.records import MeasurementSet, SetSummary


def summarize(db: sqlite3.Connection, set_id: int, conditions: MeasurementSet) -> SetSummary:
    """Counts, noise floor and anchor of a set."""
    counts = dict(
        db.execute(
            "SELECT status, count(*) FROM main.measurements"
            " WHERE set_id = ? AND repeat = 0 GROUP BY status",
            (set_id,),
        ).fetchall()
    )
    pairs = db.execute(
        "SELECT a.relative, b.relative FROM main.measurements b JOIN main.measurements a"
        " ON a.set_id = b.set_id AND a.rank = b.rank AND a.repeat = 0"
        " WHERE b.set_id = ? AND b.repeat = 1 AND a.status = 'ok' AND b.status = 'ok'",
        (set_id,),
    ).fetchall()
    return SetSummary(
        id=set_id,
        set=conditions,
        ok=counts.get("ok", 0),
        failed=counts.get("failed", 0),
        retested=len(pairs),
        noise_floor=noise_floor([a for a, _ in pairs], [b for _, b in pairs]),
        anchor_s=anchor_s(db, set_id),
    )


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
