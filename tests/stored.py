"""Stores with a few rows, for tests: ``from stored import ...`` (see pyproject.toml)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from latbench.spaces import nasbench201
from latbench.store import Costs, Measurement, MeasurementSet, Store
from latbench.store.table_rows import StoredTable, put_table
from latbench.timing.protocol import Protocol, Visit, estimate

SPACE = nasbench201()
CANARY_S = 1.0e-3
VISITS = (Visit((2.0e-3, 2.2e-3), waited_s=1e-5),) * 4


def make_set(**changes: object) -> MeasurementSet:
    """A set of onnxruntime on a CPU, with some of its fields changed."""
    values = {
        "backend": "onnxruntime", "options": {"threads": 1}, "version": "1", "device": "CPU",
        "protocol": Protocol(), "canary": "compute", "machine": {"host": "a"},
    }  # fmt: skip
    return MeasurementSet(**{**values, **changes})  # type: ignore[arg-type]


def row(index: int, repeat: int = 0, factor: float = 1.0, **changes: object) -> Measurement:
    """A sampled architecture, its network's timings multiplied by ``factor``."""
    visits = tuple(
        Visit(tuple(t * factor for t in v.network_s), waited_s=v.waited_s) for v in VISITS
    )
    values = {
        "architecture": str(SPACE.sample(0, index)), "repeat": repeat, "sample_index": index,
        "seed": 0,
        "status": "ok", "estimate": estimate(visits, CANARY_S), "stop": "target", "visits": visits,
        "host": "a", "costs": Costs(memory_bytes=round(2**20 * factor), model_bytes=1000),
    }  # fmt: skip
    return Measurement(**{**values, **changes})  # type: ignore[arg-type]


def fill(path: Path, n: int = 6) -> Path:
    """A sound store: two sets, sampled, named, failed and retested rows, one with steps, and the
    plan of a latency table."""
    with Store(path, SPACE) as store:
        first = store.add_set(make_set())
        for i in range(n):
            store.add(first, row(i, factor=1 + i / 7))
        store.add(first, row(0, repeat=1, factor=1.05))
        store.add(first, row(n, status="failed", estimate=None, stop=None, visits=(), error="no"))
        store.add(first, row(n + 1, sample_index=None, seed=None))
        second = store.add_set(make_set(device="GPU"))
        store.add(second, row(1, factor=0.1, fallbacks="Gelu by torch", steps=(1e-4, 2.5e-5)))
        put_table(store, StoredTable(second, "0123456789abcdef", {"model": "mine", "mixed": {}}))
    return path


def contents(path: Path) -> dict[str, list[Any]]:
    """Every row of every table of a store."""
    tables = ("meta", "sets", "measurements", "timings", "latency_tables")
    with closing(sqlite3.connect(path)) as db:
        return {t: db.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in tables}
