"""``latbench profile``: tables, JSON, pictures, predictions, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.backends.base import Backend
from latbench.cli.profile_command import say_sums
from latbench.models import Model, save_model
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.profiling import ProfileRuns, profile_network
from latbench.spaces import nasbench201
from latbench.store.dataset import LatencyDataset
from latbench.testing import CostModelBackend
from latbench.testing.networks import short_chain

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
SPACE = nasbench201(channels=4, cells=1, resolution=8)
COST = CostModelBackend()
QUICK = ("profile", "--backend", FAKE, "--visits", "2", "--runs", "1")


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 0, err
    return out


def fitted(name: str, folder: Path, backend: str = "cost-model") -> Path:
    """A predictor of SPACE that learnt the fake's formula."""
    architectures = tuple(a for _, a in SPACE.unique_samples(0, 40))
    latency_s = np.array([COST.latency_s(SPACE.build(a)) for a in architectures])
    device = Backend.device_name(COST)
    dataset = LatencyDataset(SPACE, architectures, latency_s, backend, device, noise_floor=0.01)
    LatencyModel.fit(dataset, make_predictor(name)).save(folder)
    return folder


def test_a_published_network(cli: Cli) -> None:
    out = done(cli(*QUICK, "--network", "resnet20_cifar"))
    assert "resnet20_cifar on cost-model: kernels as they run" in out
    assert "kinds of layers" in out
    assert "add up to" in out
    assert "100.0 % of it (medians of 2 visits of 1 run)" in out
    shown = done(cli(*QUICK, "--network", "resnet20_cifar", "--top", "2"))
    assert "the 2 slowest" in shown
    assert len(shown.splitlines()) < len(out.splitlines())


def test_json_names_units(cli: Cli) -> None:
    found: dict[str, Any] = json.loads(
        done(cli(*QUICK, "--network", "resnet20_cifar", "--top", "3", "--json"))
    )
    assert set(found) == {
        "model", "backend", "options", "device", "version", "visits", "runs", "latency_s",
        "latency_s_low", "latency_s_high", "waited_share", "kernels_s", "kernels_share", "kernels",
        "kinds",
    }  # fmt: skip
    assert len(found["kernels"]) == 3
    assert set(found["kernels"][0]) == {
        "place", "kernel", "layers", "does", "kind", "latency_s", "latency_s_low",
        "latency_s_high", "share", "predicted_s",
    }  # fmt: skip
    places = [kernel["place"] for kernel in found["kernels"]]
    assert places == sorted(places)
    assert found["kernels_s"] == pytest.approx(found["latency_s"], rel=1e-3)
    assert sum(kind["share"] for kind in found["kinds"]) == pytest.approx(1)


def test_a_saved_model_and_an_architecture(cli: Cli, tmp_path: Path) -> None:
    save_model(Model("mine", short_chain()), tmp_path / "m")
    assert "mine on cost-model" in done(cli(*QUICK, "--model", "m"))
    text = str(SPACE.reference())
    named = ("--architecture", text, "--space", str(SPACE))
    found = json.loads(done(cli(*QUICK, *named, "--json")))
    assert found["model"].startswith(text)


def test_what_a_predictor_says_of_each(cli: Cli, tmp_path: Path) -> None:
    folder = fitted("roofline", tmp_path / "p")
    named = ("--architecture", str(SPACE.reference()), "--predictor", str(folder))
    code, out, err = cli(*QUICK, *named)  # the space is the predictor's
    assert code == 0, err
    assert "was fitted on" not in err
    assert "predicted" in out
    assert "belong to no layer." in out
    found = json.loads(done(cli(*QUICK, *named, "--json")))
    assert found["predicted_s"] == pytest.approx(found["latency_s"], rel=0.05)
    said = sum(kernel["predicted_s"] or 0 for kernel in found["kernels"])
    assert said + found["predicted_besides_s"] == pytest.approx(found["predicted_s"], rel=1e-3)


def test_a_predictor_of_something_else_is_said(cli: Cli, tmp_path: Path) -> None:
    folder = fitted("ridge-counts", tmp_path / "p", "onnxruntime")
    code, out, err = cli(
        *QUICK, "--architecture", str(SPACE.reference()), "--predictor", str(folder)
    )
    assert code == 0, err
    assert "the predictor was fitted on onnxruntime, and this is cost-model" in err
    assert "a predictor that is no sum over layers" in out


@pytest.mark.parametrize(
    ("waited", "high", "busy"), [(0.0, 1.0, False), (0.5, 1.0, True), (0.0, 1.5, True)]
)
def test_a_busy_machine_is_said(
    capsys: pytest.CaptureFixture[str], waited: float, high: float, busy: bool
) -> None:
    """Also where every visit was disturbed alike."""
    found = profile_network(Model("m", short_chain()), COST, ProfileRuns(1, 1))
    changed = dataclasses.replace(
        found, waited_share=waited, whole_low_s=1.0, whole_s=1.0, whole_high_s=high
    )
    say_sums(changed)
    assert ("the machine was busy" in capsys.readouterr().err) == busy


@pytest.mark.parametrize("name", ["p.svg", "p.png"])
def test_a_picture(cli: Cli, tmp_path: Path, name: str) -> None:
    done(cli(*QUICK, "--network", "resnet20_cifar", "--plot", name))
    begin = (tmp_path / name).read_bytes()[:8]
    assert begin.startswith(b"<svg" if name.endswith("svg") else b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "name one network, by --network NAME, --model FOLDER"),
        ("--network resnet18 --model m", "got 2"),
        ("--network mobilenet", "unknown published network 'mobilenet'; did you mean"),
        ("--network mobilenet_v2@x", "names no resolution"),
        ("--model nowhere", "nowhere"),
        ("--architecture x", "--architecture is of a space; name it with --space"),
        ("--architecture x --space darts", "x"),
        ("--network resnet20_cifar --predictor nowhere", "nowhere"),
        ("--network resnet20_cifar --option speed=1", "speed"),
        ("--network resnet20_cifar --plot no/such/p.svg", "no/such"),
        ("--network resnet20_cifar --visits 0", "--visits"),
        ("--network resnet20_cifar --runs 0", "--runs"),
        ("--network resnet20_cifar --top 0", "--top"),
        ("--network resnet20_cifar --backend nothing", "nothing"),
    ],
)
def test_bad_input_is_a_sentence(cli: Cli, tmp_path: Path, arguments: str, told: str) -> None:
    code, out, err = cli(*QUICK, *arguments.split())
    assert code == 2
    assert told in " ".join(err.split())
    assert "Traceback" not in err
    assert out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", ["litert"])
def test_a_runtime_that_cannot_tell_says_so(cli: Cli, backend: str) -> None:
    pytest.importorskip("ai_edge_litert")
    code, _, err = cli("profile", "--network", "resnet20_cifar", "--backend", backend)
    assert code == 2
    assert f"{backend} cannot profile a network: " in " ".join(err.split())
