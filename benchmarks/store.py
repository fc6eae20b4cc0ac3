"""A store of a million rows: opening, resuming and summing up, and bytes a row.

The rows are made up (DARTS architectures by number, one in ten timed twice) and written in bulk;
what is timed is what every command does with them. Raw timings, for every tenth row, are written
after the file's size was taken.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Outcome, figure, main

from latbench.campaign.plan import Plan, picked_for_retest
from latbench.protocol import Protocol, Visit, estimate
from latbench.spaces import AnySpace, darts
from latbench.store import MeasurementSet, Store
from latbench.store.doctor import examine
from latbench.store.raw import pack
from latbench.store.schema import INSERT_ROW, INSERT_TIMINGS

SHARE = 0.1
VISITS = (Visit((2e-3,), (1e-3, 1e-3), 1e-5),) * 20
# What a row of a real campaign has besides its timing: rejected visits, host, and its other costs.
OTHERS = (2, "measuring-host-01", None, 0.07, 31_000_000, None, 12_000_000, None)


def rows(set_id: int, ranks: list[int], picked: list[bool]) -> Iterator[tuple[Any, ...]]:
    """Finished rows of equal timings, in the order of the table's key."""
    e = estimate(VISITS)
    figures = (e.relative, e.half_width, e.raw_s, e.canary_s)
    for i in np.argsort(ranks).tolist():
        for repeat in (0, 1) if picked[i] else (0,):
            row = (set_id, ranks[i], repeat, 0, i, "ok", *figures, "target", None, 1.7e9, *OTHERS)
            yield row


def fill(path: Path, space: AnySpace, n: int) -> int:
    """Makes the store of ``n`` sampled rows and their retests; returns the number of rows."""
    picked = picked_for_retest(0, n, [], SHARE).tolist()
    ranks = np.unique(np.random.default_rng(0).integers(space.size, size=n + 100))
    ranks = np.random.default_rng(1).permutation(ranks)[:n]
    with Store(path, space) as store:
        conditions = MeasurementSet(
            "onnxruntime", {}, "1", "CPU", Protocol(), str(space.reference()), {}
        )
        set_id = store.add_set(conditions)
        store.connection.execute("BEGIN")
        store.connection.executemany(INSERT_ROW, rows(set_id, ranks.tolist(), picked))
        store.connection.execute("COMMIT")
    return n + sum(picked)


def add_raw_timings(path: Path) -> None:
    blob = pack(VISITS)
    with Store(path) as store:
        db = store.connection
        keys = db.execute("SELECT set_id, rank, repeat FROM main.measurements WHERE rank % 10 = 0")
        db.execute("BEGIN")
        db.executemany(INSERT_TIMINGS, ((*key, blob) for key in keys.fetchall()))
        db.execute("COMMIT")


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def resume(path: Path, n: int) -> None:
    """What a campaign does before its first measurement: all rows are there but the last block."""
    with Store(path) as store:
        done = store.done(1, 0)
        plan = Plan(store.space, 0, n + 24, [], done, size=24, retest=SHARE)
        assert next(iter(plan))[0].sample_index == n


def benchmark(quick: bool) -> Outcome:
    n = 100_000 if quick else 1_000_000
    space = darts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        start = time.perf_counter()
        total = fill(path, space, n)
        filling_s = time.perf_counter() - start
        size = path.stat().st_size
        add_raw_timings(path)
        raw_bytes = (path.stat().st_size - size) / (total / 10)
        opening_s = seconds(lambda: Store(path).close())
        resuming_s = seconds(lambda: resume(path, n))
        with Store(path) as store:
            summary_s = seconds(store.sets)
        doctor_s = seconds(lambda: examine(path))
    return Outcome(
        [
            figure("open", opening_s, "s", total, at_most=2),
            figure("resume", resuming_s, "s", total, at_most=2),
            figure("summary", summary_s, "s", total, at_most=2),
            figure("bytes a row without raw timings", size / total, "B", total, at_most=300),
            figure("bytes of a row's raw timings", raw_bytes, "B", total // 10),
            figure("latbench doctor", doctor_s, "s", total),
            figure("filling in bulk", filling_s, "s", total),
        ]
    )


if __name__ == "__main__":
    main("A store of a million rows", benchmark)
