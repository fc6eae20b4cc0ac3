"""A model's ONNX graph, to which the exporter's rules add nodes and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from latbench.networks.ops import Dtype, Shape
from latbench.networks.weights import Weights

INT64_MAX = 2**63 - 1
# Smaller tensors stay in the model: a name costs as much, and runtimes fold them as constants.
BESIDE_BYTES = 1024

FloatType = Literal["float32", "float16"]
FLOAT_TYPES: Mapping[str, int] = MappingProxyType(
    {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
)
_OTHER_TYPES: Mapping[str, int] = MappingProxyType(
    {"int64": TensorProto.INT64, "bool": TensorProto.BOOL}
)


class OnnxGraph:
    """A writer of nodes and initializers into a model's graph, in place.

    Protobuf copies a message that is assembled outside and added, weights and all. ``weights`` are
    the network's by name, ``dtype`` what the floats between layers are of. ``results`` has the
    shape and the type of each layer's result by its name.
    """

    def __init__(
        self, graph: onnx.GraphProto, weights: Weights, dtype: FloatType, beside: Weights | None
    ) -> None:
        self.graph, self.weights, self.dtype, self.beside = graph, weights, dtype, beside
        self.results: dict[str, tuple[Shape, Dtype]] = {}
        self._stored: list[tuple[onnx.TensorProto, Any]] = []
        self._taken = {value.name for value in graph.input}

    def store(self, name: str, array: Any, exact: bool = False) -> str:
        """Adds a constant and returns its name; ``fill`` copies its values.

        It is of int64 or truth values where the array is, and else of the graph's ``dtype``, unless
        it is ``exact``, which is float32 always. Names begin with the layer's key:
        ``f"{key}.name"``.
        """
        while name in self._taken:  # by an input, which the file that it came from has named so
            name += "_"
        floats = TensorProto.FLOAT if exact else FLOAT_TYPES[self.dtype]
        kind = _OTHER_TYPES.get(str(array.dtype), floats)
        tensor = self.graph.initializer.add(name=name, data_type=kind, dims=array.shape)
        self._stored.append((tensor, array))
        return name

    def type(self, dtype: Dtype) -> int:
        """Returns ONNX' number of a type as it is in this graph."""
        return _OTHER_TYPES.get(dtype, FLOAT_TYPES[self.dtype])

    def fill(self) -> None:
        """Copies the constants' values into the model, or notes them beside it: the largest first.

        Protobuf copies bytes, which are a copy of an array. In this order the bytes lie where those
        of a larger array were, and the model's copy fills what is left there, so that hardly more
        memory is touched than the model has. In the layers' order it was 1.4 times as much, and the
        copying took 15 ms instead of 11 (MobileNetV3-L, 2026-11-30).
        """
        for tensor, values in sorted(self._stored, key=lambda pair: -pair[1].nbytes):
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            array = np.ascontiguousarray(values, dtype)
            if self.beside is None or array.nbytes < BESIDE_BYTES:
                tensor.raw_data = array.tobytes()
            else:
                tensor.data_location = TensorProto.EXTERNAL
                tensor.external_data.add(key="location", value="memory")
                self.beside[tensor.name] = array

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Adds a node.

        Args:
            kind: The operator, such as ``"Conv"``.
            inputs: The names of what it reads.
            output: The name of its result, which no other node has.
            attributes: Integers, floats, texts or sequences of integers; None is left out.
        """
        node = self.graph.node.add(op_type=kind, input=inputs, output=[output], name=output)
        for name, value in attributes.items():
            # helper.make_attribute tries every kind of value that there is; that adds up.
            if value is None:
                continue
            attribute = node.attribute.add(name=name)
            if isinstance(value, int):
                attribute.type, attribute.i = AttributeProto.INT, value
            elif isinstance(value, float):
                attribute.type, attribute.f = AttributeProto.FLOAT, value
            elif isinstance(value, str):
                attribute.type, attribute.s = AttributeProto.STRING, value.encode()
            else:
                attribute.type = AttributeProto.INTS
                attribute.ints.extend(value)

    def layer_weights(self, key: str, *names: str) -> list[str]:
        """Adds those of a layer's tensors that it has, and returns their names in the graph."""
        return [
            self.store(f"{key}.{n}", self.weights[f"{key}.{n}"])
            for n in names
            if f"{key}.{n}" in self.weights
        ]


# Of an op, the graph, the layer's key (its tensors are "<key>.<name>"), the names of what it reads,
# that of its result, and its shape.
Rule = Callable[[Any, OnnxGraph, str, list[str], str, Shape], None]
