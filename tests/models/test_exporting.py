"""Files of an exported model are run as a stranger runs them: in plain ONNX Runtime and torch."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

import latbench
from latbench.errors import BackendError, ParseError, UsageError
from latbench.export import torch_code
from latbench.export.torch_code import LayerCode
from latbench.models import Model, Trained, export_model, read_model, save_model
from latbench.networks.blocks import classifier, conv_bn
from latbench.networks.channels import channels_of, narrowed
from latbench.networks.general.arithmetic import Where
from latbench.networks.general.arrays import Constant, Gather
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Elementwise, Input
from latbench.networks.weights import make_weights
from latbench.search.config import TrainConfig
from latbench.search.images.images import ImageData, load_images
from latbench.search.training.train import train

Array = npt.NDArray[Any]


def small(batch: int = 1) -> Network:
    """Two residual blocks for the digits."""
    b = NetworkBuilder((batch, 1, 8, 8))
    x = conv_bn(b, b.input, 8, 3)
    for _ in range(2):
        y = conv_bn(b, b.add(Activation("relu"), conv_bn(b, x, 8, 3)), 8, 3)
        x = b.add(Elementwise("add"), x, y)
    return b.build(classifier(b, x, 10))


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_images("digits", limit=300)


@pytest.fixture(scope="module")
def trained(digits: ImageData) -> Model:
    """A network that was trained for an instant."""
    network = small()
    outcome = train(network, digits, TrainConfig(epochs=5, batch=32, learning_rate=0.1))
    return Model(
        "a digit", network, outcome.weights, trained=digits.trained(outcome.test_accuracy)
    )  # fmt: skip


def in_onnx_runtime(path: Path, images: Array) -> Array:
    """The outputs of an ONNX file, all at once."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: images})
    return np.asarray(output)


def test_files_have_the_accuracy_that_was_printed(
    trained: Model, digits: ImageData, tmp_path: Path
) -> None:
    record = trained.trained
    assert record is not None
    assert 0.3 < record.accuracy <= 1
    names = {"onnx": "net.onnx", "torch": "net.py", "weights": "net.safetensors"}
    paths: dict[str, Any] = {kind: tmp_path / name for kind, name in names.items()}
    save_model(trained, tmp_path / "model")
    found = export_model(tmp_path / "model", **paths, any_batch=True)
    assert found.files == paths
    assert found.model == trained
    assert found.onnx_error is not None
    assert found.onnx_error < 1e-5
    assert found.torch_error == 0
    # From what a camera gives, by what is said in the file.
    assert isinstance(digits.test_images, torch.Tensor)
    assert digits.std is not None
    std, black = digits.std[:, None, None], digits.black[:, None, None]
    seen = digits.test_images * std - black * std
    kept = {p.key: p.value for p in onnx.load(paths["onnx"]).metadata_props}
    images = (seen.numpy() - float(kept["mean"])) / float(kept["std"])
    logits = in_onnx_runtime(paths["onnx"], images.astype(np.float32))
    right = float((logits.argmax(1) == digits.test_labels.numpy()).mean())
    assert right == record.accuracy
    assert float(kept["accuracy"]) == record.accuracy
    net = runpy.run_path(str(paths["torch"]))["load"](str(paths["weights"]))
    with torch.inference_mode():
        outputs = net(torch.from_numpy(images.astype(np.float32))).numpy()
    np.testing.assert_allclose(outputs, logits, rtol=1e-5, atol=1e-5)
    said = f"Accuracy {record.accuracy:.2%} on the test images of digits"
    assert said in paths["torch"].read_text()


@pytest.mark.parametrize("how", ["narrower", "zeros"])
def test_pruned_models(trained: Model, how: str, tmp_path: Path) -> None:
    assert trained.weights is not None
    if how == "narrower":
        channels = channels_of(trained.network)
        kept = {g.name: np.arange(g.size) % 3 != 1 for g in channels.groups}
        network, weights = narrowed(channels, trained.weights, kept)
        assert network.parameters < trained.network.parameters
        model = Model("narrow", network, weights)
    else:
        weights = {
            n: np.where(np.abs(a) < 0.1, 0, a).astype(np.float32) if a.ndim == 4 else a
            for n, a in trained.weights.items()
        }
        model = Model("sparse", trained.network, weights)
    found = export_model(
        model, onnx=tmp_path / "a.onnx", torch=tmp_path / "a.py", weights=tmp_path / "a.safetensors"
    )
    assert max(found.onnx_error or 0, found.torch_error or 0) < 1e-5


def test_the_batch_is_that_of_the_model_or_any(tmp_path: Path) -> None:
    model = Model("two", small(batch=2))
    image = np.concatenate([model.input()] * 3)
    latbench.export_model(model, onnx=tmp_path / "two.onnx")
    with pytest.raises(Exception, match="Got: 6 Expected: 2"):
        in_onnx_runtime(tmp_path / "two.onnx", image)
    latbench.export_model(model, onnx=tmp_path / "any.onnx", any_batch=True)
    assert in_onnx_runtime(tmp_path / "any.onnx", image).shape == (6, 10)
    with pytest.raises(UsageError, match="any batch is for the ONNX file"):
        export_model(model, torch=tmp_path / "a.py", any_batch=True)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "nothing to export: name an ONNX file"),
        ({"onnx": "net.pb"}, r"the file for onnx must end in \.onnx, got '.*net.pb'"),
        ({"torch": "net.onnx"}, r"the file for torch must end in \.py"),
        ({"weights": "net.pt"}, r"the file for weights must end in \.safetensors"),
        ({"onnx": "there.onnx"}, r"there.onnx is there already; name another file, or replace it "),
        ({"onnx": "folder.onnx", "force": True}, "folder.onnx is a folder; name another file$"),
    ],
)
def test_bad_files_are_refused_before_anything(
    files: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "there.onnx").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    given: dict[str, Any] = {k: tmp_path / v if isinstance(v, str) else v for k, v in files.items()}
    with pytest.raises(UsageError, match=said):
        export_model("no such model", **given)
    assert (tmp_path / "there.onnx").read_text() == "mine"


