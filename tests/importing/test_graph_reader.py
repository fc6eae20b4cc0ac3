from __future__ import annotations

import numpy as np
import pytest
from importing.onnx_texts import drawn, kinds, read

from latbench.errors import ParseError
from latbench.networks.general.arrays import Cut, Reshape, Unread
from latbench.networks.general.products import Dense
from latbench.networks.general.windows import RectConv, RectPool
from latbench.networks.ops import Activation, ChannelShuffle, Conv, Elementwise, Linear, Pool, Slice

ONE = np.array([1], np.int64)


def layer(text: str, opset: int = 17, **weights: np.ndarray) -> object:
    """The last layer's op."""
    return read(text, opset, **weights).network.layers[-1].op


def test_what_says_the_same_is_a_kind_of_spaces() -> None:
    image = "g (float[1,4,8,8] x) => (float[1,4,8,8] y)"
    w = drawn(4, 4, 3, 3)
    assert layer(f"{image} {{ y = Conv<pads: ints = [1,1,1,1]>(x, w) }}", w=w) == Conv(
        4, 3, padding=1
    )
    assert layer(f"{image} {{ y = Conv<pads: ints = [0,0,2,2]>(x, w) }}", w=w) == RectConv(
        4, (3, 3), padding=(0, 0, 2, 2)
    )
    assert layer(f"{image} {{ y = Clip<min: float = 0.0, max: float = 6.0>(x) }}", 7) == Activation(
        "relu6"
    )
    assert layer(f"{image} {{ s = Sigmoid(x) y = Mul(s, x) }}") == Activation("silu")
    assert layer(f"{image} {{ y = Add(x, x) }}") == Elementwise("add")
    assert layer(f"{image} {{ s = GlobalAveragePool(x) y = Mul(s, x) }}") == Elementwise("mul")
    assert layer(
        "g (float[1,8,6,6] x) => (float[1,8,6,6] y) { a = Reshape(x, s) "
        "b = Transpose<perm: ints = [0,2,1,3,4]>(a) y = Reshape(b, t) }",
        s=np.array([1, 2, 4, 6, 6]), t=np.array([1, 8, 6, 6]),
    ) == ChannelShuffle(2)  # fmt: skip


def test_a_pool_that_hangs_over_is_another_kind() -> None:
    text = (
        "g (float[1,4,{0},{0}] x) => (float[1,4,4,4] y) {{ "
        "y = MaxPool<kernel_shape: ints = [3,3], strides: ints = [2,2], ceil_mode: int = 1>(x) }}"
    )
    assert layer(text.format(9)) == Pool("max", 3, 2)
    assert layer(text.format(8)) == RectPool("max", (3, 3), (2, 2), ceil=True)


def test_a_product_with_a_row_added_is_one_layer() -> None:
    w, b = drawn(6, 5), drawn(5)
    one = read("g (float[2,6] x) => (float[2,5] y) { p = MatMul(x, w) y = Add(b, p) }", w=w, b=b)
    assert kinds(one) == ["Input", "Linear"]
    np.testing.assert_array_equal(one.weights["1.weight"], w.T)
    np.testing.assert_array_equal(one.weights["1.bias"], b)
    rank = "g (float[1,2,6] x) => (float[1,2,5] y) { p = MatMul(x, w) y = Add(p, b) }"
    assert layer(rank, w=w, b=b) == Dense(5)
    gemm = (
        "g (float[2,6] x) => (float[2,5] y) { "
        "y = Gemm<transB: int = 1, alpha: float = 2.0>(x, w, b) }"
    )
    scaled = read(gemm, w=np.ascontiguousarray(w.T), b=b)
    assert scaled.network.layers[-1].op == Linear(5)
    np.testing.assert_array_equal(scaled.weights["1.weight"], 2 * w.T)


def test_sizes_are_computed_on_the_way() -> None:
    text = """g (float[2,3,4,5] x) => (float[2,60] y) {
        s = Shape(x) zero = Constant<value_int: int = 0>() n = Gather(s, zero)
        axes = Constant<value_ints: ints = [0]>() m = Unsqueeze(n, axes)
        rest = Constant<value_ints: ints = [-1]>() to = Concat<axis: int = 0>(m, rest)
        y = Reshape(x, to)
    }"""
    assert kinds(read(text)) == ["Input", "Flatten"]


def test_slices_and_splits_are_parts() -> None:
    text = "g (float[2,8,4,4] x) => (float[2,2,4,4] y) { y = Slice(x, a, b, c, d) }"
    of = {"a": np.array([-4]), "b": np.array([2**40]), "c": np.array([1])}
    assert layer(text, 17, **of, d=np.array([2])) == Cut(1, 4, 7, 2)
    assert layer(text, 17, **of, d=np.array([1])) == Slice(1, 4)
    halves = read(
        "g (float[2,8] x) => (float[2,4] a, float[2,4] b) { a, b = Split<axis: int = 1>(x) }", 11
    )
    assert kinds(halves) == ["Input", "Slice", "Slice"]
    assert halves.network.outputs == (1, 2)


def test_a_signal_is_an_image_of_height_one() -> None:
    text = """g (float[1,2,30] x) => (float[1,4,13] y) {
        a = Conv<strides: ints = [1]>(x, w) b = Relu(a)
        c = MaxPool<kernel_shape: ints = [2], strides: ints = [2]>(b)
        y = Add(c, bias) }"""
    found = read(text, w=drawn(4, 2, 5), bias=drawn(1, 4, 1))
    assert kinds(found) == ["Input", "Reshape", "RectConv", "Reshape", "Activation", "Reshape",
                            "RectPool", "Reshape", "Constant", "Binary"]  # fmt: skip
    assert found.network.layers[2].op == RectConv(4, (1, 5))
    assert found.network.layers[1].op == Reshape((1, 2, 1, 30))


def test_what_no_layer_kind_says_is_named_with_its_place() -> None:
    found = read(
        "g (float[4] x) => (float[3] v, int64[3] i) { v, i = TopK(x, k) }", k=np.array([3])
    )
    top = Unread("TopK", "v", (3,), "float32", 0)
    assert [layer.op for layer in found.network.layers[2:]] == [
        top,
        Unread("TopK", "v", (3,), "int64", 1),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("g (float[4] x) => (float[4] y) { y = Add(x, z) }", "nothing before it gives its"),
        ("g (float[4] x) => (float[4] y) { z = Abs(x) }", "nothing gives its output 'y'"),
        ("g (float[4] x, int64[1] s) => (float[M] y) { y = Reshape(x, s) }",
         "its input 's' is computed when the network runs"),
        ("g (float[4] x) => (float[2,3] y) { y = Reshape(x, six) }",
         r"the operator Reshape at 'y': a tensor of shape \(4,\) has no shape \(1,\)"),
        ("g (float[4,3] x) => (float[4,2] y) { y = MatMul(x, w) }", r"\(4, 3\) and \(2, 2\)"),
        ("g (float[1,3,8,8] x) => (float[1,2,6,6] y) { y = Conv(x, k) }", "4 channels|weight"),
        ("g (float[4] x) => (int64[1,M] y) { y = NonZero(x) }", "of which shape its result 'y'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(text: str, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        read(text, six=ONE, w=drawn(2, 2), k=drawn(2, 4, 3, 3))
