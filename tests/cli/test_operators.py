"""``latbench operators`` on two simulated backends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

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
"""
SMALL = "operators(widths=(8 16 24), blocks=(2), resolution=18, classes=10)"


def test_each_backend_gets_a_space(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "second.py").write_text(SECOND)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = ("operators", "--backend", FAKE, "--backend", "second:Deep", "--space", SMALL,
               "--out", "pools", "--keep", "3", "--retest", "0")  # fmt: skip
    code, out, err = cli(*command, "--json", "--plot", "p.png")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["layer"] for row in rows] == ["1.1", "1.2"]
    fake, deep = [key for key in rows[0] if key not in ("layer", "differs")]
    assert all(len(row[name]) == 3 for row in rows for name in (fake, deep))
    assert not any(o.startswith("shuffle") for row in rows for o in row[deep])
    assert "no shuffle here" in " ".join(err.split())
    spaces = {path.stem: parse_space(str(path)) for path in Path("pools").glob("*.toml")}
    assert set(spaces) == {fake.replace(":", "-"), deep.replace(":", "-"), "union"}
    own = spaces[deep.replace(":", "-")]
    assert [v.options for v in own.forest.variables] == [tuple(row[deep]) for row in rows]
    both = {*rows[0][fake], *rows[0][deep]}
    assert set(spaces["union"].forest["1.1"].options) == both
    assert Path("p.png").stat().st_size > 1000
    # Nothing is timed again, and what is found is the same.
    again = cli(*command, "--json")
    assert (again[0], json.loads(again[1])) == (0, rows)
    assert cli("sample", "--space", f"pools/{deep.replace(':', '-')}.toml", "-n", "2")[0] == 0


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
