from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from stored import SPACE, fill

from latbench.errors import StoreError
from latbench.store.doctor import examine


def damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_a_sound_store_has_no_findings(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    assert examine(path) == []
    assert list(tmp_path.iterdir()) == [path]


ONE = "WHERE set_id = 2"


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (f"UPDATE measurements SET key = {SPACE.size} {ONE}", "numbers outside the space: 1"),
        (f"UPDATE measurements SET key = -1 {ONE}", "numbers outside the space: 1"),
        (f"UPDATE measurements SET status = 'maybe' {ONE}", "statuses other than"),
        (f"UPDATE measurements SET sample_index = -4 {ONE}", "negative repeats"),
        (f"UPDATE measurements SET relative = 9e999 {ONE}", "positive and finite"),
        (f"UPDATE measurements SET canary_s = 0 {ONE}", "positive and finite"),
        (f"UPDATE measurements SET raw_s = NULL {ONE}", "positive and finite"),
        (f"UPDATE measurements SET half_width = 'x' {ONE}", "positive and finite"),
        ("UPDATE measurements SET error = NULL WHERE status = 'failed'", "without a reason"),
        (f"UPDATE measurements SET set_id = 7 {ONE}", "rows of no measurement set"),
        (f"UPDATE measurements SET repeat = 1 {ONE}", "raw timings of no row: 1"),
        (f"UPDATE measurements SET relative = relative * 1.00001 {ONE}", "do not give: 1"),
        (f"UPDATE timings SET visits = substr(visits, 1, 24) {ONE}", "cannot be read: 1"),
        (f"UPDATE timings SET visits = 'text' {ONE}", "cannot be read: 1"),
        ("UPDATE measurements SET relative = 5 WHERE set_id = 1", "do not give: 8"),
        ("UPDATE sets SET conditions = '{}' WHERE id = 2", "conditions of set 2"),
        ("UPDATE sets SET key = 'x' WHERE id = 2", "conditions of set 2"),
        ("DELETE FROM sets WHERE id = 2", "rows of no measurement set"),
        ("UPDATE latency_tables SET plan = '[1]'", "table of network 0123456789abcdef in set 2"),
        ("UPDATE latency_tables SET plan = '{'", "table of network 0123456789abcdef in set 2"),
        ("UPDATE latency_tables SET set_id = 7", "latency tables of no measurement set: 1"),
        ("DROP TABLE latency_tables", "no such table"),
        ("DELETE FROM meta", "does not name its space"),
        ("UPDATE meta SET value = 'x'", ""),
        ("DROP TABLE timings", "no such table"),
        ("DROP TABLE meta", "no such table"),
        ("PRAGMA user_version = 99", "schema version 99"),
    ],
)
def test_damaged_rows_are_found(tmp_path: Path, statement: str, finding: str) -> None:
    path = fill(tmp_path / "s.sqlite")
    damage(path, statement)
    assert any(finding in line for line in examine(path))


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite", n=100)
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096 : 7] = b"\xff" * len(range(8192, len(content) - 4096, 7))
    path.write_bytes(content)
    assert examine(path)


def test_a_file_that_is_no_store_is_found(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_bytes(b"x" * 5000)
    assert examine(tmp_path / "s.sqlite")
    with pytest.raises(StoreError, match="no store at"):
        examine(tmp_path / "missing.sqlite")
