"""Damaged ONNX files: changed bytes, and changed numbers and names in a whole message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from importing.onnx_texts import drawn, model
from mutations import damaged, fuzzing, read_or_refuse

from latbench.importing.reading import read_onnx_bytes

pytestmark = pytest.mark.fuzz

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
WORDS = model(
    """g (int64[1,6] ids, float[1,6,1] mask) => (float[1,6,4] y, float[1,4] z) {
        e = Gather(table, ids) n = LayerNormalization(e, scale, scale) q = MatMul(n, w)
        k = Transpose<perm: ints = [0,2,1]>(q) s = MatMul(q, k) p = Softmax(s) c = MatMul(p, q)
        d = Mul(c, mask) g = Split<axis: int = 2>(d, halves)
        y = Add(d, e) z = ReduceMean<axes: ints = [1], keepdims: int = 0>(y)
    }""".replace("g = Split<axis: int = 2>(d, halves)", "g, h = Split<axis: int = 2>(d, halves)"),
    table=drawn(9, 4), scale=np.ones(4, np.float32), w=drawn(4, 4), halves=np.array([2, 2]),
)  # fmt: skip
IMAGE = model(
    """g (float[N,3,H,W] x) => (float[N,5] y) {
        a = Conv<strides: ints = [2,2], pads: ints = [1,1,1,1]>(x, k) s = Shape(a)
        b = MaxPool<kernel_shape: ints = [3,3], strides: ints = [2,2], ceil_mode: int = 1>(a)
        c = Resize<mode: string = "linear">(b, , scales) d = Pad(c, pads) f = GlobalAveragePool(d)
        n = Gather(s, zero) m = Unsqueeze(n, zeros) t = Concat<axis: int = 0>(m, rest)
        o = Expand(zero_f, t_) r = Reshape(f, t) y = Gemm<transB: int = 1>(r, w, b_)
    }""",
    k=drawn(4, 3, 3, 3), scales=np.array([1, 1, 2, 2], np.float32), pads=np.zeros(8, np.int64),
    zero=np.array(0), zeros=np.array([0]), rest=np.array([-1]), w=drawn(5, 4), b_=drawn(5),
    zero_f=np.zeros(1, np.float32), t_=np.array([3, 4]),
)  # fmt: skip
VALID = [
    *((LIGHT / f"light_{name}.onnx").read_bytes() for name in ("squeezenet", "shufflenet")),
    WORDS.SerializeToString(), IMAGE.SerializeToString(),
]  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-3, 9), st.sampled_from((2**31, 2**40, 2**63 - 1, -(2**63), 10**6, 65536))
)


def read(data: bytes) -> bool:
    """Whether it is read; a refusal is one sentence, and both take less than 2 GiB."""
    shapes = {"x": (1, 3, 16, 16)} if b"zero_f" in data else {}
    return read_or_refuse(98 * 2**20, lambda: read_onnx_bytes(data, "a.onnx", shapes))


def test_whole_files_are_read() -> None:
    assert all(map(read, VALID))


@fuzzing
@given(damaged(VALID))
def test_damaged_bytes(data: bytes) -> None:
    read(data)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A message in which some numbers, names and sizes are others."""
    made = onnx.load_from_string(draw(st.sampled_from(VALID)))
    graph = made.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    for _ in range(draw(st.integers(1, 4))):
        _change(draw, made, draw(st.sampled_from(graph.node)), names)
    data: bytes = made.SerializeToString()
    return data


def _change(draw: st.DrawFn, made: Any, node: Any, names: list[str]) -> None:
    graph = made.graph
    match draw(st.integers(0, 7)):
        case 0 if node.attribute:
            attribute = draw(st.sampled_from(node.attribute))
            if attribute.ints:
                attribute.ints[draw(st.integers(0, len(attribute.ints) - 1))] = draw(NUMBERS)
            else:
                attribute.i = draw(NUMBERS)
        case 1 if node.input:
            place = draw(st.integers(0, len(node.input) - 1))
            node.input[place] = draw(st.sampled_from(names))
        case 2:
            node.op_type = draw(st.sampled_from([n.op_type for n in graph.node] + ["Tile", "If"]))
        case 3 if graph.initializer:
            tensor = draw(st.sampled_from(graph.initializer))
            values = np.full(draw(st.integers(0, 5)), draw(NUMBERS), np.int64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        case 4 if graph.initializer:
            tensor = draw(st.sampled_from(graph.initializer))
            tensor.dims[:] = draw(st.lists(NUMBERS, max_size=4))
        case 5:
            dims = draw(st.sampled_from(graph.input)).type.tensor_type.shape.dim
            if dims:
                dims[draw(st.integers(0, len(dims) - 1))].dim_value = draw(NUMBERS)
        case 6:
            graph.node.remove(node)
            graph.node.append(node)
        case _:
            made.opset_import[0].version = draw(st.integers(5, 30))


@fuzzing
@given(changed())
def test_changed_messages(data: bytes) -> None:
    read(data)
