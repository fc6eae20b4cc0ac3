"""Tables of latencies that somebody else measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import SPACE, fill

from latbench.campaign.recheck import recheck
from latbench.errors import LatbenchError, ParseError, StoreError, UsageError
from latbench.spaces import make_space
from latbench.store import Store
from latbench.store.doctor import examine
from latbench.store.foreign import ForeignTable, import_table, read_table
from latbench.store.merge import merge
from latbench.store.sides import pair_sides
from latbench.store.statistics import statistics
from latbench.timing.protocol import FOREIGN

FBNET = make_space("fbnet", {"most_layers": 1})
CODES = np.array([[3, 8, 0, 5, 8, 1, 2], [8] * 7, [0, 1, 2, 3, 4, 5, 6]], np.int8)
LATENCY_MS = np.array([[1.5, 0.25, 3.0], [10.0, np.nan, 30.0]])


def npz(path: Path, **changes: Any) -> Path:
    """A table of two devices and three architectures, as HELP's of FBNet; None leaves one out."""
    arrays = {
        "latency_ms": LATENCY_MS, "devices": np.array(["phone", "gpu_1"]), "enc": CODES,
        "ops": np.array(FBNET.forest.variables[0].options),
    }  # fmt: skip
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return path


def csv(path: Path, *rows: str, header: str = "architecture,device,latency_ms") -> Path:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def texts() -> list[str]:
    return [str(FBNET.of(tuple(code))) for code in CODES.tolist()]


def assert_same(a: ForeignTable, b: ForeignTable) -> None:
    assert (a.devices, a.architectures) == (b.devices, b.architectures)
    np.testing.assert_array_equal(a.latency_ms, b.latency_ms)


def test_numbers_names_texts_and_csv_say_the_same(tmp_path: Path) -> None:
    named = read_table(npz(tmp_path / "a.npz"), FBNET)
    assert [str(a) for a in named.architectures] == texts()
    assert named.devices == ("phone", "gpu_1")
    np.testing.assert_array_equal(named.latency_ms, LATENCY_MS)
    assert_same(named, read_table(npz(tmp_path / "b.npz", ops=None), FBNET))
    assert_same(named, read_table(npz(tmp_path / "c.npz", enc=None, arch=np.array(texts())), FBNET))
    rows = [f"{text},phone,{ms},x" for text, ms in zip(texts(), (1.5, 0.25, 3.0), strict=True)]
    rows += [f"{texts()[0]},gpu_1,10", f"{texts()[1]},gpu_1,", f" {texts()[2]} ,gpu_1,3e1"]
    assert_same(named, read_table(csv(tmp_path / "d.csv", *rows), FBNET))


def test_operations_may_stand_in_another_order(tmp_path: Path) -> None:
    names = FBNET.forest.variables[0].options
    other = npz(tmp_path / "a.npz", enc=8 - CODES, ops=np.array(names[::-1]))
    assert_same(read_table(other, FBNET), read_table(npz(tmp_path / "b.npz"), FBNET))


def test_what_does_not_exist_is_written_as_minus_one(tmp_path: Path) -> None:
    space = make_space("fbnetv2", {"most_blocks": 2})
    codes = np.array([space.sample(0, i).code for i in range(4)])
    path = npz(tmp_path / "t.npz", enc=codes, ops=None, latency_ms=np.ones((2, 4)))
    assert (codes == -1).any()
    assert read_table(path, space).architectures == tuple(space.sample(0, i) for i in range(4))
    wrong = np.where(codes == -1, 0, codes)
    with pytest.raises(ParseError, match=r"row \d .* a value where it does not exist"):
        read_table(npz(path, enc=wrong, ops=None, latency_ms=np.ones((2, 4))), space)


def test_a_variable_that_exists_has_an_option(tmp_path: Path) -> None:
    codes = CODES.copy()
    codes[1, 4] = -1
    for names in (None, np.array(FBNET.forest.variables[0].options)):
        path = npz(tmp_path / "t.npz", enc=codes, ops=names)
        with pytest.raises(
            ParseError, match=r"in row 1 .*: 5\.1 has no value \(-1\) where it exists"
        ):
            import_table(path, tmp_path / "s.sqlite", FBNET)
    assert not (tmp_path / "s.sqlite").exists()


