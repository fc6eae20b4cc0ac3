from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from importing.onnx_texts import drawn, model, saved

from latbench.errors import ParseError, UsageError
from latbench.importing.reading import read_onnx
from latbench.networks.weights import make_inputs

OPEN = "g (float[N,3,H,W] x) => (float[N,4,a,b] y) { y = Conv(x, w) }"
BATCH = "g (float[N,3,8,8] x) => (float[N,4,6,6] y) { y = Conv(x, w) }"
TEXT = """g (int64[1,6] ids, int64[1,6] mask, bool[6] keep) => (float[1,6,4] y) {
    e = Gather(table, ids) m = Cast<to: int = 1>(mask) one = Constant<value_ints: ints = [2]>()
    u = Unsqueeze(m, one) f = Cast<to: int = 1>(keep) v = Unsqueeze(f, one_) w = Mul(u, v)
    y = Mul(e, w)
}"""


def test_open_sizes_are_given(tmp_path: Path) -> None:
    path = saved(tmp_path, model(OPEN, w=drawn(4, 3, 3, 3)))
    read = read_onnx(path, shapes={"x": (2, 3, 10, 12)})
    assert read.network.output_shape == (2, 4, 8, 10)
    made = onnx.load_from_string(read.source)
    onnx.checker.check_model(made, full_check=True)
    for info, shape in (
        (made.graph.input[0], (2, 3, 10, 12)),
        (made.graph.output[0], (2, 4, 8, 10)),
    ):
        assert tuple(d.dim_value for d in info.type.tensor_type.shape.dim) == shape


def test_a_batch_that_is_open_alone_is_one(tmp_path: Path) -> None:
    read = read_onnx(saved(tmp_path, model(BATCH, w=drawn(4, 3, 3, 3))))
    assert read.network.input_shape == (1, 3, 8, 8)
    assert read.notes == ("the input 'x' has a batch of 1 (the file leaves it open)",)
    other = read_onnx(tmp_path / "net.onnx", shapes={"x": (4, 3, 8, 8)})
    assert (other.network.output_shape, other.notes) == ((4, 4, 6, 6), ())


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({}, "the input 'x' is of shape (N, 3, H, W), which leaves sizes open; fix them, such as "
             "--shape x=1,3,1,1"),
        ({"y": (1, 3, 8, 8)}, "unknown input 'y'; expected one of x"),
        ({"x": (1, 3, 8)}, "is of shape (N, 3, H, W); it cannot be of (1, 3, 8)"),
        ({"x": (1, 4, 8, 8)}, "it cannot be of (1, 4, 8, 8)"),
        ({"x": (1, 3, 8, 0)}, "it cannot be of (1, 3, 8, 0)"),
        ({"x": (1, 3, 2, 2)}, "does not fit an input of size 2"),
        ({"x": (1, 3, 10**5, 10**5)}, "beyond 2 GiB"),
    ],
)  # fmt: skip
def test_other_shapes_are_refused(
    shapes: dict[str, tuple[int, ...]], why: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, model(OPEN, w=drawn(4, 3, 3, 3)))
    with pytest.raises(UsageError, match=re.escape(why)):
        read_onnx(path, shapes=shapes)


def text_file(folder: Path) -> Path:
    """A file that reads integers and truth values."""
    made = model(TEXT, table=drawn(9, 4), one_=np.array([1, 0][:1], np.int64))
    made.graph.initializer[1].CopyFrom(
        onnx.numpy_helper.from_array(np.array([1], np.int64), "one_")
    )
    return saved(folder, made)


def test_integers_stay_within_their_table_and_masks_are_ones(tmp_path: Path) -> None:
    read = read_onnx(text_file(tmp_path))
    ids, mask, keep = make_inputs(read.network)
    assert ids.dtype == mask.dtype == np.int64
    assert 0 <= ids.min() < ids.max() <= 8
    assert mask.min() == mask.max() == 1
    assert keep.dtype == bool
    assert keep.all()
    assert read.notes == (
        "the integers of ids were invented below 9, the number of rows that they choose from",
        "mask, keep are all ones",
    )


def test_inputs_are_given(tmp_path: Path) -> None:
    given = {"ids": np.arange(6, dtype=np.int32)[None], "keep": np.zeros(6, bool)}
    read = read_onnx(text_file(tmp_path), given=given)
    assert read.given["ids"].dtype == np.int64
    assert read.notes == ("mask is all ones",)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"id": np.zeros((1, 6), int)}, "unknown input 'id'; did you mean 'ids'?"),
        ({"ids": np.zeros(6, int)}, "is of shape (1, 6), and the array given for it of (6,)"),
        ({"ids": np.zeros((1, 6))}, "is of int64, and the array given for it of float64"),
    ],
)
def test_other_inputs_are_refused(given: dict[str, np.ndarray], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        read_onnx(text_file(tmp_path), given=given)


def test_texts_are_refused(tmp_path: Path) -> None:
    made = model("g (string[4] x) => (string[4] y) { y = Identity(x) }")
    with pytest.raises(ParseError, match="the input 'x': it is of STRING; latbench reads floats"):
        read_onnx(saved(tmp_path, made))
