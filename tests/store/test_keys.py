"""Stores of a space that has more architectures than SQLite's integers, and of models by name."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import SPACE, contents, fill, make_set, row
from wide_space import WIDE

from latbench.campaign.plan import Plan, sampled_tasks
from latbench.comparison.significance import compare
from latbench.errors import ParseError, UsageError
from latbench.spaces import nasbench201
from latbench.spaces.absent import AbsentSpace
from latbench.store import Done, Measurement, Store
from latbench.store.doctor import examine
from latbench.store.keys import (
    MAX_INTEGER,
    is_sound,
    key_of,
    number_of,
    number_type,
    text_of,
)
from latbench.store.merge import merge
from latbench.store.occasions import sentinels
from latbench.store.parquet import export_parquet, import_parquet
from latbench.store.sides import pair_sides
from latbench.store.statistics import statistics

MODEL, OTHER = "mine@0123456789abcdef", "λ = 0.5@fedcba9876543210"
NUMBERS = [0, 1, MAX_INTEGER, MAX_INTEGER + 1, 2**64, WIDE.size - 1]


@given(st.integers(0, WIDE.size - 1) | st.sampled_from(NUMBERS))
def test_a_key_is_an_integer_as_long_as_one_is_enough(number: int) -> None:
    text = str(WIDE.unrank(number))
    key = key_of(WIDE, text)
    assert type(key) is (int if number < 2**63 else bytes)
    assert (number_of(key), text_of(WIDE, key)) == (number, text)
    assert is_sound(WIDE, key)


def test_a_models_key_is_its_text() -> None:
    assert key_of(WIDE, MODEL) == text_of(WIDE, MODEL) == MODEL
    numbers = {number_of(text) for text in (MODEL, OTHER)}
    assert len(numbers) == 2
    assert min(numbers) > -(2**63)
    assert max(numbers) < -1
    with pytest.raises(ParseError):
        key_of(SPACE, "mine")
    with pytest.raises(TypeError):
        number_of(1.5)


@pytest.mark.parametrize(
    "key", [-1, b"", b"\x01", b"\x00" + bytes(9) + b"\x01", b"\x00\x80" + bytes(7), b"\xff" * 12,
            "mine", "", 1.5, None],
)  # fmt: skip
def test_what_is_no_key_is_told(key: object) -> None:
    assert not is_sound(WIDE, key)


def test_numbers_are_int64_where_it_holds_them_all() -> None:
    assert number_type(2**63) is np.int64
    assert number_type(2**63 + 1) is object


def wide_row(index: int, repeat: int = 0, factor: float = 1.0, **changes: object) -> Measurement:
    text = str(WIDE.sample(0, index))
    return row(index, repeat, factor, **{"architecture": text, **changes})


def wide_store(path: Path, n: int = 12, factor: float = 1.0) -> Path:
    """Sampled rows, one with a number that is small, one that somebody named, a model, retests."""
    named = {"sample_index": None, "seed": None}
    with Store(path, WIDE) as store:
        number = store.add_set(make_set())
        for i in range(n):
            store.add(number, wide_row(i, factor=factor * (1 + i / 20)))
            if i % 2 == 0:
                store.add(number, wide_row(i, 1, factor * (1 + i / 20) * 1.01))
        for text in (str(WIDE.unrank(7)), MODEL):
            for repeat in (0, 1):
                store.add(number, wide_row(0, repeat, factor, architecture=text, **named))
    return path


def test_a_store_of_a_wide_space_has_its_rows_back(tmp_path: Path) -> None:
    path = wide_store(tmp_path / "s.sqlite")
    with closing(sqlite3.connect(path)) as db:
        kinds = dict(
            db.execute("SELECT typeof(key), count(*) FROM measurements GROUP BY 1").fetchall()
        )
    assert kinds == {"blob": 18, "integer": 2, "text": 2}
    with Store(path) as store:
        dataset = store.dataset()
        assert dataset.architectures == tuple(WIDE.sample(0, i) for i in range(12))
        np.testing.assert_allclose(dataset.values, 2e-3 * (1 + np.arange(12) / 20), rtol=1e-6)
        found = store.find_set()
        assert (found.ok, found.named, found.networks, found.retested) == (14, 2, 14, 6)
        assert store.value(1, MODEL) == pytest.approx(2e-3)
        assert store.noise(1, MODEL) is not None
        assert list(store.relative(1))[:2] == [str(WIDE.unrank(7)), MODEL]
        assert len(store.raw(1)[MODEL]) == 2
        texts = {t for (t,) in store.connection.execute("SELECT architecture FROM measurements")}
        assert {MODEL, str(WIDE.sample(0, 3))} < texts
        (whole,) = statistics(store, "minimum")
        assert (whole.rows, whole.retested) == (22, 8)
    assert examine(path) == []


def test_a_plan_leaves_out_what_a_wide_store_has(tmp_path: Path) -> None:
    path = wide_store(tmp_path / "s.sqlite")
    with Store(path) as store:
        done = store.done(1, 0)
        assert done.first.dtype == object
        assert set(done.first.tolist()) == {
            *(WIDE.rank(WIDE.sample(0, i)) for i in range(12)), 7, number_of(MODEL)
        }  # fmt: skip
        for named in ([], [WIDE.unrank(7)], [WIDE.unrank(7), MODEL]):
            plan = Plan(WIDE, 0, 12, named, done, size=8, retest=0)
            assert (list(plan), plan.planned) == ([], 12 + len(named))
        plan = Plan(WIDE, 0, 14, [OTHER, MODEL], done, size=8, retest=0)
        assert [t.key for block in plan for t in block] == [
            *((t.architecture, 0) for t in sampled_tasks(WIDE, 0, 14)[12:]), (OTHER, 0)
        ]  # fmt: skip
        assert store.done(1, 3).index.max() == -1


def test_a_plan_draws_what_is_missing_between_wide_rows(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", WIDE) as store:
        number = store.add_set(make_set())
        for i in (0, 2, 3, 7):
            store.add(number, wide_row(i))
        plan = Plan(WIDE, 0, 8, [], store.done(number, 0), size=8, retest=0)
        assert [t.sample_index for block in plan for t in block] == [1, 4, 5, 6]
    tasks = [t for block in Plan(WIDE, 0, 8, [], Done.nothing(), size=8, retest=0) for t in block]
    assert tasks == sampled_tasks(WIDE, 0, 8)


def test_wide_stores_are_merged_exported_and_compared(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    a, b = wide_store(tmp_path / "a.sqlite"), wide_store(tmp_path / "b.sqlite", factor=1.5)
    merge(tmp_path / "m.sqlite", [a, a])
    assert contents(tmp_path / "m.sqlite") == contents(a)
    with Store(a) as store:
        export_parquet(store, tmp_path / "a.parquet")
    import_parquet(tmp_path / "a.parquet", tmp_path / "i.sqlite")
    assert contents(tmp_path / "i.sqlite") == contents(a)
    ((one, other),) = pair_sides(a, b)
    found = compare(one, other)
    assert {found.text(i) for i in range(found.shared)} == {
        *(str(WIDE.sample(0, i)) for i in range(12)), str(WIDE.unrank(7)), MODEL
    }  # fmt: skip
    assert np.allclose(found.b_s / found.a_s, 1.5)
    assert (np.diff(one.ranks) > 0).all()
    place = [found.text(i) for i in range(found.shared)].index(MODEL)
    assert (one.repeats[place], one.sampled[place]) == (2, False)


def test_models_are_sentinels_only_where_they_are_at_hand(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        for repeat in (0, 1):
            for i, text in enumerate([str(SPACE.sample(0, 0)), MODEL, OTHER]):
                store.add(number, row(0, repeat, 1 + i, architecture=text, sample_index=None))
        first = (str(SPACE.sample(0, 0)), 2)
        assert sentinels(store, number) == sentinels(store, number, n=9) == [first]
        assert sentinels(store, number, models={OTHER}) == [first, (OTHER, 2)]
        assert sentinels(store, number, 9, {MODEL, OTHER}) == [first, (MODEL, 2), (OTHER, 2)]
        assert store.find_set().networks == 3


@pytest.mark.parametrize(
    "key", ["'mine'", "x'01'", "x'00FFFFFFFFFFFFFFFFFF'", f"x'{'FF' * 12}'", "1.5", "-1"]
)
def test_the_doctor_finds_what_is_no_key(tmp_path: Path, key: str) -> None:
    path = wide_store(tmp_path / "s.sqlite", n=3)
    with closing(sqlite3.connect(path)) as db, db:
        for table in ("measurements", "timings"):
            db.execute(f"UPDATE {table} SET key = {key} WHERE key = 7 AND repeat = 1")
    (found,) = examine(path)
    assert "numbers outside the space: 1 of them" in found


def test_an_absent_space_may_be_wide(tmp_path: Path) -> None:
    absent = AbsentSpace({"name": "gone:Space", "config": {}}, "it is not here")
    number = WIDE.size * 10**20
    key = key_of(absent, f"number {number}")
    assert isinstance(key, bytes)
    assert text_of(absent, key) == f"number {number}"
    with pytest.raises(UsageError):
        text_of(absent, -1)


def test_models_are_no_networks_of_a_space_that_writes_some_twice(tmp_path: Path) -> None:
    """Counting networks goes by numbers, which models have not."""
    path = fill(tmp_path / "s.sqlite")
    with Store(path) as store:
        before = store.find_set(set_id=1)
        store.add(1, row(0, architecture=MODEL, sample_index=None, seed=None))
        after = store.find_set(set_id=1)
    assert nasbench201().repeats_networks
    assert (after.ok, after.networks) == (before.ok + 1, before.networks + 1)
    assert math.isclose(after.anchor_s or 0, before.anchor_s or 1)