def test_a_file_that_may_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    paths = (npz(tmp_path / "t.npz"), csv(tmp_path / "t.csv", f"{texts()[0]},a,1"))
    monkeypatch.setattr(Path, "open", denied)
    for path in paths:
        with pytest.raises(ParseError, match=rf"{path.name} cannot be read \(Permission denied\)"):
            read_table(path, FBNET)


def test_a_store_has_each_device_as_a_set(tmp_path: Path) -> None:
    path, space = tmp_path / "s.sqlite", make_space("fbnet")
    table = np.random.default_rng(0).integers(9, size=(4, 22))  # numbers above 2^63, too
    latency_ms = np.array([[1.0, 2.0, 3.0, 4.0], [0.1, 0.7, np.nan, 1e5]])
    source = npz(tmp_path / "help.npz", enc=table, latency_ms=latency_ms)
    assert import_table(source, path, space) == 7
    with Store(path) as store:
        first, second = store.sets()
        assert (first.set.backend, first.set.device) == ("foreign", "phone")
        assert first.set.options == {"source": "help"}
        assert first.set.protocol.version == FOREIGN
        assert (first.ok, first.named, first.networks, second.ok) == (4, 0, 4, 3)
        assert (first.noise_floor, first.floor_between, first.disturbed) == (None, None, None)
        assert (first.noisy, first.concern, first.canary_s) == (0, None, None)
        dataset = store.dataset(set_id=2)
        assert [a.code for a in dataset.architectures] == [tuple(table[i]) for i in (0, 1, 3)]
        np.testing.assert_array_equal(dataset.values, np.array([0.1, 0.7, 1e5]) / 1e3)
        assert dataset.noise_floor is None
        some = str(dataset.architectures[0])
        assert store.value(2, some) == 0.1 / 1e3
        assert store.noise(2, some) is None
        assert [s.rows for s in statistics(store, "minimum")] == [0, 0]
    assert examine(path) == []


def test_an_interval_that_is_missing_elsewhere_is_a_fault(tmp_path: Path) -> None:
    with Store(fill(tmp_path / "s.sqlite")) as store:
        store.connection.execute("UPDATE main.measurements SET half_width = NULL WHERE repeat = 1")
    (found,) = examine(tmp_path / "s.sqlite")
    assert found.startswith("measured rows without a positive and finite figure: 1 of them")


