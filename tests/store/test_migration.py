"""Files of older schema versions; of 1 and 2 made by the text that made them then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import SPACE, contents, fill, make_set, row

from latbench.campaign.layer_timing import layer_space
from latbench.errors import StoreError, UsageError
from latbench.spaces import nasbench201
from latbench.store import Measurement, Store
from latbench.store.doctor import examine
from latbench.store.table_rows import StoredTable, put_table, steps_of, stored_tables
from latbench.timing.protocol import Estimate, Visit

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

VERSION_2 = """
PRAGMA application_id = 1279349826;
PRAGMA user_version = 2;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sets (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, backend TEXT NOT NULL,
    device TEXT NOT NULL, conditions TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE measurements (
    set_id INTEGER NOT NULL REFERENCES sets(id), rank INTEGER NOT NULL, repeat INTEGER NOT NULL,
    seed INTEGER, sample_index INTEGER, status TEXT NOT NULL,
    relative REAL, half_width REAL, raw_s REAL, canary_s REAL, stop TEXT, error TEXT,
    finished REAL NOT NULL,
    PRIMARY KEY (set_id, rank, repeat)
) WITHOUT ROWID;
CREATE TABLE timings (
    set_id INTEGER NOT NULL, rank INTEGER NOT NULL, repeat INTEGER NOT NULL, visits BLOB NOT NULL,
    PRIMARY KEY (set_id, rank, repeat)
) WITHOUT ROWID;
"""


def old_blob(r: Measurement) -> bytes | None:
    """Raw timings as versions 1 and 2 kept them, with no word of waiting."""
    flat: list[float] = []
    for v in r.visits:
        flat += [len(v.network_s), len(v.canary_s), *v.network_s, *v.canary_s]
    return np.array(flat, "<f4").tobytes() if flat else None


DRAWN = SPACE.with_sampler(1)  # as every store was before version 4


def old_row(index: int, seed: int = 0, **changes: Any) -> Measurement:
    return row(index, **{"architecture": str(DRAWN.sample(seed, index)), **changes})


ROWS = [
    old_row(0), old_row(1, factor=2.0), old_row(0, repeat=1, factor=1.1),
    old_row(2, status="failed", estimate=None, stop=None, visits=(), error="no"),
    old_row(9, sample_index=None), old_row(4, seed=7),
]  # fmt: skip


def write(path: Path, rows: list[Measurement] = ROWS, version: int = 1) -> None:
    conditions = make_set()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(VERSION_1 if version == 1 else VERSION_2)
        db.execute("INSERT INTO meta VALUES ('space', ?)", (json.dumps(SPACE.identity()),))
        db.execute(
            "INSERT INTO sets VALUES (3, ?, 'onnxruntime', 'CPU', ?, 5.0)",
            (conditions.key, conditions.conditions),
        )
        for r in rows:
            figures = astuple(r.estimate)[:4] if r.estimate else (None,) * 4
            result = (r.status, *figures, r.stop, r.error)
            if version == 1:
                db.execute(
                    "INSERT INTO measurements VALUES (3, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 6.0)",
                    (r.architecture, r.repeat, r.sample_index, *result, old_blob(r)),
                )
                continue
            key = (SPACE.rank(SPACE.parse(r.architecture)), r.repeat)
            db.execute(
                "INSERT INTO measurements VALUES (3, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 6.0)",
                (*key, r.seed, r.sample_index, *result),
            )
            if r.visits:
                db.execute("INSERT INTO timings VALUES (3, ?, ?, ?)", (*key, old_blob(r)))


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_file_is_brought_up_and_keeps_every_row(tmp_path: Path, version: int) -> None:
    path = tmp_path / "s.sqlite"
    write(path, version=version)
    with Store(path) as store:
        (summary,) = store.sets()
        dataset = store.dataset()
        rows = store.connection.execute(
            "SELECT architecture, repeat, seed, sample_index, status, error, finished"
            " FROM measurements"
        ).fetchall()
        assert store.space.sampler == 1
    assert (summary.id, summary.ok, summary.failed, summary.retested) == (3, 4, 1, 1)
    assert len(dataset) == 3
    # A seed is known where the default seed's sample has the architecture at that index.
    seeds = [0, 0, 0, 0, None, None] if version == 1 else [r.seed for r in ROWS]
    assert sorted(rows, key=str) == sorted(
        (
            (r.architecture, r.repeat, seed, r.sample_index, r.status, r.error, 6.0)
            for r, seed in zip(ROWS, seeds, strict=True)
        ),
        key=str,
    )
    assert examine(path) == []


@pytest.mark.parametrize("version", [1, 2])
def test_old_timings_are_kept_and_old_figures_stay_as_they_were(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "s.sqlite"
    # Its visits would be left out today, and must not be for a figure that counted them.
    bad = (Visit((1.0,), (1.0, 1.0)), Visit((8.0,), (1.0, 3.0)), Visit((16.0,), (1.0, 3.0)))
    write(path, [row(0, visits=bad, estimate=Estimate(16 / 3, 0.1, 8.0, 1.5))], version)
    with Store(path) as store:
        ((kept,),) = store.raw(3).values()
        relative, rejected, host = store.connection.execute(
            "SELECT relative, rejected, host FROM measurements"
        ).fetchone()
    assert kept == list(bad)
    assert (relative, rejected, host) == (16 / 3, None, None)
    assert examine(path) == []


@pytest.mark.parametrize("version", [1, 2])
def test_damaged_old_timings_leave_the_file_as_it_was(tmp_path: Path, version: int) -> None:
    path = tmp_path / "s.sqlite"
    write(path, version=version)
    with closing(sqlite3.connect(path)) as db, db:
        table = "measurements" if version == 1 else "timings"
        db.execute(f"UPDATE {table} SET visits = x'00'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="left as it is: raw timings"):
        Store(path)
    assert path.read_bytes() == before


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


def as_version_7(path: Path) -> None:
    """A store as schema version 7 had it: without what rows say of layers, and latency tables."""
    with closing(sqlite3.connect(path)) as db, db:
        for column in ("fallbacks", "steps"):
            db.execute(f"ALTER TABLE measurements DROP COLUMN {column}")
        db.execute("DROP TABLE latency_tables")
        db.execute("PRAGMA user_version = 7")


def without_layers(path: Path) -> dict[str, list[Any]]:
    """The contents of a store whose rows say nothing of layers."""
    found = contents(path)
    rows = [(*row[:-2], None, None) for row in found["measurements"]]
    return {**found, "measurements": rows, "latency_tables": []}


def test_version_7_gets_the_columns_of_layers_and_latency_tables(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    before = without_layers(path)
    as_version_7(path)
    with Store(path) as store:
        assert [s.fallbacks for s in store.sets()] == [{}, {}]
        assert stored_tables(store) == []
    assert contents(path) == before
    with Store(path) as store:
        store.add(1, row(20, fallbacks="Gelu by torch", steps=(1e-5, 2e-5)))
        put_table(store, StoredTable(1, "abc", {"model": "mine"}))
        assert store.sets()[0].fallbacks == {"Gelu by torch": 1}
        assert steps_of(store, 1, str(SPACE.sample(0, 20))) == (1e-5, 2e-5)
    assert examine(path) == []


def as_version_6(path: Path) -> None:
    """A store as schema version 6 had it: numbers in a column for integers."""
    as_version_7(path)
    with closing(sqlite3.connect(path)) as db, db:
        for table in ("measurements", "timings"):
            (text,) = db.execute(
                "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
            ).fetchone()
            before = text.replace("key NOT NULL", "rank INTEGER NOT NULL")
            before = before.replace("(set_id, key, repeat)", "(set_id, rank, repeat)")
            assert "key" not in before.replace("PRIMARY KEY", "")
            db.execute(f"ALTER TABLE {table} RENAME TO new_{table}")
            db.execute(before)
            db.execute(f"INSERT INTO {table} SELECT * FROM new_{table}")
            db.execute(f"DROP TABLE new_{table}")
        db.execute("PRAGMA user_version = 6")


def test_version_6_is_brought_up_without_touching_a_row(tmp_path: Path) -> None:
    path, new = fill(tmp_path / "s.sqlite"), tmp_path / "new.sqlite"
    shutil.copy(path, new)
    as_version_6(path)
    with Store(path) as store:
        assert len(store.dataset(set_id=1)) == 6
    assert contents(path) == without_layers(new)
    model = "mine@0123456789abcdef"
    with Store(path) as store:
        store.add(1, row(0, architecture=model, sample_index=None, seed=None))
        assert store.value(1, model) == pytest.approx(2e-3)
        (kind,) = store.connection.execute(
            "SELECT typeof(key) FROM main.measurements WHERE key = ?", (model,)
        ).fetchone()
    assert kind == "text"
    assert examine(path) == []


def test_a_table_of_single_layers_goes_on_in_todays_order(tmp_path: Path) -> None:
    """Version 1 of the space numbered layers as 64 samples have them."""
    space = layer_space(nasbench201(channels=4, cells=1, resolution=8))
    assert space.parent is not None
    old, path = space.renumbering(1), tmp_path / "layers.sqlite"
    assert old is not None
    assert sorted(old) == list(range(space.size))
    assert list(old) != list(range(space.size))
    first = space.parent.build(space.parent.reference()).layers[1]
    assert space.layer_kinds()[old[0]][0] == first.op
    with Store(path, space) as store:
        number = store.add_set(make_set())
        for k in range(space.size):  # as it was: row k stands for layer k of then
            store.add(number, row(k, architecture=str(space.unrank(k)), factor=1.0 + k))
    with closing(sqlite3.connect(path)) as db:
        # The settings as they were written then, with two of DARTS.
        config = {"cells": 8, "channels": 16} | space.identity()["config"]
        then = space.identity() | {"encoding_version": 1, "config": config}
        db.execute("UPDATE meta SET value = ? WHERE key = 'space'", (json.dumps(then),))
        db.commit()
    for _ in range(2):  # the second time there is nothing left to do
        with Store(path) as store:
            assert store.space == space
            found = store.relative(number)
            timed = store.raw(number)
        base = found[str(space.unrank(old[0]))][0]
        for k in range(space.size):
            text = str(space.unrank(old[k]))
            assert found[text][0] == pytest.approx(base * (1.0 + k))
            run, once = (timed[t][0][0].network_s[0] for t in (text, str(space.unrank(old[0]))))
            assert run == pytest.approx(once * (1.0 + k), rel=1e-3)


def test_an_unknown_version_of_an_encoding_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    with closing(sqlite3.connect(path)) as db:
        then = json.dumps(SPACE.identity() | {"encoding_version": 99})
        db.execute("UPDATE meta SET value = ? WHERE key = 'space'", (then,))
        db.commit()
    with pytest.raises(UsageError, match="with encoding 99"):
        Store(path)


def test_a_file_whose_space_cannot_be_made_is_left_for_the_version_that_can(tmp_path: Path) -> None:
    """As one of a plug-in whose settings are others now."""
    path = fill(tmp_path / "s.sqlite")
    as_version_6(path)
    with closing(sqlite3.connect(path)) as db:
        config = SPACE.identity()["config"] | {"gone": 1}
        then = json.dumps(SPACE.identity() | {"config": config})
        db.execute("UPDATE meta SET value = ? WHERE key = 'space'", (then,))
        db.commit()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="has no setting 'gone'"):
        Store(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (6,)
    assert path.read_bytes() == before
