from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from stored import SPACE, contents, fill, make_set, row

from latbench.errors import SpaceMismatchError, StoreError, UsageError
from latbench.spaces import nasbench201
from latbench.store import Measurement, MeasurementSet, Store
from latbench.store.doctor import examine
from latbench.store.merge import merge
from latbench.store.table_rows import StoredTable, put_table, stored_tables


def store_of(path: Path, *rows: Measurement, conditions: MeasurementSet | None = None) -> Path:
    with Store(path, SPACE) as store:
        set_id = store.add_set(conditions or make_set())
        for measurement in rows:
            store.add(set_id, measurement)
    return path


def same_times(*paths: Path) -> None:
    """Rows that are equal in all stores, their moments included."""
    for path in paths:
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE measurements SET finished = 1.0")
            db.commit()


def test_sets_are_united_and_rows_are_added(tmp_path: Path) -> None:
    a = store_of(tmp_path / "a.sqlite", row(0), row(1))
    b = store_of(tmp_path / "b.sqlite", row(0, repeat=1, factor=1.1), row(2),
                 conditions=make_set(machine={"host": "b"}))  # fmt: skip
    c = store_of(tmp_path / "c.sqlite", row(0), conditions=make_set(device="GPU"))
    assert merge(tmp_path / "out.sqlite", [a, b, c]) == 5
    with Store(tmp_path / "out.sqlite") as store:
        cpu, gpu = store.sets()
        assert len(store.dataset(set_id=cpu.id)) == 3
    assert (cpu.ok, cpu.retested, gpu.ok) == (3, 1, 1)
    assert cpu.set.machine == {"host": "a"}
    assert examine(tmp_path / "out.sqlite") == []


def test_one_store_is_copied_whole(tmp_path: Path) -> None:
    path = fill(tmp_path / "a.sqlite")
    merge(tmp_path / "out.sqlite", [path, path])
    assert contents(tmp_path / "out.sqlite") == contents(path)


def test_latency_tables_are_united_and_those_that_differ_are_refused(tmp_path: Path) -> None:
    a = store_of(tmp_path / "a.sqlite", row(0))
    b = store_of(tmp_path / "b.sqlite", row(1))
    c = store_of(tmp_path / "c.sqlite", row(2), conditions=make_set(device="GPU"))
    for path, network, model in ((a, "1", "net"), (b, "2", "b"), (b, "1", "net"), (c, "1", "c")):
        with Store(path) as store:
            put_table(store, StoredTable(1, network, {"model": model}))
    merge(tmp_path / "out.sqlite", [a, b, c])
    with Store(tmp_path / "out.sqlite") as store:
        assert stored_tables(store) == [
            StoredTable(1, "1", {"model": "net"}),
            StoredTable(1, "2", {"model": "b"}),
            StoredTable(2, "1", {"model": "c"}),
        ]
        assert stored_tables(store, "2") == [StoredTable(1, "2", {"model": "b"})]
        assert [s.tables for s in store.sets()] == [2, 1]
    with Store(b) as store:
        put_table(store, StoredTable(1, "1", {"model": "net", "tiles": 1}))
    with pytest.raises(StoreError, match=r"b\.sqlite has another latency table of net .*--keep fi"):
        merge(tmp_path / "again.sqlite", [a, b])
    merge(tmp_path / "first.sqlite", [a, b], keep="first")
    with Store(tmp_path / "first.sqlite") as store:
        assert stored_tables(store)[0] == StoredTable(1, "1", {"model": "net"})


def test_a_row_that_differs_is_refused_unless_the_first_is_kept(tmp_path: Path) -> None:
    a = store_of(tmp_path / "a.sqlite", row(0), row(1))
    b = store_of(tmp_path / "b.sqlite", row(0, factor=1.5), row(1), row(2))
    same_times(a, b)
    with pytest.raises(StoreError, match=r"1 rows of .*b\.sqlite differ .*--keep first"):
        merge(tmp_path / "out.sqlite", [a, b])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.sqlite", "b.sqlite"]
    assert merge(tmp_path / "out.sqlite", [a, b], keep="first") == 3
    with Store(tmp_path / "out.sqlite") as store:
        assert store.value(1, row(0).architecture) == pytest.approx(2e-3)
    assert examine(tmp_path / "out.sqlite") == []


def test_raw_timings_are_part_of_a_row(tmp_path: Path) -> None:
    a = store_of(tmp_path / "a.sqlite", row(0))
    b = store_of(tmp_path / "b.sqlite", row(0, visits=()))
    same_times(a, b)
    with pytest.raises(StoreError, match="differ"):
        merge(tmp_path / "out.sqlite", [a, b])
    merge(tmp_path / "out.sqlite", [b, a], keep="first")
    assert contents(tmp_path / "out.sqlite")["timings"] == []


def test_stores_of_different_spaces_are_refused(tmp_path: Path) -> None:
    a = fill(tmp_path / "a.sqlite")
    Store(tmp_path / "b.sqlite", nasbench201(channels=8)).close()
    with pytest.raises(SpaceMismatchError, match="only stores of one space"):
        merge(tmp_path / "out.sqlite", [a, tmp_path / "b.sqlite"])
    assert not (tmp_path / "out.sqlite").exists()


def test_what_cannot_be_merged_is_said(tmp_path: Path) -> None:
    a = fill(tmp_path / "a.sqlite")
    with pytest.raises(StoreError, match="exists already"):
        merge(a, [a])
    with pytest.raises(StoreError, match="no store at"):
        merge(tmp_path / "out.sqlite", [a, tmp_path / "missing.sqlite"])
    with pytest.raises(UsageError, match="nothing to merge"):
        merge(tmp_path / "out.sqlite", [])
    assert not (tmp_path / "out.sqlite").exists()