def test_two_tables_are_two_sets(tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.sqlite" for name in "abc")
    import_table(npz(tmp_path / "t.npz"), a, FBNET, "HELP")
    import_table(npz(tmp_path / "t.npz", latency_ms=2 * LATENCY_MS), b, FBNET, "HELP")
    assert merge(c, [a, b]) == 10
    assert merge(tmp_path / "d.sqlite", [a, a]) == 5
    with Store(c) as store:
        assert len(store.sets()) == 4


def test_what_others_measured_is_not_checked_again(tmp_path: Path) -> None:
    import_table(npz(tmp_path / "t.npz"), tmp_path / "s.sqlite", FBNET, "HELP")
    with (
        Store(tmp_path / "s.sqlite") as store,
        pytest.raises(UsageError, match=r"set 2 of .* that 'HELP' measured .*; measure into a set"),
    ):
        recheck(store, set_id=2, n=2)


def test_no_change_is_seen_in_what_was_measured_once(tmp_path: Path) -> None:
    import_table(npz(tmp_path / "t.npz"), tmp_path / "s.sqlite", FBNET)
    with pytest.raises(UsageError, match=r"set 1 of .* measured elsewhere"):
        pair_sides(tmp_path / "s.sqlite", tmp_path / "s.sqlite", sets=(1, 1))


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "an unknown operation": (
        lambda p: npz(p / "t.npz", ops=np.array([*"abcdefgh", "skip"])),
        r"t.npz has no architecture of fbnet\(.*\) in row 0 \(counted from 0\): 1.1 is 'd'; "
        "expected one of k3_e1",
    ),
    "a number too large": (
        lambda p: npz(p / "t.npz", enc=CODES + np.eye(3, 7, dtype=np.int8)),
        r"in row 1 \(counted from 0\): 2.1 has the number 9; expected 0 to 8",
    ),
    "too few layers": (lambda p: npz(p / "t.npz", enc=CODES[:, :6]), r"enc has shape \(3, 6\)"),
    "fractions": (lambda p: npz(p / "t.npz", enc=CODES / 2), "enc has .* expected whole numbers"),
    "one twice": (
        lambda p: npz(p / "t.npz", enc=CODES[[0, 1, 0]]),
        "one architecture in the rows 0 and 2",
    ),
    "a text of another space": (
        lambda p: npz(p / "t.npz", arch=np.array([*texts()[:2], str(SPACE.reference())])),
        "in row 2 .*nor_conv",
    ),
    "too few latencies": (
        lambda p: npz(p / "t.npz", latency_ms=np.ones((2, 2))),
        r"shape \(2, 2\); expected one row for each of 2 devices and one column for each of 3 arch",
    ),
    "no latency at all": (lambda p: npz(p / "t.npz", latency_ms=np.full((2, 3), np.nan)), "no lat"),
    "zero": (
        lambda p: npz(p / "t.npz", latency_ms=LATENCY_MS * [[1, 1, 1], [1, 1, 0]]),
        r"latency 0 of row 2 \(counted from 0\) on gpu_1; expected milliseconds above 0",
    ),
    "texts as latencies": (
        lambda p: npz(p / "t.npz", latency_ms=LATENCY_MS.astype(str)), "latency_ms has shape"
    ),
    "a device twice": (
        lambda p: npz(p / "t.npz", devices=np.array(["a", "a"])), "names a device twice"
    ),
    "a device of two lines": (
        lambda p: npz(p / "t.npz", devices=np.array(["a\nb", "c"])), r"is called 'a\\nb'"
    ),
    "objects": (
        lambda p: npz(p / "t.npz", devices=np.array(["a", 1], object)), "no .npz|not an .npz"
    ),
    "no devices": (lambda p: npz(p / "t.npz", devices=None), "no array 'devices'"),
    "no architectures": (lambda p: npz(p / "t.npz", enc=None), "no array 'arch'"),
    "no zip file": (lambda p: csv(p / "t.npz"), "is not an .npz file"),
    "no column": (lambda p: csv(p / "t.csv", header="arch,device,latency_ms"), "no column 'arch"),
    "no rows": (lambda p: csv(p / "t.csv"), "no latency"),
    "a wrong line": (
        lambda p: csv(p / "t.csv", f"{texts()[0]},a,1", f"{texts()[1]}x,a,2"),
        "in line 3: .*skipx",
    ),
    "half a line": (lambda p: csv(p / "t.csv", texts()[0]), "device in line 2 of .* is called ''"),
    "a second latency": (
        lambda p: csv(p / "t.csv", *[f"{texts()[0]},a,1"] * 2), "second latency .* on a in line 3"
    ),
    "a latency in words": (
        lambda p: csv(p / "t.csv", f"{texts()[0]},a,fast"), "the latency 'fast' in line 2"
    ),
    "no text": (lambda p: Path(str(p / "t.csv")), "there is no file"),
    "another kind of file": (lambda p: csv(p / "t.xls"), "is no table that is read; expected one"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_table_that_is_wrong_makes_no_store(what: str, tmp_path: Path) -> None:
    make, message = WRONG[what]
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LatbenchError, match=message):
        import_table(path, tmp_path / "s.sqlite", FBNET)
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_that_is_there_stays(tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    with pytest.raises(StoreError, match="exists already"):
        import_table(npz(tmp_path / "t.npz"), path, FBNET)
    for source in ("", " HELP", "a\tb", "x" * 201):
        with pytest.raises(ParseError, match=r"the source is called .* 1 to 200 printable"):
            import_table(npz(tmp_path / "t.npz"), tmp_path / "other.sqlite", FBNET, source)
