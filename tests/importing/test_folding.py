from __future__ import annotations

import resource

import numpy as np
import pytest
from importing.onnx_texts import kinds, read

from latbench.errors import ParseError

HUGE = np.array([2**20, 2**20])
REST = "=> (float[M] y) {{ big = {0} s = ReduceSum<keepdims: int = 0>(big) y = Add(x, s) }}"


@pytest.mark.parametrize(
    "made",
    [
        "ConstantOfShape(huge)", "Expand(one, huge)", "Tile(square, huge)",
        "Range(zero, end, step)", "OneHot(places, depth, ends)",
    ],
)  # fmt: skip
def test_a_small_file_takes_no_large_memory(made: str) -> None:
    weights = {
        "huge": HUGE, "one": np.ones(1, np.float32), "square": np.ones((1, 1), np.float32),
        "zero": np.float32(0), "end": np.float32(1e12), "step": np.float32(1),
        "places": np.zeros(4, np.int64), "depth": np.array(2**40),
        "ends": np.array([0, 1], np.float32),
    }  # fmt: skip
    arrays = {name: np.asarray(values) for name, values in weights.items()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # It is not even tried, so that no error of the computation is told.
    with pytest.raises(ParseError, match="beyond 2 GiB"):
        read(f"g (float[4] x) {REST.format(made)}", 17, **arrays)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


def test_what_is_large_is_left_to_the_runtime() -> None:
    text = "g (float[1] x) => (float[16384,16384] y) { big = Add(column, row) y = Mul(big, x) }"
    found = read(text, column=np.zeros((2**14, 1), np.float32), row=np.ones((1, 2**14), np.float32))
    assert kinds(found) == ["Input", "Constant", "Constant", "Binary", "Binary"]


def test_what_hangs_on_no_input_is_one_constant() -> None:
    text = "g (float[4] x) => (float[4] y) { a = Exp(w) b = Mul(a, a) y = Div(x, b) }"
    found = read(text, w=np.zeros(4, np.float32))
    assert kinds(found) == ["Input", "Constant", "Binary"]
    np.testing.assert_array_equal(found.weights["1.value"], 1)
