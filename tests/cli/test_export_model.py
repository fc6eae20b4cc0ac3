"""``latbench export-model``: what it writes, says and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from latbench.models import Model, Trained, save_model
from latbench.networks.weights import make_weights
from latbench.testing.networks import conv_chain

Cli = Callable[..., tuple[int, str, str]]
FILES = ("--onnx", "net.onnx", "--torch", "net.py", "--weights", "net.safetensors")
NETWORK = conv_chain(layers=2, channels=4, resolution=6)
RECORD = Trained("digits", 0.875, (0.25, 0.5, 0.125), (0.5, 1.0, 0.25))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """The folder of a model with weights and the record of its training."""
    model = Model("mine", NETWORK, make_weights(NETWORK, seed=3), trained=RECORD)
    save_model(model, tmp_path / "mine")
    return "mine"


def test_a_saved_model(cli: Cli, saved: str, tmp_path: Path) -> None:
    code, out, err = cli("export-model", saved, *FILES)
    assert (code, err) == (0, "")
    assert out.startswith("ONNX: net.onnx, off by ")
    assert "\ntorch code: net.py, off by " in out
    assert "\nweights: net.safetensors\n" in out
    assert "accuracy 87.50% on the test images of digits. It reads (image - mean) / std, " in out
    assert "mean 0.25, 0.5, 0.125; std 0.5, 1, 0.25." in out
    kept = {p.key: p.value for p in onnx.load("net.onnx").metadata_props}
    assert kept == {
        "data": "digits", "accuracy": "0.875", "mean": "0.25 0.5 0.125", "std": "0.5 1.0 0.25",
    }  # fmt: skip
    arrays = load_file(tmp_path / "net.safetensors")
    sizes = sum(a.size for n, a in arrays.items() if not n.endswith("num_batches_tracked"))
    assert sizes == sum(np.prod(shape, dtype=int) for _, shape, _ in NETWORK.tensors())


def test_json_names_files_sizes_and_differences(cli: Cli, saved: str) -> None:
    _, out, _ = cli("export-model", saved, *FILES, "--json")
    said = json.loads(out)
    assert said["files"] == {
        "onnx": "net.onnx", "torch": "net.py", "weights": "net.safetensors",
    }  # fmt: skip
    assert said["size_bytes"] == {k: Path(p).stat().st_size for k, p in said["files"].items()}
    assert 0 <= said["onnx_error"] < 1e-5
    assert said["torch_error"] == 0
    assert said["weights"] == "saved"
    assert said["trained"] == {
        "data": "digits", "accuracy": 0.875, "mean": [0.25, 0.5, 0.125], "std": [0.5, 1, 0.25],
    }  # fmt: skip
    assert (said["parameters"], said["macs"]) == (NETWORK.parameters, NETWORK.macs)


@pytest.mark.parametrize(
    "named",
    [
        ("--architecture", "DARTS_V2", "--space", "darts(channels=4, cells=3, resolution=8)"),
        ("--network", "mobilenet_v3_small_075@33"),
    ],
)
def test_architectures_and_published_networks(named: tuple[str, ...], cli: Cli) -> None:
    code, out, err = cli("export-model", *named, "--torch", "deep/net.py")
    assert (code, err) == (0, "")
    assert "its weights are invented: train it before it is used" in out
    assert "Its weights were invented" in Path("deep/net.py").read_text()


def test_an_onnx_file_becomes_torch_code(cli: Cli, tmp_path: Path) -> None:
    """SqueezeNet, as the onnx package ships it."""
    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    code, out, err = cli("export-model", str(light / "light_squeezenet.onnx"), *FILES[2:])
    assert code == 0
    assert out.startswith("torch code: net.py, off by ")
    assert "its weights are all one number, and were invented" in err
    text = Path("net.py").read_text()
    assert "            Branches(64, 16, 64),\n            Branches(128, 16, 64),\n" in text
    assert "        return torch.cat([self.pointwise_relu2(x), self.conv_relu(x)], dim=1)\n" in text
    assert text.count("\n") < 90


def test_inputs_of_a_file_get_shapes_and_values(cli: Cli, tmp_path: Path) -> None:
    made = Model("mine", NETWORK).onnx()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(made, "open.onnx")
    name = made.graph.input[0].name
    shape = (2, *NETWORK.input_shape[1:])
    np.save("x.npy", np.ones(shape, np.float32))
    sizes = ",".join(map(str, shape))
    given = ("--shape", f"{name}={sizes}", "--input", f"{name}=x.npy")
    code, out, _ = cli("export-model", "open.onnx", "--torch", "net.py", *given)
    assert code == 0
    assert "torch code: net.py, off by " in out
    assert f"Input {shape}" in Path("net.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mine",), "nothing to export: name an ONNX file, a file of torch code or one of weights"),
        (FILES, "nothing to export; name a saved model's folder or an ONNX file, or --arch"),
        (("mine", "--network", "resnet18", *FILES), "MODEL and --network to export; name"),
        (("--architecture", "x", *FILES), "--architecture is of a space; name it with --space"),
        (("--network", "resnet18", "--space", "darts", *FILES), "is of no --space; give one"),
        (("--network", "resnet19", *FILES), "resnet19"),
        (("mine", "--onnx", "net.pb"), "the file for onnx must end in .onnx, got 'net.pb'"),
        (("mine", "--onnx", "old.onnx"), "old.onnx is there already; name another file, or"),
        (("nowhere", *FILES), "there is no saved model at nowhere; name a folder of save_model"),
        (("mine", "--torch", "a.py", "--any-batch"), "any batch is for the ONNX file"),
        (("mine", *FILES, "--shape", "x=1,2"), "are of an ONNX file's inputs; name one as MODEL"),
        (("no.onnx", *FILES), "there is no ONNX file at no.onnx; name a file, or a folder of"),
        (("old.onnx", *FILES, "--space", "darts"), "old.onnx is an ONNX file, which is of no --sp"),
        (("old.onnx", *FILES), "old.onnx"),
    ],
)
def test_what_cannot_be_exported(
    arguments: tuple[str, ...], said: str, cli: Cli, saved: str, tmp_path: Path
) -> None:
    (tmp_path / "old.onnx").write_text("mine")
    code, out, err = cli("export-model", *arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "old.onnx"]
    assert (tmp_path / "old.onnx").read_text() == "mine"


def test_files_that_are_there_are_replaced_by_force(cli: Cli, saved: str) -> None:
    assert cli("export-model", saved, *FILES)[0] == 0
    assert cli("export-model", saved, *FILES)[0] == 2
    assert cli("export-model", saved, *FILES, "--force")[0] == 0
