"""Peak memory from the campaign to the search, as a user does it: on ONNX Runtime, on a CPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from latbench.cli.app import run
from latbench.errors import NotEnoughData
from latbench.predictors.model import LatencyModel
from latbench.store import Store
from latbench.timing.metric import MEMORY, SIZE

SPACE = "darts(channels=8, cells=3, resolution=16, in_channels=1)"
# Few large steps; the larger weight drowns the task's loss, so that the cost alone decides.
SETTINGS = ("epochs=2", "batch=16", "channels=2", "cells=3", "alpha_learning_rate=0.5")
Cli = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> Cli:
    """Runs the command line in one folder for all tests; gives standard output."""
    monkeypatch.chdir(folder)
    before = torch.get_num_threads()

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["latbench", *arguments])
        torch.set_num_threads(1)
        try:
            with pytest.raises(SystemExit) as stop:
                run()
        finally:
            torch.set_num_threads(before)
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        return str(out)

    return call


@pytest.fixture
def images(folder: Path) -> Path:
    """64 digits to learn from: the network's accuracy does not matter here."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.reshape(-1, 8, 8) / 16
    path = folder / "images.npz"
    np.savez(path, x_train=pixels[:64], y_train=labels[:64], x_test=pixels[-16:],
             y_test=labels[-16:])  # fmt: skip
    return path


@pytest.fixture
def store(cli: Cli, folder: Path) -> Path:
    """A real campaign of 24 networks, each in as few visits as there may be."""
    path = folder / "latbench.sqlite"
    if not path.exists():
        cli("measure", "--space", SPACE, "--backend", "onnxruntime", "--option", "threads=1",
            "-n", "24", "--retest", "0", "--half-width", "0.5")  # fmt: skip
    return path


def test_every_network_has_its_memory_and_size(store: Path) -> None:
    with Store(store) as opened:
        latency, memory, size = (opened.dataset(metric=m) for m in ("latency", "memory", "size"))
        with pytest.raises(NotEnoughData, match="energy"):
            opened.dataset(metric="energy")
    assert len(latency) == len(memory) == len(size) == 24
    assert (memory.metric, size.metric) == (MEMORY, SIZE)
    # A process of this runtime takes more than the network's weights, and less than a GiB.
    assert (memory.values > size.values).all()
    assert (memory.values < 2**30).all()
    parameters = [4 * memory.space.build(a).parameters for a in size.architectures]
    np.testing.assert_allclose(size.values, parameters, rtol=1.0)
    assert len({d.fingerprint() for d in (latency, memory, size)}) == 3


@pytest.mark.slow  # 9 s
def test_a_search_with_a_memory_predictor_finds_a_leaner_network(
    store: Path, images: Path, cli: Cli
) -> None:
    (compared,) = json.loads(cli("compare", "--metric", "memory", "--predictor", "ridge-counts",
                                 "--json"))  # fmt: skip
    assert (compared["metric"], compared["unit"], compared["samples"]) == ("memory", "bytes", 24)
    fit = ("fit", "--metric", "memory", "--predictor", "ridge-counts")
    assert "RMSE MiB" in cli(*fit, "--out", "model")
    assert LatencyModel.load("model").metric == MEMORY
    predicted = json.loads(cli("predict", "--model", "model", "-n", "3", "--json"))
    assert all(2**18 < row["memory_bytes"] < 2**30 for row in predicted)
    assert "MiB" in cli("predict", "--model", "model", "-n", "1")

    def found(weight: str) -> float:
        command = ["search", "--model", "model", "--out", f"out-{weight}", "--data", str(images)]
        command += [part for setting in SETTINGS for part in ("--setting", setting)]
        (row,) = json.loads(cli(*command, "--penalty-weight", weight, "--metric", "memory",
                                "--json"))  # fmt: skip
        (path,) = Path(f"out-{weight}").glob("*/*/result.json")
        result = json.loads(path.read_text())["result"]
        assert result["metric"] == "memory"
        assert result["predicted"] == row["predicted_bytes"]
        # The course of the search is in bytes too; what its end predicts may be far off.
        assert 2**18 < result["history"][0]["expected"] < 2**30
        return float(row["predicted_bytes"])

    plain, lean = found("0"), found("1000")
    everywhere = LatencyModel.load("model")
    sample = [a for _, a in everywhere.space.unique_samples(1, 200)]
    assert lean < plain
    # Leaner than nearly all of the space, not only than what one other search found.
    assert lean < np.quantile(everywhere.predict(sample), 0.05)
