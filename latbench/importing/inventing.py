"""Values for the weights that a file lacks, or that are all one number.

A file of equal weights gives the same output for every input, so that nothing could be compared;
exporters leave weights out, too, to keep files small. Where a matrix of weights is so, all weights
are drawn as for a network of a space (``latbench.networks.weights``), which keeps activations
moderate: statistics that are there belong to matrices that are not. The drawn values are put into
the file, which then computes what the network does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import numpy_helper

from latbench.importing.graph_reader import Origin
from latbench.importing.moderating import moderated
from latbench.importing.onnx_file import Array, OnnxFile
from latbench.networks.general.arithmetic import Binary
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Network
from latbench.networks.weights import Weights, make_weights

# The inputs of these operators that are weights, where a file lists them as inputs of the graph.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (1,),
    "BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2), "GroupNormalization": (1, 2), "PRelu": (1,),
}  # fmt: skip


def weights_among_inputs(file: OnnxFile) -> set[str]:
    """Returns the graph's inputs that nothing but weights' places read: a file without weights has
    them so. They become stored tensors without values."""
    stored, graph = file.tensors(), file.model.graph
    given = {i.name: i for i in graph.input if i.name not in stored}
    first = next(iter(given), None)
    as_weight, otherwise = set[str](), set[str]()
    for node in graph.node:
        places = _WEIGHTS.get(node.op_type, ())
        for i, name in enumerate(node.input):
            (as_weight if i in places else otherwise).add(name)
    found = (as_weight - otherwise) & given.keys() - {first}
    for name in list(found):
        dims = [d.dim_value for d in given[name].type.tensor_type.shape.dim]
        if not dims or min(dims) < 1:  # a matrix product's second input may be one
            found.discard(name)
            continue
        graph.initializer.add(
            name=name, data_type=given[name].type.tensor_type.elem_type, dims=dims
        )
        file.missing.add(name)
    return found


def invent(
    file: OnnxFile, network: Network, weights: Weights, origins: Mapping[str, Origin]
) -> tuple[Weights, list[str]]:
    """Draws the weights that a file lacks, and puts them into it.

    Args:
        file: The file, whose graph is changed where weights are drawn.
        network: Its network.
        weights: The network's weights as they were read.
        origins: Of which values of the file they were made.

    Returns:
        The weights with those that were drawn, and a sentence that says so.
    """
    lacking = {name for name in weights if name in origins and origins[name].name in file.missing}
    matrices = {
        name
        for name, values in weights.items()
        if name.endswith(".weight") and values.ndim > 1 < values.size and _is_equal(values)
    }
    if not matrices and not lacking:
        return weights, []
    scales = _scales(network, weights) if matrices else {}
    constants = {
        f"{i}.value" for i, layer in enumerate(network.layers) if isinstance(layer.op, Constant)
    }
    learned = {name for name in weights if name in origins and name not in constants}
    drawn = (learned if matrices else set()) | lacking | scales.keys()
    made = {**make_weights(network), **scales}
    values = {name: made[name] for name in drawn}
    values |= moderated(network, {**weights, **values}, drawn)
    by_value = {
        origins[name].name: (array.T if origins[name].transposed else array)
        for name, array in values.items()
        if name in origins
    }
    _put(file, by_value)
    many = "its weights" if len(drawn) > len(weights) // 2 else f"{len(drawn)} of its weights"
    why = "are not in the file" if lacking else "are all one number"
    return {**weights, **values}, [f"{many} {why}, and were invented"]


def _scales(network: Network, weights: Weights) -> Weights:
    """Values for vectors of one number by which channels are multiplied or that are added to them,
    as a batch norm's scale and shift that a file has apart."""
    found = Weights()
    for layer in network.layers:
        if not (isinstance(layer.op, Binary) and layer.op.kind in ("add", "mul")):
            continue
        for i in layer.inputs:
            name = f"{i}.value"
            if isinstance(network.layers[i].op, Constant) and name in weights:
                values = weights[name]
                if values.size > 1 and _is_equal(values):
                    drawn = np.random.default_rng(i).standard_normal(values.shape, np.float32)
                    found[name] = np.float32(layer.op.kind == "mul") + np.float32(0.05) * drawn
    return found


def _is_equal(values: Array) -> bool:
    return bool((values == values.flat[0]).all())


def _put(file: OnnxFile, values: Mapping[str, Array]) -> None:
    """Stores values under their names in the file, in place of what gave them."""
    graph = file.model.graph
    stored = file.tensors()
    for node in [n for n in graph.node if any(o in values for o in n.output)]:
        if all(o in values or not o for o in node.output):
            graph.node.remove(node)
    for name, array in values.items():
        tensor = stored.get(name)
        if tensor is None:
            tensor = graph.initializer.add(name=name)
        dtype = np.float32
        if tensor.data_type:
            from onnx import helper

            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        shape = tuple(tensor.dims) or array.shape
        tensor.CopyFrom(
            numpy_helper.from_array(np.ascontiguousarray(array.reshape(shape), dtype), name)
        )
        file.missing.discard(name)
