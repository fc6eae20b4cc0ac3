from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from importing.onnx_texts import drawn, model, saved
from onnx import TensorProto

from latbench.errors import ParseError
from latbench.importing.onnx_file import parsed, read_file, values_of
from latbench.importing.reading import read_onnx

GRAPH = "g (float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w) }"


def outside(folder: Path, **entries: str) -> Path:
    """A file whose weight is external data with these entries."""
    made = model(GRAPH, w=drawn(4, 3, 3, 3))
    (tensor,) = made.graph.initializer
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    (folder / "inside").mkdir()
    (folder / "weights.bin").write_bytes(data)
    (folder / "inside" / "weights.bin").write_bytes(b"....." + data)
    return saved(folder / "inside", made)


def test_external_data_are_read_from_the_files_folder(tmp_path: Path) -> None:
    path = outside(tmp_path, location="weights.bin", offset="5")
    read = read_onnx(path)
    np.testing.assert_array_equal(read.weights["1.weight"], drawn(4, 3, 3, 3))
    # The source has them inside, so that it can be run anywhere.
    onnx.checker.check_model(onnx.load_from_string(read.source), full_check=True)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"location": "../weights.bin"}, "outside the file's folder; move it beside the file"),
        ({"location": "/etc/passwd"}, "outside the file's folder"),
        ({"location": "weights.bin", "offset": "1000"}, "needs 432 bytes from 1,000 on"),
        ({"location": "weights.bin", "offset": "-5"}, "a size below 0"),
        ({"location": "weights.bin", "offset": "x"}, "is damaged"),
        ({"location": "weights.bin", "length": "7"}, "needs 432 bytes"),
    ],
)
def test_other_external_data_are_refused(entries: dict[str, str], why: str, tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=why):
        read_onnx(outside(tmp_path, **entries))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = outside(tmp_path, location="link.bin")
    (path.parent / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ParseError, match="outside the file's folder"):
        read_onnx(path)


def test_weights_that_are_not_there_are_invented(tmp_path: Path) -> None:
    read = read_onnx(outside(tmp_path, location="gone.bin"))
    assert read.notes == ("its weights are not in the file, and were invented",)
    assert read.weights["1.weight"].std() > 0.05
    (tensor,) = onnx.load_from_string(read.source).graph.initializer
    np.testing.assert_array_equal(values_of(tensor, "it"), read.weights["1.weight"])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it has no graph"),
        (b"no model", "is no ONNX model"),
        (model(GRAPH, opset=6).SerializeToString(), "is of opset 6; latbench reads 7 to"),
        (model(GRAPH, opset=999).SerializeToString(), "install a newer onnx"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parsed(data, "a.onnx")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"cannot be read \(No such file"):
        read_file(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("dims", "why"),
    [((4, 3, 3, -3), "at least 0"), ((2**20, 2**20), "at most 536,870,912"), ((4,), "432 bytes")],
)
def test_sizes_are_checked_before_memory_is_taken(dims: tuple[int, ...], why: str) -> None:
    made = model(GRAPH, w=drawn(4, 3, 3, 3))
    made.graph.initializer[0].dims[:] = dims
    with pytest.raises(ParseError, match=why):
        parsed(made.SerializeToString(), "a.onnx")
