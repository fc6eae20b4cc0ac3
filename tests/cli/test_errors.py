"""Bad input: one clear sentence, exit code 2, no traceback, nothing written."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from latbench.spaces import darts, nasbench201
from latbench.store import Store

Cli = Callable[..., tuple[int, str, str]]

SMALL = "nasbench201(channels=4, cells=1, resolution=8)"
EXPERIMENT = """
title = "test"
[space]
name = "darts"
channels = 4
cells = 3
resolution = 8
in_channels = 1
[[backends]]
name = "onnxruntime"
"""


def assert_sentence(result: tuple[int, str, str], *words: str) -> None:
    code, _, err = result
    text = " ".join(err.split())
    assert code == 2, err
    assert "Traceback" not in err
    assert text.startswith("error: ")
    for word in words:
        assert word in text, text


def test_unknown_backend(cli: Cli, tmp_path: Path) -> None:
    assert_sentence(cli("measure", "--backend", "onnxrutime"), "onnxrutime", "onnxruntime")
    assert list(tmp_path.iterdir()) == []


def test_backend_that_is_not_installed(cli: Cli, tmp_path: Path) -> None:
    result = cli("measure", "--backend", "torch-eager", "--option", "device=cuda")
    assert_sentence(result, "torch-eager", "CUDA")
    assert list(tmp_path.iterdir()) == []


def test_unknown_backend_option(cli: Cli, tmp_path: Path) -> None:
    assert_sentence(cli("measure", "--option", "thread=2"), "thread", "threads")
    assert_sentence(cli("measure", "--option", "threads=two"), "threads", "two")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", ["0", "1", "100", "100%", "101", "-5", "nan", "inf", "high", "%"])
def test_an_interval_that_covers_nothing_or_all(cli: Cli, level: str) -> None:
    assert_sentence(cli("predict", "--model", "m", f"--interval={level}"), level, "0.9 or 90%")


def test_a_misspelt_predictor_and_metric(cli: Cli) -> None:
    with Store(Path("latbench.sqlite"), nasbench201()):
        pass
    near = "unknown predictor 'mpl'; did you mean 'mlp'? expected one of gnn, lightgbm"
    assert_sentence(cli("fit", "--predictor", "mpl", "--out", "m"), near)
    assert_sentence(cli("compare", "--metric", "memry"), "did you mean 'memory'?")


def test_unknown_space_and_setting(cli: Cli) -> None:
    assert_sentence(cli("space", "dart"), "'dart'", "darts")
    assert_sentence(cli("space", "darts(chanels=3)"), "chanels", "channels")
    assert_sentence(cli("space", "darts(channels=x)"), "channels", "'x'")
    assert_sentence(cli("space", "darts("), "darts(")


@pytest.mark.parametrize(
    "text", ["nonsense", "|nor_conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|", ""]
)
def test_genotype_that_is_not_in_the_space(cli: Cli, tmp_path: Path, text: str) -> None:
    assert_sentence(cli("measure", "--space", SMALL, text), "expected")
    assert list(tmp_path.iterdir()) == []


def test_store_made_for_another_space(cli: Cli, tmp_path: Path) -> None:
    Store(tmp_path / "s.sqlite", nasbench201()).close()
    before = (tmp_path / "s.sqlite").read_bytes()
    result = cli("measure", "--space", "darts", "--store", "s.sqlite")
    assert_sentence(result, "nasbench201", "darts")
    assert (tmp_path / "s.sqlite").read_bytes() == before


def test_store_that_is_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_text("hello " * 100)
    assert_sentence(cli("compare", "--store", "s.sqlite"), "s.sqlite")
    assert_sentence(cli("compare", "--store", "missing.sqlite"), "missing.sqlite", "measure")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.sqlite"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("n_samples = 3", ("n_samples",)),
        ('[measure]\nn = "many"', ("measure.n", "'many'", "integer")),
        ("[measure]\nm = 4", ("measure.m",)),
        ("[predict]\npenalty = 'mpl'", ("'mpl'", "mlp")),
        ("[protocol]\ntarget = 7", ("target",)),
        ("[search]\nbackend = 'tensorrt'", ("tensorrt", "onnxruntime")),
        ("[search]\nbackend = 'onnxruntime'\nmetric = 'beauty'", ("'beauty'", "latency, memory")),
        ("[search]\nbackend = 'onnxruntime'\nmetric = 'energy'", ("[measure] energy",)),
        ("[[backends]]\nname = 'onnxruntime'", ("twice",)),
        ("[[backends]]\nthreads = 2", ("name",)),
        ("[[backends]]\nname = 'nope'", ("nope",)),
        ("space =", ("TOML",)),
        ("when = 2024-01-01", ("date",)),
    ],
)
def test_wrong_experiment_files(
    cli: Cli, tmp_path: Path, change: str, words: tuple[str, ...]
) -> None:
    first = change if not change.startswith("[") else ""
    rest = change if change.startswith("[") else ""
    (tmp_path / "e.toml").write_text(f"{first}\n{EXPERIMENT}\n{rest}\n")
    assert_sentence(cli("run", "e.toml"), *words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.toml"]


def test_missing_experiment_file(cli: Cli) -> None:
    assert_sentence(cli("run", "no.toml"), "no.toml")
    assert_sentence(cli("report", "nowhere"), "nowhere")


def test_a_method_that_cannot_search_the_space(cli: Cli, tmp_path: Path) -> None:
    text = EXPERIMENT.replace('"darts"', '"nasbench201"')
    search = "[search]\nbackend = 'onnxruntime'\nsettings = { method = 'pc-darts' }\n"
    (tmp_path / "e.toml").write_text(f"{text}\n{search}")
    assert_sentence(cli("run", "e.toml"), "pc-darts", "nasbench201")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.toml"]


def test_truncated_data_file(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "cifar"
    folder.mkdir()
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(b"\0" * (3073 * 2 - 10))
    text = EXPERIMENT.replace("in_channels = 1", "in_channels = 3").replace("= 8", "= 32")
    (tmp_path / "e.toml").write_text(f"{text}\n[search]\nbackend = 'onnxruntime'\ndata = 'cifar'\n")
    assert_sentence(cli("run", "e.toml"), "data_batch_1.bin", "3073")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cifar", "e.toml"]


def test_data_that_does_not_fit_the_network(cli: Cli, tmp_path: Path) -> None:
    text = EXPERIMENT.replace("in_channels = 1", "in_channels = 3")
    (tmp_path / "e.toml").write_text(f"{text}\n[search]\nbackend = 'onnxruntime'\n")
    assert_sentence(cli("run", "e.toml"), "3", "1")


def test_unwritable_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = cli("measure", "--space", SMALL, "--store", "file/s.sqlite", "-n", "2")
    assert_sentence(result, "file/s.sqlite")
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    assert_sentence(cli("run", "e.toml", "--out", "file/out"), "file")


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
from latbench.cli.app import run
sys.argv = ["latbench", "measure", "--space", sys.argv[1], "--store", "s.sqlite", "-n", "60",
            "--backend", "latbench.testing.fake:CostModelBackend"]
run()
"""


