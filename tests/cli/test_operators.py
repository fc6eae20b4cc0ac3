"""``latbench operators`` on two simulated backends."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from latbench.cli.operators_command import _say_differing, _write
from latbench.operators.pools import Liking, Timed
from latbench.spaces import parse_space

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
SECOND = """
from latbench.testing.fake import CostModelBackend
class Deep(CostModelBackend):
    name = "deep"
    def load(self, model):
        if "shuffle" in model.name:
            raise RuntimeError("no shuffle here")
        return super().load(model)
class Poor(CostModelBackend):
    name = "poor"
    def load(self, model):
        if "1.2=" in model.name:
            raise RuntimeError("no second layer here")
        return super().load(model)
"""
SMALL = (
    "operators(pools=(sep3+sep5+mb3e1+mb3e3+shuffle3+shuffle5), widths=(8 16 24), blocks=(2), "
    "resolution=18, classes=10)"
)


@pytest.mark.usefixtures("second")
def test_each_backend_gets_a_space(cli: Cli) -> None:
    command = ("operators", "--backend", FAKE, "--backend", "second:Deep", "--space", SMALL,
               "--out", "pools", "--keep", "3", "--per-family", "1", "--retest", "0")  # fmt: skip
    code, out, err = cli(*command, "--json", "--plot", "p.png")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["layer"] for row in rows] == ["1.1", "1.2"]
    fake, deep = [key for key in rows[0] if key not in ("layer", "differs", "timed")]
    assert all(len(row[name]) == 3 for row in rows for name in (fake, deep))
    assert not any(o.startswith("shuffle") for row in rows for o in row[deep])
    assert "no shuffle here" in " ".join(err.split())
    spaces = {path.stem: parse_space(str(path)) for path in Path("pools").glob("*.toml")}
    assert set(spaces) == {fake.replace(":", "-"), deep.replace(":", "-"), "union"}
    own = spaces[deep.replace(":", "-")]
    assert [v.options for v in own.forest.variables] == [tuple(row[deep]) for row in rows]
    # What one of them cannot run could not be measured on it.
    both = {o for o in (*rows[0][fake], *rows[0][deep]) if not o.startswith("shuffle")}
    assert any(o.startswith("shuffle") for o in rows[0][fake])
    assert set(spaces["union"].forest["1.1"].options) == both
    assert Path("p.png").stat().st_size > 1000
    for row in rows:
        assert row["timed"][fake].keys() >= set(row[fake])
        assert not any(o.startswith("shuffle") for o in row["timed"][deep])
        for one in row["timed"][fake].values():
            assert one["seconds"] > 0
            assert math.isfinite(one["score"])
    # Nothing is timed again, and what is found is the same.
    again = cli(*command, "--json")
    assert (again[0], json.loads(again[1])) == (0, rows)
    assert cli("sample", "--space", f"pools/{deep.replace(':', '-')}.toml", "-n", "2")[0] == 0


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backends of this file can be found."""
    (tmp_path / "second.py").write_text(SECOND)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("second")
def test_a_layer_without_any_operator_is_refused_by_name(cli: Cli) -> None:
    code, _, err = cli("operators", "--backend", "second:Poor", "--space", SMALL, "--out", "pools",
                       "--retest", "0")  # fmt: skip
    said = " ".join(err.split())
    assert code == 2
    assert "second:Poor runs no operator of the layer '1.2'" in said
    assert "no second layer here; take another space or another backend" in said
    assert not list(Path("pools").glob("*.toml"))


def test_there_is_no_union_where_nothing_of_the_pools_runs_on_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of two backends runs what the other one does not, in one of the layers."""
    space = parse_space(SMALL)
    pools = {"a": {"1.1": ("sep3",), "1.2": ("sep3",)}, "b": {"1.1": ("sep5",), "1.2": ("sep3",)}}
    failed = {"a": {("1.1", "sep5"): "no"}, "b": {("1.1", "sep3"): "no"}}
    timed = [Timed(name, {}, None, failed[name]) for name in pools]
    _write(tmp_path, space, timed, [Liking(name, of, None) for name, of in pools.items()])
    assert {path.name for path in tmp_path.glob("*.toml")} == {"a.toml", "b.toml"}
    assert "runs on all in 1.1: no " in " ".join(capsys.readouterr().err.split())


def test_in_how_many_layers_backends_differ_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    _say_differing({("a", "b"): {"1": True, "2": False}, ("a", "c"): {"1": None, "2": None}})
    assert " ".join(capsys.readouterr().out.split()) == (
        "Layers whose pools differ beyond the noise on a and b: 1 of 2. Layers whose pools differ "
        "beyond the noise on a and c: not known, since nothing was timed twice."
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--keep", "0"), "keep must be 1 or more"),
        (("--space", "proxyless"), "'proxyless' has no setting 'pools'"),
        (("--space", "operators(pools=(sep9))"), "'sep9' is no operator"),
        (("--beta", "nan"), "beta must be 0 or more"),
        (("--backend", "union"), "'union' would be written over that of the union of all"),
        (("--backend", "a:b", "--backend", "a-b"), "'a-b' would be written over that of a:b"),
    ],
)
def test_bad_input_writes_nothing(more: tuple[str, ...], why: str, cli: Cli) -> None:
    code, _, err = cli("operators", "--backend", FAKE, "--out", "pools", *more)
    assert code == 2
    assert why in " ".join(err.split())
    assert not Path("pools").exists()
