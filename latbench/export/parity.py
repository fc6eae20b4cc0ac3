"""The check that a runtime computes what a model says: the one definition of "the same work".

Each output may differ from the reference by a backend's tolerance, a share of that output's largest
value (``latbench.backends.precision``). The reference is torch in float32; of a model that came
from an ONNX file it is ONNX Runtime on the file as it is, without optimisations, since nothing else
says what a file computes.

What a network's own layers cancel, or a long chain of them adds up, a tolerance cannot know, but
torch can: in float32 against float64, on the same weights and input, it shows what one rounding of
everything does to the output. A runtime in float32 rounds as often, in another order, so it is
allowed ``ROUNDINGS`` times that. For a runtime that rounds to a lower precision, torch is run in
that very precision and held against float32, and ``COARSE_ROUNDINGS`` times that difference is
allowed. In every precision it is the tolerance at least, and never more than ``MOST`` times the
tolerance. A layer that torch has no rule for leaves the tolerance as it is.

A file that rounds by itself is given the tolerance of what it rounds to: that of its precision
where it has float16 or bfloat16, ``QUANTISED`` where it has integers in place of floats.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from latbench.errors import BackendError, UsageError
from latbench.networks.network import Network
from latbench.networks.weights import Weights, make_inputs, make_weights

Rounding = Literal["float32", "tf32", "float16", "bfloat16"]
Floats = npt.NDArray[np.floating]
Outputs = Floats | tuple[Floats, ...]  # several are a tuple, in the order of network.outputs

# How many times torch's own rounding error a runtime in float32 may be off. Rounding errors of two
# orders of summation are alike in size; the largest of a few outputs may be several times another
# largest one.
ROUNDINGS = 16
# The same of a lower precision. Torch rounds every layer's result, while a runtime may fuse layers
# or keep some in float32. Of 420 small networks of the spaces of chains (2026-11-30), autocast to
# bfloat16 on the CPU was beyond the tolerance in 35, there by up to 6.2 times what torch in
# bfloat16 was off itself.
COARSE_ROUNDINGS = 8
# How many times its tolerance a network may stretch it, whatever it amplifies. In bfloat16 that is
# 0.2 of the largest output: where one layer computes something else, most networks differ by more
# (tests/export/test_parity.py). Three of the 420 were off by more, by 0.33 at most, and are
# refused, since nothing tells such an output from another result. In float32, 16 times torch's own
# error was below the tolerance in each of 127 networks of all spaces.
MOST = 4
# The tolerances of the precisions, as shares of the largest output.
FLOAT32, FLOAT16, BFLOAT16 = 1e-4, 1e-2, 5e-2
# That of a file with integers in place of floats: a value that one runtime rounds up and another
# down is a whole step of its scale off, and the layers behind it carry that on. Of ResNet-18 and
# MobileNetV2 in QDQ form, with unsigned and with signed activations (2026-12-01, ONNX Runtime 1.32,
# OpenVINO 2026.4), ONNX Runtime's integer kernels were off by 0.015 at most, and OpenVINO by 0.023.
# Of 21 networks of 4 to 24 channels, which quantisation itself changes by up to 0.5, OpenVINO was
# beyond 0.1 in 7 of 39, of which two came out as something else altogether (0.58).
QUANTISED = 1e-1
_INTEGER_PRODUCTS = ("ConvInteger", "MatMulInteger")
# What torch is run in to see what a precision does to a network. No CPU has TF32; float16 has as
# many bits, and the range of healthy weights and activations.
_RUN_IN: Mapping[str, str] = MappingProxyType(
    {"float32": "float64", "tf32": "float16", "float16": "float16", "bfloat16": "bfloat16"}
)


class Computed(Protocol):
    """A model as the check sees it; ``latbench.models`` stands above this folder."""

    @property
    def network(self) -> Network:
        """Returns its layers."""

    @property
    def weights(self) -> Weights | None:
        """Returns the weights that were given."""

    @property
    def source(self) -> bytes | None:
        """Returns the ONNX file that it came from."""

    def inputs(self) -> tuple[npt.NDArray[Any], ...]:
        """Returns the inputs that every backend runs."""


def reference_outputs(
    network: Network,
    precision: str = "float32",
    weights: Weights | None = None,
    inputs: Sequence[npt.NDArray[Any]] | None = None,
) -> Any:
    """Computes a network with torch and its own inputs.

    Args:
        network: The network.
        precision: What its inputs, weights and every layer's result are rounded to: ``"float32"``,
            ``"float64"``, ``"float16"`` or ``"bfloat16"``.
        weights: The network's weights; ``make_weights(network)`` by default.
        inputs: Its inputs; ``make_inputs(network)`` by default.

    Returns:
        The output, float64 where it was computed so, else float32; a tuple of several.

    Raises:
        BackendError: For a layer kind that torch has no rule for.
    """
    import torch

    from latbench.export.torch import run_layers

    dtype = getattr(torch, precision)
    arrays = make_inputs(network) if inputs is None else inputs
    used = make_weights(network) if weights is None else weights
    x = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    results = run_layers(network, used, *x, dtype=dtype)
    kept = torch.float64 if dtype == torch.float64 else torch.float32
    found = tuple(y.to(kept).numpy() for y in _listed(results))
    return found if len(found) > 1 else found[0]


def file_outputs(source: bytes, inputs: Sequence[npt.NDArray[Any]]) -> tuple[Floats, ...]:
    """Computes an ONNX file with ONNX Runtime as it is written, every node by itself.

    Args:
        source: The file, with its weights.
        inputs: Its inputs in their order; they are given in the types that the file states.

    Returns:
        Its outputs, as float32.

    Raises:
        BackendError: Where ONNX Runtime is not installed, or does not run the file.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise BackendError(
            "what an ONNX file computes is checked against ONNX Runtime, which is not installed; "
            "pip install 'latbench[cpu]', or time it unchecked with --no-parity"
        )
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        places = session.get_inputs()
        feeds = {
            place.name: array.astype(numpy_type(place.type), copy=False)
            for place, array in zip(places, inputs, strict=True)
        }
        results = session.run(None, feeds)
    except Exception as error:  # ONNX Runtime's own errors have no common class
        first = (str(error).strip().splitlines() or ["no message"])[0]
        raise BackendError(
            f"ONNX Runtime, by which an ONNX file is checked, cannot run it: {first}"
        ) from error
    return tuple(np.asarray(y, np.float32) for y in results)


