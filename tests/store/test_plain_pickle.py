"""Pickled tables of the data set LatBench are read as data, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import ParseError
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.store.foreign import import_table, read_table
from latbench.store.plain_pickle import read_plain_pickle

SPACE = nasbench201()
NAME = "desktop-cpu-core-i7-7820x-fp32.pickle"
# Seconds by the numbers of operations, in the order of the benchmark's strings.
TABLE = {(3, 3, 4, 1, 3, 1): 0.005, (0, 0, 0, 0, 0, 0): 0.001, (4, 2, 1, 2, 1, 1): 0.0035}


def saved(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_python_wrote_is_read(protocol: int, tmp_path: Path) -> None:
    values = {
        **TABLE, **{(i, 1, 2): np.float64(i / 7) for i in range(1500)}, (-70_000, 1): "invalid",
        (1,): np.float32(0.5), (1, 2**40): 3,
    }  # fmt: skip
    assert read_plain_pickle(saved(tmp_path / "t.pickle", values, protocol)) == values


def test_latencies_become_a_store(tmp_path: Path) -> None:
    values = {k: np.float64(v) for k, v in TABLE.items()} | {(1, 1, 1, 1, 1, 1): "invalid"}
    path = saved(tmp_path / NAME, values)
    table = read_table(path, SPACE)
    assert table.devices == (NAME.removesuffix(".pickle"),)
    # The first one is the benchmark's index 1.
    assert table.architectures[0] == SPACE.parse("nb201#1")
    np.testing.assert_allclose(table.latency_ms, [[5.0, 1.0, 3.5, np.nan]])
    assert import_table(path, tmp_path / "s.sqlite", SPACE, "LatBench") == 3
    with Store(tmp_path / "s.sqlite") as store:
        assert store.dataset().values.tolist() == [0.005, 0.001, 0.0035]


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_in_it_runs(protocol: int, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for value in (Evil(made), {(1,): Evil(made)}, {(Evil(made),): 1.0}):
        path = saved(tmp_path / "t.pickle", value, protocol)
        with pytest.raises(ParseError, match=r"more than numbers \((posix|nt)\.mkdir\)"):
            read_plain_pickle(path)
    assert not made.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "the instruction EMPTY_LIST"),
        ({((1, 2), 3): 1.0}, "tuples of tuples"),
        ({(1,): (1.0, 2.0)}, "values that are no numbers"),
        (3.0, "holds no dictionary"),
        ({"a": 1.0}, "keys that are no tuples of whole numbers"),
        ({(1, 2): 1.0}, "whole numbers"),
        ({(0, 0, 0, 0, 0, 9): 1.0}, "expected 0 to 4"),
        ({(0, 0, 0, 0, 0, 0): -1.0}, "expected milliseconds above 0"),
        ({}, "whole numbers"),
    ],
)
def test_other_pickles_are_refused(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=message):
        read_table(saved(tmp_path / "t.pickle", value), SPACE)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(TABLE)
    for data in (
        b"",
        b"no pickle",
        whole[:-1],
        whole[: len(whole) // 2],
        b"\x80\x04r\xff\xff\xff\xff.",
    ):
        (tmp_path / "t.pickle").write_bytes(data)
        with pytest.raises(ParseError):
            read_table(tmp_path / "t.pickle", SPACE)
