import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from stored import SPACE, fill, make_set, row

from latbench.errors import LatbenchError, NotEnoughData, SpaceMismatchError, StoreError, UsageError
from latbench.spaces import darts
from latbench.spaces.architecture import Architecture
from latbench.spaces.cells.nasbench201_space import NasBench201Space
from latbench.store import Costs, Store
from latbench.store.output import new_store
from latbench.timing.protocol import Estimate, Protocol, Visit, estimate


def test_rows_come_back_as_a_dataset(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        for i in (2, 0, 1):
            store.add(set_id, row(i, factor=1 + i))
        store.add(set_id, row(0, repeat=1, factor=1.1))
        store.add(set_id, row(5, status="failed", estimate=None, visits=(), error="no"))
        store.add(set_id, row(9, sample_index=None))
    with Store(tmp_path / "s.sqlite") as store:
        dataset = store.dataset()
        summary = store.find_set()
    assert dataset.architectures == tuple(SPACE.sample(0, i) for i in range(3))
    np.testing.assert_allclose(dataset.values, [2e-3, 4e-3, 6e-3], rtol=1e-6)
    assert dataset.noise_floor == pytest.approx(0.1 / 1.05, rel=1e-5)
    assert (summary.ok, summary.failed, summary.retested) == (4, 1, 1)
    assert summary.anchor_s == pytest.approx(1e-3)


def test_sets_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        with pytest.raises(UsageError, match="holds no measurement set; measure one first"):
            store.find_set()
        options = {"threads": 1, "arena": True, "precision": "float32"}
        first = store.add_set(make_set(options=options))
        store.add(first, row(0))
        store.add_set(make_set(options={**options, "threads": 2}))
        with pytest.raises(UsageError) as same:
            store.find_set()
        assert str(same.value) == (
            f"{store.path} holds several measurement sets: set 1 (onnxruntime threads=1, 1 rows), "
            "set 2 (onnxruntime threads=2, 0 rows); add --set ID (in Python set_id=ID)"
        )
        store.add_set(make_set(backend="ncnn", options={"light": True}, device="GPU"))
        with pytest.raises(UsageError) as mixed:
            store.dataset()
        assert "set 2 (onnxruntime threads=2, on CPU, 0 rows), set 3 (ncnn, on GPU, 0" in str(
            mixed.value
        )
        assert str(mixed.value).endswith(
            "; add --backend NAME or --set ID (in Python backend=NAME or set_id=ID)"
        )
        assert "arena" not in str(mixed.value)
        with pytest.raises(UsageError, match=r"several measurement sets of backend 'onnxruntime'"):
            store.find_set("onnxruntime")
        with pytest.raises(UsageError, match=r"no measurement set of backend 'tvm', but set 1 \("):
            store.find_set("tvm")
        with pytest.raises(UsageError, match=r"holds no measurement set 7, but set 1 \("):
            store.find_set(set_id=7)
        assert store.find_set("ncnn").id == store.find_set(set_id=3).id == 3


def test_sets_that_differ_in_more_than_options_say_so(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        store.add_set(make_set())
        store.add_set(make_set(protocol=Protocol(target=0.05)))
        store.add_set(make_set(version="2"))
        with pytest.raises(UsageError) as said:
            store.find_set()
    for clause in ("set 1 (onnxruntime version=1 protocol.target=0.01,",
                   "set 2 (onnxruntime version=1 protocol.target=0.05,",
                   "set 3 (onnxruntime version=2 protocol.target=0.01,"):  # fmt: skip
        assert clause in str(said.value)


def test_named_architectures_do_not_move_the_anchor(tmp_path: Path) -> None:
    slow = (Visit((2e-3,)),) * 4
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        named = row(0, sample_index=None, visits=slow, estimate=estimate(slow, 9e-3))
        store.add(set_id, named)
        assert store.find_set().anchor_s == pytest.approx(9e-3)
        store.add(set_id, row(1))
        assert store.find_set().anchor_s == pytest.approx(1e-3)


def test_of_two_rows_of_a_network_the_narrower_one_stays(tmp_path: Path) -> None:
    wide = tuple(Visit((2e-3 * f,)) for f in (1.0, 1.0, 1.5, 1.5, 1.5, 1.5))
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())

        def there() -> tuple[float, float, int]:
            query = "SELECT relative, half_width, length(t.visits) FROM main.measurements"
            joined = f"{query} JOIN main.timings t USING (set_id, key, repeat)"
            (found,) = store.connection.execute(joined).fetchall()
            return tuple(found)

        store.put(set_id, row(0, visits=wide, estimate=estimate(wide, 1e-3)))
        before = there()
        failed = row(0, status="failed", estimate=None, visits=(), error="no")
        store.put(set_id, failed)
        assert there() == before
        store.put(set_id, row(0))
        narrow = there()
        assert narrow[1] < before[1]
        assert narrow[2] != before[2]
        store.put(set_id, row(0, visits=wide, estimate=estimate(wide, 1e-3)))
        assert there() == narrow
        assert store.forget_failed(set_id) == 0


def test_named_architectures_do_not_move_the_noise_floor(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        for repeat, factor in enumerate((1.0, 1.5)):
            store.add(set_id, row(3, repeat=repeat, sample_index=None, factor=factor))
        assert store.find_set().noise_floor == pytest.approx(0.4)
        for repeat, factor in enumerate((1.0, 1.1)):
            store.add(set_id, row(0, repeat=repeat, factor=factor))
        found = store.find_set()
        assert found.noise_floor == pytest.approx(0.1 / 1.05)
        assert (found.ok, found.named, found.rows, found.retested) == (2, 1, 4, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '{\"kind'",
        "UPDATE meta SET value = '[]'",
        "UPDATE sets SET conditions = '{}'",
        "UPDATE sets SET conditions = 'x'",
        "UPDATE sets SET conditions = json_set(conditions, '$.options', 3)",
        "UPDATE measurements SET relative = 'x'",
        "UPDATE measurements SET canary_s = 'x'",
        "UPDATE measurements SET key = key + 9999999",
    ],
)
def test_damaged_values_are_refused_in_a_sentence(tmp_path: Path, statement: str) -> None:
    path = fill(tmp_path / "s.sqlite")
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    with pytest.raises(LatbenchError, match=r".{20}"), Store(path) as store:
        store.dataset(set_id=1)


def test_reading_changes_no_file(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")  # as a file that another program copied
    before = path.read_bytes()
    with Store(path) as store:
        store.dataset(set_id=1)
    assert path.read_bytes() == before


def test_raw_timings_are_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        store.add(store.add_set(make_set()), row(0))
        (blob,) = store._db.execute("SELECT visits FROM timings").fetchone()
    values = np.frombuffer(blob, "<f4").reshape(4, 5)
    expected = [2, 0, 1e-5, 2.0e-3, 2.2e-3]
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)


def test_a_row_says_who_measured_it_and_what_else_it_costs(tmp_path: Path) -> None:
    rejected = Estimate(1.0, 0.1, 1e-3, 1e-3, rejected=1)  # as protocol 1 had it
    costs = Costs(0.5, 2**20, 2**21, 3000, 0.25)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        store.add(set_id, row(0, estimate=rejected, costs=costs, host="b",
                              throttled="too hot"))  # fmt: skip
        assert store.connection.execute(
            "SELECT rejected, host, build_s, memory_bytes, device_memory_bytes, model_bytes,"
            " energy_j FROM measurements"
        ).fetchone() == (1, "b", 0.5, 2**20, 2**21, 3000, 0.25)
        assert store.find_set().rejected == 1
        assert store.find_set().throttled == {"too hot": 1}


def test_sets_differ_by_what_changes_a_latency_only(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        first = store.add_set(make_set())
        assert store.add_set(make_set(machine={"host": "b"})) == first
        others = [
            make_set(options={"threads": 2}), make_set(device="GPU"), make_set(version="2"),
            make_set(protocol=Protocol(runs=5)), make_set(backend="torch-eager"),
        ]  # fmt: skip
        assert len({first, *map(store.add_set, others)}) == 6


def test_a_row_is_never_written_twice(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        store.add(set_id, row(0))
        with pytest.raises(sqlite3.IntegrityError):
            store.add(set_id, row(0))


def test_an_ambiguous_or_missing_set_is_named(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        with pytest.raises(UsageError, match="no measurement set"):
            store.dataset()
        a = store.add_set(make_set())
        with pytest.raises(NotEnoughData, match="latbench measure"):
            store.dataset()
        store.add_set(make_set(options={"threads": 2}))
        with pytest.raises(UsageError, match=r"several measurement sets.*threads=2"):
            store.dataset("onnxruntime")
        store.add(a, row(0))
        assert len(store.dataset(set_id=a)) == 1


def test_a_store_of_another_space_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s.sqlite", SPACE).close()
    with pytest.raises(
        SpaceMismatchError, match=r"holds measurements of nasbench201.*not of darts"
    ):
        Store(tmp_path / "s.sqlite", darts())


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_file_that_is_not_a_store_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="store"):
        Store(path, SPACE)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.sqlite") as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreError, match="not a latbench store"):
        Store(tmp_path / "s.sqlite", SPACE)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s.sqlite", SPACE).close()
    with sqlite3.connect(tmp_path / "s.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="schema version 99"):
        Store(tmp_path / "s.sqlite", SPACE)


def test_a_missing_store_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        Store(tmp_path / "s.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_its_table_of_facts_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE meta")
    with pytest.raises(StoreError, match="cannot be used: no such table"):
        Store(path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "no" / "s.sqlite", SPACE)


class Buggy(NasBench201Space):
    """A plug-in with a bug that shows when a store's rows are read."""

    name = "buggy"
    broken = False

    def unrank(self, rank: int) -> Architecture:
        if self.broken:
            raise AttributeError("'int' object has no attribute 'nonsense'")
        return super().unrank(rank)

    def rank(self, architecture: Architecture) -> int:
        if self.broken:
            raise AttributeError("'int' object has no attribute 'nonsense'")
        return super().rank(architecture)


def test_a_bug_of_a_space_is_no_damage_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "s.sqlite", Buggy()) as store:
        number = store.add_set(make_set())
        for i in range(3):
            store.add(number, row(i))
        monkeypatch.setattr(Buggy, "broken", True)
        text = row(0).architecture
        for use in (
            lambda: store.dataset(), lambda: store.raw(number), lambda: store.relative(number),
            lambda: store.value(number, text), lambda: store.put(number, row(4)),
        ):  # fmt: skip
            with pytest.raises(AttributeError, match="nonsense"):
                use()
    monkeypatch.setattr(Buggy, "identity", lambda self: [][1])
    with pytest.raises(IndexError):
        Store(tmp_path / "new.sqlite", Buggy())
    monkeypatch.undo()
    with new_store(tmp_path / "whole", Buggy()) as new:
        monkeypatch.setattr(Buggy, "broken", True)
        with pytest.raises(AttributeError, match="nonsense"):
            new.put(new.add_set(make_set()), row(0))


FILL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from stored import SPACE, make_set, row
from latbench.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from latbench.errors import StoreError
written = 0
try:
    with Store(sys.argv[1], SPACE) as store:
        set_id = store.add_set(make_set())
        for i in range(5000):
            store.add(set_id, row(i, repeat=i))
            written += 1
except StoreError as error:
    assert "disk" in str(error), error
    print(written)
"""


def test_a_full_disk_is_one_sentence_and_loses_no_row(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    result = subprocess.run(
        [sys.executable, "-c", FILL, str(path), str(Path(__file__).parents[1])],
        capture_output=True, text=True, check=True,
        # Else Python 3.11 leaves the half of a module's byte code that the limit lets through.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    written = int(result.stdout)
    with Store(path) as store:
        count = store._db.execute("SELECT count(*) FROM measurements").fetchone()[0]
    assert 0 < written == count


def test_a_store_that_was_closed_inside_hides_no_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite", SPACE)

    def closes() -> None:
        with store:
            store.close()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        closes()


def test_the_noise_of_one_architecture_is_the_widest_of_what_is_known(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        names = [row(i).architecture for i in range(4)]
        store.add(set_id, row(0, factor=1.0))
        store.add(set_id, row(1, factor=2.0, sample_index=None))
        width = store.noise(set_id, names[0])
        assert width is not None  # of its interval: nothing was timed twice
        assert store.noise(set_id, names[3]) is None
        assert store.noise(set_id, names[0], "energy") is None
        store.add(set_id, row(0, repeat=1, factor=1.01))
        floor = store.find_set().noise_floor
        assert floor is not None
        assert floor == pytest.approx(0.01 / 1.005, rel=1e-4)
        # The mean of two timings with equal intervals has a narrower one.
        assert store.noise(set_id, names[0]) == pytest.approx(max(floor, width / math.sqrt(2)))
        store.add(set_id, row(1, repeat=1, factor=2.2, sample_index=None))
        assert store.find_set().noise_floor == floor  # of the sample alone
        assert store.noise(set_id, names[1]) == pytest.approx(0.2 / 2.1, rel=1e-4)
