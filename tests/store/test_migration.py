"""Files of schema version 1, made by the text that made them then."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple
from pathlib import Path

import pytest
from stored import SPACE, make_set, row

from latbench.errors import StoreError
from latbench.store import Measurement, Store
from latbench.store.doctor import examine
from latbench.store.raw import pack

VERSION_1 = """
PRAGMA application_id = 1279349826;
PRAGMA user_version = 1;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sets (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, backend TEXT NOT NULL,
    device TEXT NOT NULL, conditions TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE measurements (
    set_id INTEGER NOT NULL REFERENCES sets(id), architecture TEXT NOT NULL,
    repeat INTEGER NOT NULL, sample_index INTEGER, status TEXT NOT NULL,
    relative REAL, half_width REAL, raw_s REAL, canary_s REAL, stop TEXT, error TEXT,
    visits BLOB, finished REAL NOT NULL,
    PRIMARY KEY (set_id, architecture, repeat)
) WITHOUT ROWID;
"""

ROWS = [
    row(0), row(1, factor=2.0), row(0, repeat=1, factor=1.1),
    row(2, status="failed", estimate=None, stop=None, visits=(), error="no"),
    row(9, sample_index=None), row(4, architecture=str(SPACE.sample(7, 4))),
]  # fmt: skip


def write(path: Path, rows: list[Measurement] = ROWS) -> None:
    conditions = make_set()
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_1)
        db.execute("INSERT INTO meta VALUES ('space', ?)", (json.dumps(SPACE.identity()),))
        db.execute(
            "INSERT INTO sets VALUES (3, ?, 'onnxruntime', 'CPU', ?, 5.0)",
            (conditions.key, conditions.conditions),
        )
        for r in rows:
            figures = astuple(r.estimate) if r.estimate else (None,) * 4
            db.execute(
                "INSERT INTO measurements VALUES (3, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 6.0)",
                (
                    *(r.architecture, r.repeat, r.sample_index, r.status),
                    *(*figures, r.stop, r.error, pack(r.visits)),
                ),
            )
    db.close()


def test_an_old_file_is_brought_up_and_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write(path)
    with Store(path) as store:
        (summary,) = store.sets()
        dataset = store.dataset()
        rows = store.connection.execute(
            "SELECT architecture, repeat, seed, sample_index, status, error, finished"
            " FROM measurements"
        ).fetchall()
    assert (summary.id, summary.ok, summary.failed, summary.retested) == (3, 4, 1, 1)
    assert len(dataset) == 3
    # A seed is known where the default seed's sample has the architecture at that index.
    seeds = [0, 0, 0, 0, None, None]
    assert sorted(rows, key=str) == sorted(
        (
            (r.architecture, r.repeat, seed, r.sample_index, r.status, r.error, 6.0)
            for r, seed in zip(ROWS, seeds, strict=True)
        ),
        key=str,
    )
    assert examine(path) == []


def test_it_is_brought_up_once(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write(path)
    with Store(path, SPACE) as store, Store(path, SPACE) as other:
        store.add(3, row(20))
        assert len(other.done(3, 0).first) == len(ROWS)


def test_a_row_that_is_not_in_the_space_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write(path, [row(0), row(1, architecture="|zero~0|", status="failed", estimate=None)])
    before = path.read_bytes()
    with pytest.raises(StoreError, match="left as it is"):
        Store(path)
    assert path.read_bytes() == before
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM measurements").fetchone() == (2,)
