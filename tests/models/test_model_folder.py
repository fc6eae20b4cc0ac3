"""A model's folder comes back as what was saved, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import networks

from latbench.errors import ParseError, UsageError
from latbench.models import Model, model_folder, read_model, save_model
from latbench.models.model_folder import INPUTS_FILE, NETWORK_FILE, SOURCE_FILE, WEIGHTS_FILE
from latbench.networks.network import Network
from latbench.networks.weights import make_weights
from latbench.testing.networks import conv_chain, several_inputs

TINY = conv_chain(layers=2, channels=4, resolution=6)
TRAINED = Model("λ = 0.5, seed 1", TINY, make_weights(TINY, seed=1))


@settings(deadline=None, max_examples=40)
@given(network=networks(), seed=st.none() | st.integers(0, 3), name=st.sampled_from(["a", "ä b/c"]))
def test_a_model_comes_back(
    tmp_path_factory: pytest.TempPathFactory, network: Network, seed: int | None, name: str
) -> None:
    weights = None if seed is None else make_weights(network, seed)
    model, folder = Model(name, network, weights), tmp_path_factory.mktemp("m") / "deep" / "m"
    save_model(model, folder)
    again = read_model(folder)
    assert (again.name, again.network, str(again)) == (name, network, str(model))
    assert (again.weights is None) == (weights is None)
    for key, array in (again.weights or {}).items():
        np.testing.assert_array_equal(array, model.arrays[key])
        assert array.flags.writeable


def test_what_was_tuned_for_a_model_is_kept_and_changes_nothing_of_its_text(tmp_path: Path) -> None:
    tuned = Model(TRAINED.name, TINY, TRAINED.weights, {"a runtime": [{"tiles": [1, 2]}]})
    assert (str(tuned), tuned) == (str(TRAINED), TRAINED)
    save_model(tuned, tmp_path / "m")
    assert read_model(tmp_path / "m").tuned == tuned.tuned
    save_model(TRAINED, tmp_path / "m")
    assert read_model(tmp_path / "m").tuned == {}


def test_saving_replaces_an_older_model_and_nothing_else(tmp_path: Path) -> None:
    save_model(TRAINED, tmp_path / "m")
    save_model(Model("b", TINY), tmp_path / "m")
    assert read_model(tmp_path / "m") == Model("b", TINY)
    assert [p.name for p in (tmp_path / "m").iterdir()] == [NETWORK_FILE]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="exists and is no saved model"):
        save_model(TRAINED, tmp_path / "home")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "m"]


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a\0b"])
def test_a_name_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a name of one line"):
        save_model(Model(name, TINY), tmp_path / "m")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_are_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    weights = make_weights(TINY)
    name = max(weights)
    weights[name] = np.full_like(weights[name], value)
    model = Model("mine", TINY, weights)
    with pytest.raises(UsageError, match=f"^the model 'mine' has NaN or .* weight '{name}'; save"):
        save_model(model, tmp_path / "m")
    assert not any(tmp_path.iterdir())
    with monkeypatch.context() as patch:  # as latbench wrote them before
        patch.setattr(model_folder, "_check_finite", lambda *_: None)
        save_model(model, tmp_path / "m")
    with pytest.raises(ParseError, match=f"m has NaN or infinity in its weight '{name}'; save"):
        read_model(tmp_path / "m")


def edited(key: str, value: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / NETWORK_FILE
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return edit


def other_weights(folder: Path) -> None:
    save_model(Model("other", TINY, make_weights(TINY, seed=2)), folder.with_name("other"))
    shutil.copy(folder.with_name("other") / WEIGHTS_FILE, folder / WEIGHTS_FILE)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda m: (m / NETWORK_FILE).write_text("{"),
    "a list": lambda m: (m / NETWORK_FILE).write_text("[1, 2]"),
    "no text": lambda m: (m / NETWORK_FILE).write_bytes(b"\xff\xfe\x00"),
    "nothing": lambda m: (m / NETWORK_FILE).unlink(),
    "a later format": edited("format", 2),
    "no layers": edited("layers", []),
    "no name and digest": edited("text", None),
    "another digest": edited("text", f"{TRAINED.name}@{'0' * 16}"),
    "no name": edited("name", None),
    "another name": edited("name", "mine"),
    "tuned for nothing": edited("tuned", None),
    "said to be without weights": edited("weights", False),
    "weights missing": lambda m: (m / WEIGHTS_FILE).unlink(),
    "weights cut": lambda m: (m / WEIGHTS_FILE).write_bytes((m / WEIGHTS_FILE).read_bytes()[:-9]),
    "weights long": lambda m: (m / WEIGHTS_FILE).write_bytes(bytes(10**6)),
    "weights of another": other_weights,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    save_model(TRAINED, tmp_path / "m")
    DAMAGES[damage](tmp_path / "m")
    with pytest.raises(ParseError, match=r"^.{20}[^\n]*$") as raised:
        read_model(tmp_path / "m")
    assert "made again" not in str(raised.value)  # nothing but its owner makes it


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "file"):
        with pytest.raises(ParseError, match="there is no saved model at"):
            read_model(path)


def test_a_failed_save_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(TRAINED, tmp_path / "m")

    def disk_full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", disk_full)
    with pytest.raises(OSError, match="no space left"):
        save_model(Model("b", TINY), tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert read_model(tmp_path / "m") == TRAINED


def from_a_file() -> Model:
    return replace(several_inputs(), notes=("its weights were invented",))


def test_a_model_of_a_file_comes_back_with_it(tmp_path: Path) -> None:
    model = from_a_file()
    save_model(model, tmp_path / "m")
    again = read_model(tmp_path / "m")
    assert str(again) == str(model)
    assert (again.source, again.notes) == (model.source, model.notes)
    assert again.given.keys() == {"mask"}
    for name, (x, y) in zip(
        model.input_names, zip(model.inputs(), again.inputs(), strict=True), strict=True
    ):
        assert x.dtype == y.dtype, name
        np.testing.assert_array_equal(x, y)
    save_model(TRAINED, tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [NETWORK_FILE, WEIGHTS_FILE]


def outside(source: bytes) -> bytes:
    """The file with a weight that lies in another one."""
    model = onnx.load_from_string(source)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (SOURCE_FILE, None, "lacks its source.onnx"),
        (SOURCE_FILE, lambda data: data[:-9], "damaged"),
        (SOURCE_FILE, lambda data: data.replace(b"told", b"tolt"), "not what was saved"),
        (SOURCE_FILE, outside, "has external data, which bytes cannot"),
        (INPUTS_FILE, None, "lacks its inputs.safetensors"),
        (INPUTS_FILE, lambda data: data[:-1] + b"\0", "inputs.safetensors is not what was saved"),
        (INPUTS_FILE, lambda data: data[:-1], "no whole safetensors file"),
        (INPUTS_FILE, lambda data: data * 99, "bytes, its network's tensors have"),
        (INPUTS_FILE, lambda data: data.replace(b"mask", b"musk"), "not what was saved"),
    ],
)
def test_a_file_that_is_not_what_was_saved_is_refused(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes] | None, says: str
) -> None:
    save_model(from_a_file(), tmp_path / "m")
    path = tmp_path / "m" / name
    path.write_bytes(change(path.read_bytes())) if change else path.unlink()
    with pytest.raises(ParseError, match=says):
        read_model(tmp_path / "m")


def test_inputs_are_the_network_s(tmp_path: Path) -> None:
    model = from_a_file()
    for arrays, says in (
        ({"musk": model.given["mask"]}, "unknown input 'musk'; did you mean 'mask'"),
        ({"mask": np.ones((1, 4), np.bool_)}, r"of bool and shape \(1, 3\); got bool of shape"),
        ({"words": np.ones((1, 3))}, "of int64 and shape .* got float64"),
    ):
        with pytest.raises(UsageError, match=says):
            replace(model, given=arrays)
