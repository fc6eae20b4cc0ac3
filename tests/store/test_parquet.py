from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import SPACE, contents, fill, make_set, row

from latbench.errors import LatbenchError, StoreError
from latbench.store import Costs, Measurement, Store
from latbench.store.doctor import examine
from latbench.store.parquet import export_parquet, import_parquet
from latbench.store.raw import unpack
from latbench.store.schema import newer_columns
from latbench.store.table_rows import stored_tables
from latbench.timing.protocol import Estimate, Visit

pq = pytest.importorskip("pyarrow.parquet")


def exported(path: Path) -> Path:
    out = path.with_suffix(".parquet")
    with Store(path) as store:
        export_parquet(store, out)
    return out


def test_a_store_comes_back_equal(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    count = import_parquet(exported(path), tmp_path / "again.sqlite")
    before, after = contents(path), contents(tmp_path / "again.sqlite")
    assert count == len(before["measurements"]) == 10
    assert after == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "again.sqlite", "s.parquet", "s.sqlite",
    ]  # fmt: skip


numbers = st.floats(1e-6, 1e3)
runs = st.lists(st.floats(2.0**-20, 10), min_size=1, max_size=5).map(tuple)
visits = st.builds(Visit, runs, runs, numbers)
sizes = st.none() | st.integers(1, 2**40)
costs = st.builds(
    Costs, build_s=st.none() | numbers, memory_bytes=sizes, device_memory_bytes=sizes,
    model_bytes=sizes, energy_j=st.none() | numbers,
)  # fmt: skip
estimates = st.builds(Estimate, numbers, numbers, numbers, numbers, st.integers(0, 30))


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    ok = draw(st.booleans())
    sampled = draw(st.booleans())
    return Measurement(
        architecture=str(SPACE.unrank(draw(st.integers(0, SPACE.size - 1)))),
        repeat=draw(st.integers(0, 1)),
        sample_index=draw(st.integers(0, 10**6)) if sampled else None,
        seed=draw(st.none() | st.integers(0, 2**62)) if sampled else None,
        status="ok" if ok else "failed",
        estimate=draw(estimates) if ok else None,
        stop="target" if ok else None,
        error=None if ok else draw(st.text(st.characters(exclude_categories=["Cs"]))),
        visits=tuple(draw(st.lists(st.builds(Visit, runs, runs, numbers), max_size=3)))
        if ok
        else (),
        host=draw(st.sampled_from([None, "a", "b"])),
        throttled=draw(st.sampled_from([None, "too hot"])),
        costs=draw(costs),
        fallbacks=draw(st.sampled_from([None, "Gelu by torch"])),
        steps=draw(st.none() | st.lists(numbers, min_size=1, max_size=3).map(tuple)),
    )


