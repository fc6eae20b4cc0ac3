"""The commands about stores, as a user runs them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from stored import SPACE, contents, fill, make_set, row

from latbench.store import Store
from latbench.timing.protocol import Estimate, Protocol, Visit, estimate

Cli = Callable[..., tuple[int, str, str]]


def test_store_lists_the_sets(cli: Cli, tmp_path: Path) -> None:
    fill(tmp_path / "s.sqlite")
    code, out, _ = cli("store", "s.sqlite", "--json")
    assert code == 0
    assert [(s["set"], s["measured"], s["named"], s["failed"]) for s in json.loads(out)] == [
        (1, 7, 1, 1), (2, 1, 0, 0),
    ]  # fmt: skip
    assert [(s["networks"], s["sampler"]) for s in json.loads(out)] == [(7, 2), (1, 2)]
    assert "networks" not in cli("store", "s.sqlite")[1]  # as many as were measured


def test_layers_without_a_kernel_and_latency_tables_are_listed(cli: Cli, tmp_path: Path) -> None:
    fill(tmp_path / "s.sqlite")
    code, out, err = cli("store", "s.sqlite", "--json")
    assert code == 0
    first, second = json.loads(out)
    assert (first["fallbacks"], first["tables"]) == ({}, 0)
    assert (second["fallbacks"], second["tables"]) == ({"Gelu by torch": 1}, 1)
    _, out, err = cli("store", "s.sqlite")
    assert "Gelu by torch (1)" in " ".join(out.split())
    assert "tables" in out
    said = "set 2: onnxruntime has no kernel of its own for some layers of 1 row (Gelu by torch)"
    assert said in err.replace("\u00a0", " ")


def test_networks_are_counted_where_they_are_fewer(cli: Cli, tmp_path: Path) -> None:
    space, path = SPACE.with_sampler(1), tmp_path / "s.sqlite"
    twins = [space.unrank(rank) for rank in (0, 5)]  # what is beside nothing is nothing
    with Store(path, space) as store:
        set_id = store.add_set(make_set())
        for i, architecture in enumerate(twins):
            store.add(set_id, row(i, architecture=str(architecture)))
    (found,) = json.loads(cli("store", "s.sqlite", "--json")[1])
    assert (found["measured"], found["networks"], found["sampler"]) == (2, 1, 1)
    assert "networks" in cli("store", "s.sqlite")[1]


def test_rejected_visits_are_said_beside_how_many_there_are(cli: Cli, tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = store.add_set(make_set(protocol=Protocol(version=1, max_visits=24)))
        for i in range(9):
            store.add(number, row(i))
        store.add(number, row(20, estimate=Estimate(1.0, 0.01, 1e-3, 1e-3, rejected=1)))
    assert "1 (0.1 a row of at most 24)" in cli("store", "s.sqlite")[1]
    (found,) = json.loads(cli("store", "s.sqlite", "--json")[1])
    assert (found["visits_rejected"], found["protocol"]) == (1, 1)


def test_why_rows_failed_is_said(cli: Cli, tmp_path: Path) -> None:
    with Store(fill(tmp_path / "s.sqlite")) as store:
        for i, why in enumerate(["killed", "killed", "a", "b"]):
            store.add(1, row(30 + i, status="failed", estimate=None, visits=(), error=why))
        assert store.sets()[0].errors == {"killed": 2, "a": 1, "b": 1, "no": 1}
        assert store.sets()[1].errors == {}
    err = cli("store", "s.sqlite")[2].replace("\u00a0", " ")
    assert "set 1: 5 rows failed (2 x killed; 1 x a; 1 x b; 1 other reason)" in err
    assert "--retry-failed" in err
    assert "failed" not in err.partition("set 2")[2]


def test_a_floor_of_few_pairs_says_how_few(cli: Cli, tmp_path: Path) -> None:
    with Store(fill(tmp_path / "s.sqlite")) as store:
        assert "4.88 % (1 pair)" in cli("store", "s.sqlite")[1].replace("\u00a0", " ")
        for i in range(1, 5):
            store.add(1, row(i, repeat=1, factor=1 + i / 7))
    out = cli("store", "s.sqlite")[1]
    assert "0.98 %" in out
    assert "pair" not in out


def test_a_noisy_set_is_said_to_be_one(cli: Cli, tmp_path: Path) -> None:
    with Store(fill(tmp_path / "s.sqlite")) as store:
        assert store.sets()[0].noise_floor == pytest.approx(0.05 / 1.025)
        for command in ("store", "doctor"):
            assert "noise floor is" not in cli(command, "s.sqlite")[2]
        store.add(1, row(1, repeat=1, factor=2.0))
        for command in ("store", "doctor"):
            code, _, err = cli(command, "s.sqlite")
            assert code == 0
            assert "set 1: the noise floor is 29.71 %: two" in err
            assert "into another store" in err
        wide = tuple(Visit((2e-3 * f,)) for f in (1.0, 1.0, 1.5, 1.5))
        store.add(1, row(20, visits=wide, estimate=estimate(wide, 1e-3)))
        err = cli("store", "s.sqlite")[2]
        assert "(1 of 10 rows have an interval wider than ± 5 %): two" in err
        assert "--retry-noisy 5%" in err


def test_stats(cli: Cli, tmp_path: Path) -> None:
    fill(tmp_path / "s.sqlite")
    code, out, _ = cli("stats", "s.sqlite", "--estimator", "minimum", "--json")
    first = json.loads(out)[0]
    assert code == 0
    assert (first["estimator"], first["rows"], first["retested"]) == ("minimum", 8, 1)
    assert first["anchor_s"] == pytest.approx(1e-3)
    assert "minimum" in cli("stats", "s.sqlite")[1]
    code, _, err = cli("stats", "s.sqlite", "--estimator", "mode")
    assert code == 2
    assert "expected one of minimum" in err


def test_export_import_and_merge(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    fill(tmp_path / "s.sqlite")
    assert cli("export", "s.sqlite", "s.parquet")[:2] == (0, "10 rows in s.parquet\n")
    assert cli("import", "s.parquet", "again.sqlite")[:2] == (0, "10 rows in again.sqlite\n")
    assert cli("merge", "all.sqlite", "s.sqlite", "again.sqlite")[0] == 0
    assert contents(tmp_path / "all.sqlite") == contents(tmp_path / "s.sqlite")
    code, _, err = cli("merge", "all.sqlite", "s.sqlite")
    assert (code, "exists already" in err) == (2, True)
    code, _, err = cli("merge", "more.sqlite", "s.sqlite", "--keep", "last")
    assert (code, "'neither' or 'first'" in err) == (2, True)
    code, _, err = cli("import", "missing.parquet", "more.sqlite")
    assert (code, "missing.parquet" in err) == (2, True)


def test_doctor(cli: Cli, tmp_path: Path) -> None:
    path = fill(tmp_path / "s.sqlite")
    assert cli("doctor", "s.sqlite")[:2] == (0, "s.sqlite is sound\n")
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE measurements SET relative = -1 WHERE set_id = 2")
        db.commit()
    code, out, _ = cli("doctor", "s.sqlite", "--json")
    assert code == 1
    assert len(json.loads(out)) == 2
    assert cli("doctor", "missing.sqlite")[0] == 2


def test_a_foreign_table_is_a_store_to_learn_from(cli: Cli, tmp_path: Path) -> None:
    """As HELP's tables are: no canary, nothing timed twice."""
    costs = {"phone": (0.1, 0.5, 2.0, 0.3), "gpu": (0.3, 0.1, 0.5, 1.0), "new": (0.2, 1, 4, 0.6)}
    lines = ["architecture,device,latency_ms"]
    for device, of in costs.items():
        for i in range(40):
            architecture = SPACE.sample(0, i)
            lines.append(f"{architecture},{device},{1 + float(SPACE.counts(architecture) @ of)}")
    (tmp_path / "t.csv").write_text("\n".join(dict.fromkeys(lines)))
    code, out, err = cli("import", "t.csv", "s.sqlite", "--space", "nasbench201",
                         "--source", "somebody")  # fmt: skip
    assert not code, err
    assert out.endswith("rows in s.sqlite\n")
    found = json.loads(cli("store", "s.sqlite", "--json")[1])
    assert [(s["backend"], s["device"], s["protocol"]) for s in found] == [
        ("foreign", device, 0) for device in costs
    ]
    assert {(s["noise_floor"], s["canary_s"], s["options"]) for s in found} == {
        (None, None, "source=somebody")
    }
    shown = cli("store", "s.sqlite")[1]
    assert "not measured" in shown
    assert "somebody" in shown
    code, out, err = cli("transfer", "--from", "s.sqlite", "--to", "s.sqlite", "--set", "3",
                         "--n", "10", "--method", "ridge", "--json")  # fmt: skip
    assert not code, err
    transferred = json.loads(out)
    assert transferred["sources"] == ["foreign on phone", "foreign on gpu"]
    assert transferred["rest"]["metrics"]["mape"][0] < 0.1
    code, _, err = cli("fit", "--store", "s.sqlite", "--set", "1", "--predictor", "ridge-counts",
                       "--folds", "2", "--out", "m")  # fmt: skip
    assert not code, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t.csv", "s.sqlite"), "add --space, e.g. --space fbnet"),
        (("t.csv", "s.sqlite", "--space", "darts"), "in line 2: "),
        (("t.parquet", "s.sqlite", "--space", "darts"), "--space and --source are of tables"),
        (("t.parquet", "s.sqlite", "--source", "me"), "--space and --source are of tables"),
        (("none.npz", "s.sqlite", "--space", "darts"), "there is no file at none.npz"),
    ],
)
def test_what_is_no_table_is_refused(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "t.csv").write_text("architecture,device,latency_ms\nx,y,1\n")
    (tmp_path / "t.parquet").write_text("no")
    code, _, err = cli("import", *arguments)
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "s.sqlite").exists()