def test_full_disk(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FULL, SMALL], cwd=tmp_path, capture_output=True, text=True,
        # Python 3.11 would leave the half of a module's byte code that the limit lets through.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "disk" in result.stderr.splitlines()[-1] + result.stderr


def test_predictor_used_on_another_space(cli: Cli, tmp_path: Path) -> None:
    _measure_and_fit(cli)
    result = cli("predict", "--model", "model", "DARTS_V2")
    assert_sentence(result, "NAS-Bench-201")
    result = cli("predict", "--model", "model", "--space", str(darts()), "DARTS_V2")
    assert_sentence(result, "nasbench201", "darts")
    assert_sentence(cli("predict", "--model", "model"), "nothing to predict")
    assert_sentence(cli("predict", "--model", "elsewhere", "-n", "1"), "elsewhere")


def test_metrics_that_are_wrong(cli: Cli, tmp_path: Path) -> None:
    _measure_and_fit(cli)
    assert_sentence(cli("compare", "--metric", "beauty"), "'beauty'", "latency, memory")
    assert_sentence(cli("fit", "--metric", "energy", "--out", "other"), "energy")
    search = ("search", "--model", "model", "--out", "found", "--metric")
    assert_sentence(cli(*search, "memory"), "'latency'", "latbench fit --metric memory")
    assert_sentence(cli(*search, "beauty"), "'beauty'", "latency, memory")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latbench.sqlite", "model"]


def test_a_folder_that_is_no_model(cli: Cli, tmp_path: Path) -> None:
    assert_sentence(cli("measure", "--model", "nowhere"), "no saved model at nowhere")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "network.json").write_text("[")
    assert_sentence(
        cli("measure", "--model", "m"), "m is damaged: its network.json", "save it again"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def _measure_and_fit(cli: Cli) -> None:
    measure = ("measure", "--space", SMALL, "-n", "30")
    fake = ("--backend", "latbench.testing.fake:CostModelBackend")
    assert cli(*measure, *fake)[0] == 0
    assert cli("fit", "--predictor", "ridge-counts", "--out", "model")[0] == 0