@settings(deadline=None, max_examples=15)
@given(st.lists(measurements(), max_size=8, unique_by=lambda m: (m.architecture, m.repeat)))
def test_any_store_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Measurement]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with Store(folder / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        for measurement in rows:
            store.add(set_id, measurement)
    import_parquet(exported(folder / "s.sqlite"), folder / "again.sqlite")
    assert contents(folder / "again.sqlite") == contents(folder / "s.sqlite")


def test_other_tools_find_names_and_units(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    table = pq.read_table(exported(path))
    with Store(path) as store:
        dataset = store.dataset(set_id=1)
    first = [r for r in table.to_pylist() if r["set_id"] == 1 and r["repeat"] == 0]
    rows = [r for r in first if r["status"] == "ok" and r["sample_index"] is not None]
    rows.sort(key=lambda r: r["sample_index"])
    assert [r["architecture"] for r in rows] == [str(a) for a in dataset.architectures]
    np.testing.assert_allclose([r["latency_s"] for r in rows], dataset.values)
    assert {(r["backend"], r["device"]) for r in table.to_pylist()} == {
        ("onnxruntime", "CPU"), ("onnxruntime", "GPU"),
    }  # fmt: skip
    header = json.loads(table.schema.metadata[b"latbench_store"])
    assert header["space"] == SPACE.identity()
    assert json.loads(header["sets"][0]["conditions"])["options"] == {"threads": 1}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_makes_no_store(tmp_path: Path, share: float) -> None:
    file = exported(fill(tmp_path / "s.sqlite"))
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError, match="not a whole Parquet file"):
        import_parquet(file, tmp_path / "again.sqlite")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.parquet", "s.sqlite"]


def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    file = exported(path)
    content = file.read_bytes()
    for at in range(4, len(content), max(1, len(content) // 60)):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        out = tmp_path / "again.sqlite"
        try:
            import_parquet(file, out)
        except LatbenchError:
            assert not out.exists()
        else:
            assert contents(out).keys() == contents(path).keys()
            out.unlink()


def test_another_parquet_file_is_refused(tmp_path: Path) -> None:
    import pyarrow

    pq.write_table(pyarrow.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(StoreError, match="was not written by `latbench export`"):
        import_parquet(tmp_path / "x.parquet", tmp_path / "s.sqlite")


def test_a_file_of_schema_version_2_comes_in(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    import pyarrow

    table = pq.read_table(exported(path))
    header = json.loads(table.schema.metadata[b"latbench_store"]) | {"schema_version": 2}
    timings = [
        None if blob is None else [x for v in unpack(np.array(blob, "<f4").tobytes()) for x in
                                   (len(v.network_s), len(v.canary_s), *v.network_s, *v.canary_s)]
        for blob in table["raw_timings"].to_pylist()
    ]  # fmt: skip
    kind, at = table.schema.field("raw_timings"), table.schema.get_field_index("raw_timings")
    old = table.set_column(at, kind, pyarrow.array(timings, kind.type)).drop_columns(
        list(newer_columns(2))
    )
    old = old.replace_schema_metadata({b"latbench_store": json.dumps(header)})
    pq.write_table(old, tmp_path / "old.parquet", write_page_checksum=True)
    import_parquet(tmp_path / "old.parquet", tmp_path / "again.sqlite")
    with Store(path) as store, Store(tmp_path / "again.sqlite") as again:
        assert again.sets()[0].noise_floor == store.sets()[0].noise_floor
        for architecture, repeats in store.raw(1).items():
            assert [[v.network_s for v in r] for r in again.raw(1)[architecture]] == [
                [v.network_s for v in r] for r in repeats
            ]
    assert examine(tmp_path / "again.sqlite") == []


def test_a_file_of_version_7_has_nothing_of_layers(tmp_path: Path) -> None:
    table = pq.read_table(exported(fill(tmp_path / "s.sqlite")))
    header = json.loads(table.schema.metadata[b"latbench_store"]) | {"schema_version": 7}
    del header["tables"]
    table = table.drop_columns(["fallbacks", "steps"])
    table = table.replace_schema_metadata({b"latbench_store": json.dumps(header)})
    pq.write_table(table, tmp_path / "old.parquet", write_page_checksum=True)
    assert import_parquet(tmp_path / "old.parquet", tmp_path / "again.sqlite") == 10
    with Store(tmp_path / "again.sqlite") as store:
        assert [s.fallbacks for s in store.sets()] == [{}, {}]
        assert stored_tables(store) == []


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    table = pq.read_table(exported(fill(tmp_path / "s.sqlite")))
    header = json.loads(table.schema.metadata[b"latbench_store"]) | {"schema_version": 99}
    table = table.replace_schema_metadata({b"latbench_store": json.dumps(header)})
    pq.write_table(table, tmp_path / "new.parquet")
    with pytest.raises(StoreError, match="schema version 99"):
        import_parquet(tmp_path / "new.parquet", tmp_path / "again.sqlite")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    file = exported(path)
    with pytest.raises(StoreError, match="exists already"):
        exported(path)
    with pytest.raises(StoreError, match="exists already"):
        import_parquet(file, path)


def test_without_pyarrow_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match=r"pip install 'latbench\[parquet\]'"):
        import_parquet(tmp_path / "x.parquet", tmp_path / "s.sqlite")


def test_an_empty_store_comes_back(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        store.add_set(make_set())
    import_parquet(exported(tmp_path / "s.sqlite"), tmp_path / "again.sqlite")
    assert contents(tmp_path / "again.sqlite") == contents(tmp_path / "s.sqlite")


def test_retests_and_named_rows_keep_their_place(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        store.add(set_id, row(0))
        store.add(set_id, row(0, repeat=1))
    import_parquet(exported(tmp_path / "s.sqlite"), tmp_path / "again.sqlite")
    with Store(tmp_path / "again.sqlite") as store:
        assert store.find_set().retested == 1
        assert store.done(1, 0).index.tolist() == [0]
