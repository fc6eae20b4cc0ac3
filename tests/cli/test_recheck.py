"""``latbench recheck`` and what the tables say of the floor between occasions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from experiment_file import FAKE

from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.store.repeats import BETWEEN_S

Cli = Callable[..., tuple[int, str, str]]
SPACE = "nasbench201(channels=4, cells=1, resolution=8)"


def later(path: Path) -> None:
    """Makes the last occasion of a store one of another day."""
    with Store(path) as store:
        store.connection.execute(
            "UPDATE main.measurements SET finished = finished + ?"
            " WHERE occasion = (SELECT max(occasion) FROM main.measurements)", (BETWEEN_S,)
        )  # fmt: skip


def test_a_set_is_checked_on_another_day(cli: Cli, tmp_path: Path) -> None:
    noise = ("--option", "s_per_mac=1e-9", "--option", "session_noise=0.02")
    measure = ("measure", "--space", SPACE, "--backend", FAKE, *noise, "-n", "30")
    code, out, err = cli(*measure)
    assert code == 0, err
    assert "not measured" in out
    code, out, err = cli("recheck", "latbench.sqlite", "-n", "12")
    assert code == 0, err
    assert "12 rows measured again, 0 failed" in out
    later(tmp_path / "latbench.sqlite")
    (found,) = json.loads(cli("store", "latbench.sqlite", "--json")[1])
    assert 0.005 < found["floor_between"] < 0.06
    assert [bias["pairs"] for bias in found["size_bias"]] == [4, 4, 4]
    assert found["protocol"] == 2
    compared = ("compare", "--predictor", "ridge-counts", "--json")
    (row,) = json.loads(cli(*compared)[1])
    assert row["floor_between"] == pytest.approx(found["floor_between"])
    out = cli("recheck", "latbench.sqlite")[1]
    assert "at later occasions (4 pairs)" in out.replace("\u00a0", " ")


def test_what_cannot_be_rechecked_is_said(cli: Cli, tmp_path: Path) -> None:
    rows = [f"{nasbench201().sample(0, i)},phone,{1 + i}" for i in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["architecture,device,latency_ms", *rows]))
    cli("import", "t.csv", "theirs.sqlite", "--space", "nasbench201", "--source", "HELP")
    code, _, err = cli("recheck", "theirs.sqlite", "-n", "2")
    assert code == 2
    assert "holds latencies that 'HELP' measured and not latbench" in " ".join(err.split())
    code, _, err = cli("recheck", "none.sqlite")
    assert (code, "there is no store at none.sqlite" in err) == (2, True)
    cli("measure", "--space", SPACE, "--backend", FAKE, "-n", "3", "--retest", "0")
    code, _, err = cli("recheck", "latbench.sqlite")
    assert code == 2
    assert "name how many to measure again with -n" in err
