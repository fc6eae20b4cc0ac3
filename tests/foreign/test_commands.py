"""No command runs code that a file names: each one, on files that name a foreign module's classes
wherever a file can name a class. See latbench.plugins for the rule.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest
import typer
from experiment_file import FAKE
from strangers import KNOWN, RUNTIME, TINY

from latbench.cli.app import app, run


def command_line(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Path
) -> tuple[int, str, str]:
    """Runs it in this process; exit code, output, standard error."""
    words = shlex.split(arguments.replace("$OUT", str(out)))
    monkeypatch.setattr(sys, "argv", ["latbench", *words])
    with pytest.raises(SystemExit) as stop:
        run()
    return (int(stop.value.code or 0), *capsys.readouterr())


READ_NO_FILE = {"networks", "device", "backends", "example"}
# Of each other command: what is tried, and how it ends. 0 shows what there is without the module.
WALK: dict[str, dict[str, int]] = {
    "store": {
        "backend.sqlite": 0, "space.sqlite": 0, "layers.sqlite": 0, "everything.sqlite --json": 0,
    },
    "stats": {"backend.sqlite": 0, "space.sqlite": 0, "layers.sqlite": 0},
    "recheck": {"backend.sqlite": 2, "space.sqlite": 2},
    "doctor": {"backend.sqlite": 0, "space.sqlite": 0, "layers.sqlite --json": 0},
    "merge": {
        "$OUT/m.sqlite backend.sqlite later.sqlite --keep first": 0,
        "$OUT/m.sqlite everything.sqlite everything-later.sqlite --keep first": 0,
        "$OUT/m.sqlite space.sqlite backend.sqlite": 2,
    },
    "export": {"backend.sqlite $OUT/p.parquet": 0, "space.sqlite $OUT/p.parquet": 2},
    "import": {
        "backend.parquet $OUT/s.sqlite": 0,
        "space.parquet $OUT/s.sqlite": 2,
        f"table.csv $OUT/s.sqlite --space '{KNOWN}' --source evilmod:Runtime": 0,
    },
    "report": {
        "backend.sqlite --out $OUT/p.html": 0,
        "space.sqlite --out $OUT/p.html": 0,
        "layers.sqlite --out $OUT/p.html": 0,
        "e-all --out $OUT/p.html": 0,
        "e-backend --out $OUT/p.html": 0,
        "p-model --out $OUT/p.html": 0,
    },
    "changes": {
        "backend.sqlite later.sqlite --out $OUT/p.html": 0,
        "everything.sqlite everything-later.sqlite --json": 0,
        "e-backend later.sqlite": 0,
        "space.sqlite --sets 1 1": 0,
        "backend.sqlite --split 2020-01-01": 2,
    },
    "fit": {
        "--store backend.sqlite --predictor ridge-counts --folds 2 --out $OUT/m": 0,
        "--store space.sqlite --predictor ridge-counts --out $OUT/m": 2,
    },
    "fit-until": {
        f"5% --store space.sqlite --backend {FAKE} --predictor ridge-counts --out $OUT/m": 2,
    },
    "compare": {
        "--store backend.sqlite --predictor ridge-counts --folds 2 --out $OUT/p.html": 0,
        "--store space.sqlite --predictor ridge-counts": 2,
        "--store layers.sqlite --predictor ridge-counts": 2,
    },
    "predict": {
        "--model m-backend -n 2": 0,
        "--model m-predictor -n 2": 2,
        "--model m-space -n 2": 2,
        f"--model m-space --space '{KNOWN}' -n 2": 2,
        "--model space.sqlite m-network": 2,
    },
    "transfer": {
        "--from backend.sqlite --to later.sqlite -n 10 --method counts": 0,
        "--from space.sqlite --to later.sqlite -n 10": 2,
        "--from later.sqlite --to space.sqlite -n 10": 2,
    },
    "search": {
        f"--model m-backend --store $OUT/s.sqlite --out $OUT/s {TINY}": 2,
        "--model m-predictor --out $OUT/s": 2,
        "--model m-space --out $OUT/s": 2,
        "--model m-backend --judge m-predictor --out $OUT/s": 2,
    },
    "measure-actively": {f"--store space.sqlite --backend {FAKE} -n 40": 2},
    "measure": {
        f"--store space.sqlite --space '{KNOWN}' --backend {FAKE} -n 2": 2,
        f"--store $OUT/s.sqlite --space '{KNOWN}' --backend {FAKE} --model m-network": 2,
        f"--store $OUT/s.sqlite --space '{KNOWN}' --backend simd-sparse --tables --model m-network":
            2,
        f"--store $OUT/s.sqlite --space '{KNOWN}' --backend {FAKE} --model m-network "
        "--sweep batch=1,2": 2,
    },
    "profile": {
        f"--model m-network --backend {FAKE}": 2,
        f"--network resnet20_cifar --backend {FAKE} --predictor m-space": 2,
        f"--network resnet20_cifar --backend {FAKE} --predictor m-predictor": 2,
    },
    "compare-backends": {f"--store space.sqlite --space '{KNOWN}' --backend {FAKE} -n 3": 2},
    "run": {"own.toml --out $OUT/e-all": 2},
    "space": {"space.toml": 2},
    "show": {"m-network": 2, f"resnet18 m-network --space '{KNOWN}' --json": 2},
    "sample": {"--space space.toml": 2},
    "count": {"macs --space space.toml --out $OUT/m": 2},
    "prune": {f"m-network --budget 50% --backend {FAKE} --out $OUT/p": 2},
    "export-model": {
        "m-network --onnx $OUT/n.onnx": 2,
        "--architecture x --space space.toml --onnx $OUT/n.onnx": 2,
    },
    "operators": {f"--backend {FAKE} --space space.toml --out $OUT/pools": 2},
}  # fmt: skip


def test_every_command_is_tried() -> None:
    group = typer.main.get_command(app)
    assert {*WALK, *READ_NO_FILE} == set(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(f"{name} {rest}", code) for name, tried in WALK.items() for rest, code in tried.items()],
    ids=str,
)
def test_no_command_imports_what_a_file_names(
    arguments: str, code: int, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree("e-all", tmp_path / "e-all")  # for `run`, which writes there
    ended, _, err = command_line(arguments, monkeypatch, capsys, tmp_path)
    assert not untouched.exists()
    assert "evilmod" not in sys.modules
    assert ended == code, err
    if code:
        *_, last = err.strip().splitlines()
        assert last.startswith("error: ")
        assert "evilmod" in last


@pytest.mark.slow
@pytest.mark.parametrize("command", ["measure", "compare-backends"])
def test_no_campaign_imports_what_its_store_names(
    command: str, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Measuring more into a store lists the sets that it has already."""
    shutil.copy("backend.sqlite", tmp_path / "s.sqlite")
    arguments = f"{command} --store $OUT/s.sqlite --space '{KNOWN}' --backend {FAKE} -n 3"
    code, out, err = command_line(arguments, monkeypatch, capsys, tmp_path)
    assert code == 0, err
    assert RUNTIME in out or command != "measure"
    assert not untouched.exists()


def test_options_are_shown_as_stored_without_the_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], untouched: Path
) -> None:
    _, out, _ = command_line("store backend.sqlite --json", monkeypatch, capsys, untouched)
    assert '"options": "s_per_mac=1e-09 seed=0"' in out
    assert not untouched.exists()
    monkeypatch.setenv("LATBENCH_TRUST", "evilmod")
    _, out, _ = command_line("store backend.sqlite --json", monkeypatch, capsys, untouched)
    assert '"options": "s_per_mac=1e-09"' in out
    assert untouched.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "store backend.sqlite", "store space.sqlite", "store layers.sqlite", "stats layers.sqlite",
        "import space.parquet $OUT/s.sqlite", "report e-all --out $OUT/p.html",
        "predict --model m-predictor -n 2", "predict --model m-space -n 2",
    ],
)  # fmt: skip
def test_the_walk_would_see_an_import(
    arguments: str, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LATBENCH_TRUST", "evilmod")
    command_line(arguments, monkeypatch, capsys, tmp_path)
    assert untouched.exists()
