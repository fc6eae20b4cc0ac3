"""``latbench transfer`` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import SPACE, make_set, row

from latbench.store import Store

Cli = Callable[..., tuple[int, str, str]]


def _fill(path: Path, rows: int, costs: tuple[float, ...], **changes: object) -> None:
    with Store(path, SPACE) as store:
        chosen = store.add_set(make_set(**changes))
        for i in range(rows):
            counts = SPACE.counts(SPACE.sample(0, i))
            store.add(chosen, row(i, factor=1 + float(counts @ costs)))


@pytest.fixture
def stores(tmp_path: Path) -> None:
    _fill(tmp_path / "a.sqlite", 60, (0.1, 0.5, 2.0, 0.3))
    _fill(tmp_path / "b.sqlite", 60, (0.3, 0.1, 0.5, 1.0), device="GPU")
    _fill(tmp_path / "c.sqlite", 30, (0.2, 1.0, 4.0, 0.6), backend="new")


def test_transfer_chooses_saves_and_shows_the_rest(cli: Cli, stores: None, tmp_path: Path) -> None:
    code, out, err = cli(
        "transfer", "--from", "a.sqlite", "b.sqlite", "--to", "c.sqlite", "--n", "20",
        "--out", "model", "--json",
    )  # fmt: skip
    assert not code, err
    found = json.loads(out)
    assert found["sources"] == ["onnxruntime on CPU", "onnxruntime on GPU"]
    assert (found["backend"], found["samples"], found["rest"]["rows"]) == ("new", 20, 10)
    assert {c["method"] for c in found["candidates"]} >= {"counts", "nearest", found["chosen"]}
    assert found["rest"]["metrics"]["mape"][0] < 0.05
    code, out, err = cli("predict", "--model", "model", "-n", "2", "--json")
    assert not code, err
    assert len(json.loads(out)) == 2


def test_other_sets_of_the_targets_store_are_sources(cli: Cli, stores: None) -> None:
    _fill(Path("a.sqlite"), 30, (0.2, 1.0, 4.0, 0.6), backend="new")
    code, out, err = cli("transfer", "--from", "a.sqlite", "--to", "a.sqlite", "--backend", "new",
                         "--method", "ridge", "--method", "nearest")  # fmt: skip
    assert not code, err
    assert "learnt from: onnxruntime on CPU\n" in out
    assert "noise floor" in out
    assert "on the 10 rows" in out


def test_a_store_without_others_is_refused(cli: Cli, stores: None) -> None:
    code, _, err = cli("transfer", "--from", "c.sqlite", "--to", "c.sqlite")
    assert code == 2
    assert "name a store of other backends" in err