def numpy_type(told: str) -> np.dtype[Any]:
    """Returns numpy's type for ONNX Runtime's text, such as ``tensor(float16)``.

    Raises BackendError for a type that numpy does not have.
    """
    name = told.removeprefix("tensor(").removesuffix(")")
    name = {"float": "float32", "double": "float64"}.get(name, name)
    try:
        return np.dtype(name)
    except TypeError as error:
        raise BackendError(
            f"the file has an input or an output of {told}, which numpy does not have; let it "
            "take and give float16 or float32"
        ) from error


def _listed(outputs: Any) -> tuple[Any, ...]:
    """One output or several, as a tuple."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


def relative_error(got: Outputs, expected: Outputs) -> float:
    """Returns the largest absolute difference over the largest absolute value; infinite where
    either has NaN or infinity. Of several outputs, each by its own scale, the largest.

    Raises BackendError for outputs of other shapes.
    """
    shapes = [[np.shape(y) for y in _listed(one)] for one in (got, expected)]
    if shapes[0] != shapes[1]:
        raise BackendError(f"the outputs have the shapes {shapes[0]}; expected {shapes[1]}")
    pairs = zip(_listed(got), _listed(expected), strict=True)
    return max(_error_of_one(y, reference) for y, reference in pairs)


def _error_of_one(got: Floats, expected: Floats) -> float:
    if not (np.isfinite(got).all() and np.isfinite(expected).all()):
        return float("inf")
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    return float(np.abs(got - expected).max(initial=0)) / scale


def parity(
    model: Computed, got: Outputs, tolerance: float, rounding: Rounding = "float32"
) -> tuple[float, float]:
    """Returns how far an output lies from the reference and how far it may.

    Only where the tolerance is passed does it cost a second run.

    Args:
        model: The model.
        got: What a runtime gave: an array, or a tuple of several in the order of
            ``network.outputs``.
        tolerance: The backend's tolerance, a share of the largest output.
        rounding: The precision that the runtime rounds to.

    Returns:
        The difference and what is allowed, as shares of the largest output.

    Raises:
        UsageError: For another precision.
        BackendError: For outputs of other shapes, and where nothing computes the reference.
    """
    if rounding not in _RUN_IN:
        raise UsageError(f"rounding must be one of {', '.join(_RUN_IN)}, got {rounding!r}")
    if model.source is None:
        expected = reference_outputs(model.network, "float32", model.weights, model.inputs())
    else:
        expected = file_outputs(model.source, model.inputs())
    error = relative_error(got, expected)
    # Where the reference gives no numbers either, nothing was compared, and nothing is allowed.
    if error <= tolerance or not math.isfinite(error):
        return error, tolerance
    if model.source is not None:
        own, rounds = tolerance_of_file(model.source)
        tolerance = max(tolerance, own)
        rounding = max(rounding, rounds, key=list(_RUN_IN).index)
    if error <= tolerance:
        return error, tolerance
    most = ROUNDINGS if rounding == "float32" else COARSE_ROUNDINGS
    by_torch = expected if model.source is None else None
    allowed = most * _own_error(model, rounding, by_torch)
    return error, max(tolerance, min(allowed, MOST * tolerance))


def tolerance_of_file(source: bytes) -> tuple[float, Rounding]:
    """Returns the tolerance that an ONNX file has by itself, whatever runs it, and the precision
    that it rounds to."""
    import onnx
    from onnx import TensorProto

    model = onnx.load_from_string(source)
    kinds = {node.op_type for node in model.graph.node}
    types = {t.data_type for t in model.graph.initializer}
    types |= {i.type.tensor_type.elem_type for i in model.graph.input}
    for node in model.graph.node:
        types |= {a.i for a in node.attribute if node.op_type == "Cast" and a.name == "to"}
        types |= {a.t.data_type for a in node.attribute if a.HasField("t")}
    if any("Quantize" in kind or kind.startswith(("QLinear", "QGemm")) or kind in _INTEGER_PRODUCTS
           for kind in kinds):  # fmt: skip
        return QUANTISED, "float32"
    if TensorProto.BFLOAT16 in types:
        return BFLOAT16, "bfloat16"
    return (FLOAT16, "float16") if TensorProto.FLOAT16 in types else (FLOAT32, "float32")


def _own_error(model: Computed, rounding: Rounding, by_torch: Outputs | None) -> float:
    """How far torch itself is off by such a rounding; 0 where it cannot say: where the output
    leaves the precision's range, or a layer kind from outside cannot run in it."""
    given = model.weights, model.inputs()
    try:
        if by_torch is None:
            by_torch = reference_outputs(model.network, "float32", *given)
        other = reference_outputs(model.network, _RUN_IN[rounding], *given)
    except RuntimeError:  # a BackendError, for a kind without a rule, is one, too
        return 0.0
    error = relative_error(other, by_torch)
    return error if math.isfinite(error) else 0.0
