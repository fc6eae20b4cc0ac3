"""``latbench report`` of stores, as a user runs it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from timed import SPACE, backend, measure

from latbench.spaces import nasbench201
from latbench.store import Store

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[str, str]:
    measure(tmp_path / "a.sqlite", backend(seed=1), n=30)
    measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2), n=30, version="2")
    return "a.sqlite", "b.sqlite"


def test_two_stores_side_by_side(cli: Cli, stores: tuple[str, str], tmp_path: Path) -> None:
    code, out, _ = cli("changes", *stores, "--out", "page.html")
    assert code == 0
    assert "fake on CPU became slower as a whole from A to B, +" in out
    assert "of 30 shared architectures changed beyond the noise" in out
    assert "the most changed of the 30 shared architectures" in out
    assert "version" in out
    assert "report: page.html" in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What changed from a.sqlite to b.sqlite" in page


def test_plots_become_pictures(cli: Cli, stores: tuple[str, str], tmp_path: Path) -> None:
    code, out, _ = cli("changes", *stores, "--plot", "changes.svg")
    assert code == 0
    assert "picture: changes.svg" in out
    assert "report:" not in out
    assert (tmp_path / "changes.svg").read_text(encoding="utf-8").startswith("<svg")
    assert cli("report", "a.sqlite", "--plot", "a.png")[:2] == (
        0, "report: a.html\npicture: a.png\n",
    )  # fmt: skip
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_another_kind_is_refused_before_anything_is_written(
    cli: Cli, stores: tuple[str, str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    code, _, err = cli("report", "a.sqlite", "--plot", "a.html")
    assert code == 2
    assert "'a.html'" in err
    assert ".svg" in err
    assert sorted(tmp_path.iterdir()) == before


def test_json(cli: Cli, stores: tuple[str, str]) -> None:
    code, out, _ = cli("changes", *stores, "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert found["shared"] == len(found["architectures"]) == 30
    assert found["differing_conditions"] == {"version": ["1", "2"]}
    assert found["whole"]["low"] < found["whole"]["change"] < found["whole"]["high"]
    assert found["beyond_noise"] == sum(a["beyond_noise"] for a in found["architectures"]) > 0
    assert found["a"]["retested"] == 20
    first = found["architectures"][0]
    assert first["change"] == pytest.approx(first["b_s"] / first["a_s"] - 1)


def test_sets_and_dates_of_one_store(cli: Cli, stores: tuple[str, str], tmp_path: Path) -> None:
    measure(tmp_path / "a.sqlite", backend(pool=1.05, seed=2), n=30, version="2")
    (found,) = json.loads(cli("changes", "a.sqlite", "--sets", "1", "2", "--json")[1])
    assert (found["a"]["set"], found["b"]["set"], found["shared"]) == (1, 2, 30)
    with closing(sqlite3.connect(tmp_path / "b.sqlite")) as db:
        db.execute("UPDATE measurements SET finished = 1e9 + 864000 * repeat")
        db.commit()
    (found,) = json.loads(cli("changes", "b.sqlite", "--split", "2001-09-14", "--json")[1])
    assert (found["shared"], found["noise_known"], found["beyond_noise"]) == (20, False, 0)


def test_sets_without_a_counterpart_are_named(
    cli: Cli, stores: tuple[str, str], tmp_path: Path
) -> None:
    assert "Only in" not in cli("changes", *stores)[1]
    measure(tmp_path / "a.sqlite", backend(), n=3, backend="other", options={"threads": 2})
    measure(tmp_path / "b.sqlite", backend(), n=4, device="GPU")
    code, out, _ = cli("changes", *stores, "--out", "page.html")
    ours = "Only in A, and not compared: set 2 (other on CPU, threads=2, 3 measured)."
    theirs = "Only in B, and not compared: set 2 (fake on GPU, "
    assert code == 0
    assert ours in out.splitlines()
    assert theirs in out
    assert ours in (tmp_path / "page.html").read_text(encoding="utf-8")
    code, out, err = cli("changes", *stores, "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    assert ours in err
    out = cli("changes", *stores, "--backend", "fake")[1]
    assert "Only in A" not in out
    assert theirs in out
    assert "Only in" not in cli("changes", *stores, "--sets", "1", "1")[1]


def test_a_folder_stands_for_its_store(cli: Cli, stores: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "a.sqlite").rename(tmp_path / "experiment" / "measurements.sqlite")
    (found,) = json.loads(cli("changes", "experiment", "b.sqlite", "--json")[1])
    assert found["shared"] == 30


def test_the_page_of_one_store(cli: Cli, stores: tuple[str, str], tmp_path: Path) -> None:
    assert cli("report", "a.sqlite")[:2] == (0, "report: a.html\n")
    assert cli("report", "a.sqlite", "--out", "p.html")[:2] == (0, "report: p.html\n")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "Latencies in a.sqlite" in page
    assert "Latency on fake" in page


def assert_sentence(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_errors_are_one_sentence(cli: Cli, stores: tuple[str, str], tmp_path: Path) -> None:
    measure(tmp_path / "other.sqlite", backend(), n=3, backend="other")
    wide = nasbench201(channels=8, cells=1, resolution=8)
    measure(tmp_path / "wide.sqlite", backend(), n=3, space=wide)
    Store(tmp_path / "empty.sqlite", SPACE).close()
    (tmp_path / "text.sqlite").write_text("no store\n" * 1000)
    before = sorted(p.name for p in tmp_path.iterdir())
    page = ("--out", "page.html")
    assert_sentence(cli("changes", "a.sqlite", "other.sqlite", *page), "fake", "other")
    assert_sentence(cli("changes", "a.sqlite", "wide.sqlite", *page), "one space")
    assert_sentence(cli("changes", "a.sqlite", "empty.sqlite", *page), "holds none")
    assert_sentence(cli("changes", "a.sqlite", "none.sqlite", *page), "no store at none.sqlite")
    assert_sentence(cli("changes", "a.sqlite", "text.sqlite", *page), "text.sqlite")
    assert_sentence(cli("changes", "a.sqlite", "a.sqlite", *page), "--split")
    assert_sentence(cli("changes", "a.sqlite", "--split", "today", *page), "'today'", "2026-11-24")
    assert_sentence(cli("changes", "a.sqlite", "--sets", "1", "7", *page), "set 7")
    assert_sentence(cli("changes", *stores, "--backend", "nope", *page), "nope")
    assert_sentence(cli("changes", "a.sqlite"), "--sets", "--split")
    assert_sentence(cli("report", "empty.sqlite", *page), "no sampled architecture")
    assert_sentence(cli("changes", *stores, "--out", "no/page.html"), "no/page.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == before
