"""A store of a million rows: opening, resuming and summing up, bytes a row; reports of 100,000.

The rows are made up (DARTS architectures by number, one in ten timed twice) and written in bulk;
what is timed is what every command does with them. Raw timings, for every tenth row, are written
after the file's size was taken. The reports are those of a store of 100,000 architectures, of an
experiment of three predictors on it (made up, too), and of two such stores side by side, each by
the command and in a process of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figure, Outcome, figure, main

from latbench.campaign.plan import Plan, picked_for_retest
from latbench.spaces import AnySpace, darts
from latbench.store import MeasurementSet, Store
from latbench.store.doctor import examine
from latbench.store.raw import pack
from latbench.store.schema import INSERT_ROW, INSERT_TIMINGS
from latbench.timing.protocol import Protocol, Visit, estimate

SHARE = 0.1
REPORTED = 100_000
VISITS = (Visit((2e-3,), waited_s=1e-5),) * 30
# What a row of a real campaign has besides its timing: rejected visits, host, and its other costs;
# nothing is said of the occasion, the block, its canaries and the machine.
OTHERS = (2, "measuring-host-01", None, 0.07, 31_000_000, None, 12_000_000, None, *4 * (None,))


def rows(set_id: int, ranks: list[int], picked: list[bool]) -> Iterator[tuple[Any, ...]]:
    """Finished rows of equal timings, in the order of the table's key."""
    e = estimate(VISITS, 1e-3)
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
        keys = db.execute("SELECT set_id, key, repeat FROM main.measurements WHERE key % 10 = 0")
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


def spread_out(path: Path, noise: float, seed: int) -> None:
    """Gives every row a latency of its own: by its architecture, times the noise of a session."""
    random = np.random.default_rng(seed)
    with Store(path) as store:
        db = store.connection
        keys = db.execute("SELECT key, repeat FROM main.measurements").fetchall()
        factors = 1 + np.array([key % 997 for key, _ in keys]) / 997
        factors *= np.exp(noise * random.normal(size=len(keys)))
        db.execute("BEGIN")
        db.executemany(
            "UPDATE main.measurements SET relative = relative * ?"
            " WHERE set_id = 1 AND key = ? AND repeat = ?",
            ((f, *key) for f, key in zip(factors.tolist(), keys, strict=True)),
        )
        db.execute("COMMIT")


def make_experiment(folder: Path, store: Path) -> None:
    """An experiment's folder as ``latbench run`` leaves it, with predictions of every row."""
    (folder / "predictors" / "onnxruntime").mkdir(parents=True)
    shutil.copy(store, folder / "measurements.sqlite")
    (folder / "sets.json").write_text('{"onnxruntime": 1}')
    (folder / "experiment.toml").write_text(
        'title = "Made up"\n[space]\nname = "darts"\n[[backends]]\nname = "onnxruntime"\n'
    )
    with Store(store) as opened:
        truth = opened.dataset().values
    random = np.random.default_rng(0)
    results = [
        {
            "name": name,
            "predicted": (truth * np.exp(0.02 * random.normal(size=len(truth)))).tolist(),
            "metrics": {"mape": [0.016, 0.015, 0.017]},
        }
        for name in ("mlp", "lightgbm", "ridge-layers")
    ]
    comparison = folder / "predictors" / "onnxruntime" / "comparison.json"
    comparison.write_text(json.dumps({"results": results}))


def report(command: str, *stores: str | Path, page: Path) -> tuple[float, float]:
    """Seconds of a command that writes a page, from the start of the process, and its megabytes."""
    arguments = [sys.executable, "-m", "latbench", command, *map(str, stores), "--out", str(page)]
    taken = seconds(lambda: subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL))
    return taken, page.stat().st_size / 1e6


def reports(folder: Path) -> list[Figure]:
    a, b = folder / "a.sqlite", folder / "b.sqlite"
    for seed, path in enumerate((a, b)):
        fill(path, darts(), REPORTED)
        spread_out(path, 0.005, seed)
    make_experiment(folder / "experiment", a)
    pages = {
        "report STORE": (a,),
        "report EXPERIMENT": (folder / "experiment",),
        "changes A B": (a, b),
    }
    found = []
    for name, arguments in pages.items():
        taken, size = report(name.split()[0], *arguments, page=folder / "page.html")
        name = f"latbench {name}"
        found += [
            figure(name, taken, "s", REPORTED, at_most=10),
            figure(f"{name}: page", size, "MB", REPORTED, at_most=3),
        ]
    return found


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
        pages = reports(Path(folder))
    return Outcome(
        [
            figure("open", opening_s, "s", total, at_most=2),
            figure("resume", resuming_s, "s", total, at_most=2),
            figure("summary", summary_s, "s", total, at_most=2),
            figure("bytes a row without raw timings", size / total, "B", total, at_most=300),
            figure("bytes of a row's raw timings", raw_bytes, "B", total // 10),
            figure("latbench doctor", doctor_s, "s", total),
            figure("filling in bulk", filling_s, "s", total),
            *pages,
        ]
    )


if __name__ == "__main__":
    main("A store of a million rows", benchmark)