def test_what_is_there_is_replaced_when_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("old")
    export_model(Model("a", small()), onnx=tmp_path / "net.onnx", force=True)
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"))


def test_a_folder_that_is_no_model_names_those_in_it(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"there is no saved model at .*; name a folder of sav"):
        export_model(tmp_path, onnx=tmp_path / "a.onnx")
    save_model(Model("a", small()), tmp_path / "found" / "weight-0" / "model-0")
    with pytest.raises(ParseError, match=r"in it there are .*weight-0/model-0; name one$"):
        export_model(tmp_path / "found", onnx=tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_file_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: dict[str, Any] = {"onnx": tmp_path / "a.onnx", "torch": tmp_path / "a.py"}
    rules = torch_code._RULES
    monkeypatch.setitem(rules, Activation, lambda op, _: LayerCode("relu", "nn.Sigmoid"))
    with pytest.raises(BackendError, match=r"the torch file of a computes something else .* noth"):
        export_model(Model("a", small()), **paths)
    monkeypatch.setitem(rules, Activation, lambda op, _: LayerCode("prelu", "nn.PReLU"))
    with pytest.raises(BackendError, match=r"has other tensors than its layers, such as .*; mend"):
        export_model(Model("a", small()), **paths)
    monkeypatch.undo()
    other = Model("b", small(batch=2)).onnx()
    monkeypatch.setattr(Model, "onnx", lambda self: other)
    with pytest.raises(BackendError, match="ONNX Runtime cannot run the ONNX file of a"):
        export_model(Model("a", small()), **paths)
    assert list(tmp_path.iterdir()) == []


def test_a_training_is_saved_with_its_model(tmp_path: Path) -> None:
    record = Trained("digits", 0.5, (0.25,), (0.5,))
    model = Model("a", small(), trained=record)
    assert model == Model("a", small())
    save_model(model, tmp_path / "m")
    assert read_model(tmp_path / "m").trained == record
    path = tmp_path / "m" / "network.json"
    path.write_text(path.read_text().replace('"accuracy": 0.5', '"accuracy": 1.5'))
    with pytest.raises(ParseError, match="is damaged"):
        read_model(tmp_path / "m")


@pytest.mark.parametrize(
    "values", [("a", 2.0, (0.0,), (1.0,)), ("a", 0.5, (0.0,), ()), ("a\nb", 0.5, (0.0,), (1.0,)),
               ("a", 0.5, (0.0,), (0.0,)), (3, 0.5, (0.0,), (1.0,))],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused(values: Any) -> None:
    with pytest.raises(UsageError):
        Trained(*values)


def test_constants_of_integers_stay_integers_in_the_file_of_weights(tmp_path: Path) -> None:
    b = NetworkBuilder.of_inputs(Input((1, 4, 6), "image"), Input((1, 1, 6), "mask", "bool"))
    x = b.add(Where(), 1, 0, b.add(Constant((1, 4, 6))))
    network = b.build(b.add(Gather(1), x, b.add(Constant((2, 2), "int64"))), x)
    weights = make_weights(network)
    (name,) = (n for n, shape, _ in network.tensors() if shape == (2, 2))
    weights[name] = np.array([[3, 0], [1, 3]], np.float32)
    paths: dict[str, Any] = {"torch": tmp_path / "a.py", "weights": tmp_path / "a.safetensors"}
    found = export_model(Model("a", network, weights), onnx=tmp_path / "a.onnx", **paths)
    assert max(found.onnx_error or 0, found.torch_error or 0) < 1e-6
    kept = load_file(paths["weights"])
    assert sorted(array.dtype.name for array in kept.values()) == ["float32", "int64"]
    net = runpy.run_path(str(paths["torch"]))["load"](str(paths["weights"]))
    assert [p.shape for p in net.parameters()] == [(1, 4, 6)]
    assert [p.dtype for p in net.buffers()] == [torch.int64]


def test_a_model_of_a_file_is_that_file_as_it_is(tmp_path: Path) -> None:
    made = Model("a", small()).onnx()
    made.producer_name = "somebody"
    onnx.save(made, tmp_path / "theirs.onnx")
    model = Model.from_onnx(tmp_path / "theirs.onnx")
    found = export_model(model, onnx=tmp_path / "ours.onnx", torch=tmp_path / "ours.py")
    assert (tmp_path / "ours.onnx").read_bytes() == (tmp_path / "theirs.onnx").read_bytes()
    assert max(found.onnx_error or 0, found.torch_error or 0) < 1e-5
    with pytest.raises(UsageError, match="theirs was read from an ONNX file, which is written as"):
        export_model(model, onnx=tmp_path / "any.onnx", any_batch=True)
