"""The layers of every operator compute what ONNX' own test cases say (onnx.backend.test)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from latbench.errors import ParseError
from latbench.export.parity import relative_error
from latbench.export.torch import run_layers
from latbench.importing.reading import read_onnx_bytes
from latbench.importing.rules_arithmetic import ARITHMETIC
from latbench.importing.rules_arrays import ARRAYS
from latbench.importing.rules_windows import WINDOWS
from latbench.networks.general.arrays import Unread

RULES = {**WINDOWS, **ARRAYS, **ARITHMETIC}
LOOSE, HALF = 1e-5, 1e-3
# ONNX' reference takes the size before it is rounded; ONNX Runtime and torch do not.
OTHERWISE = (
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
    # It computes in lower precisions inside.
    "test_attention_24_qk_matmul_output_mode3_softmax_precision_expanded",
    "test_celu_bfloat16_expanded",
    # Its expected values are as far from ONNX Runtime's, which are torch's.
    "test_averagepool_2d_ceil_last_window_starts_on_pad",
)


def cases() -> Iterator[tuple[str, onnx.ModelProto, list[Any], list[Any]]]:
    """Every case of an operator with a rule: all inputs but the first are stored tensors."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for case in found:
        if (
            case.name in OTHERWISE
            or not case.data_sets
            or not {n.op_type for n in case.model.graph.node} & RULES.keys()
        ):
            continue
        inputs, outputs = case.data_sets[0]
        if not all(isinstance(x, np.ndarray) for x in (*inputs, *outputs)):
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        for info, values in list(zip(model.graph.input, inputs, strict=False))[1:]:
            model.graph.initializer.append(numpy_helper.from_array(values, info.name))
            model.graph.input.remove(info)
        yield case.name, model, inputs[:1], outputs


def as_torch(values: np.ndarray) -> torch.Tensor:
    """An input in the type that latbench keeps it in."""
    kind = {"f": np.float32, "b": np.bool_}.get(values.dtype.kind, np.int64)
    return torch.from_numpy(np.array(values, kind))


def test_what_is_read_computes_what_onnx_says() -> None:
    computed, wrong = 0, list[str]()
    for name, model, inputs, outputs in cases():
        try:
            read = read_onnx_bytes(model.SerializeToString(), name)
        except ParseError:
            continue
        if read.notes or any(isinstance(layer.op, Unread) for layer in read.network.layers):
            continue  # weights that are all one number are replaced
        tensors = [as_torch(x) for x in inputs[: len(read.network.inputs)]]
        found = run_layers(read.network, read.weights, *tensors, dtype=torch.float32)
        found = found if isinstance(found, tuple) else (found,)
        for got, expected in zip(found, outputs, strict=True):
            error = np.inf
            if got.shape == expected.shape:
                values = np.asarray(got.detach().float().numpy())
                error = relative_error(values, np.asarray(expected, np.float32))
            if not error <= (HALF if "16" in name else LOOSE) and np.isfinite(expected).all():
                wrong.append(f"{name}: {error:.2g}")
        computed += 1
    assert wrong == []
    assert computed > 600
