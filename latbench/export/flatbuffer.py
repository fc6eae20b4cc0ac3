"""A LiteRT model file, put together operator by operator.

The runtime ``ai-edge-litert`` brings the classes of the file's schema; what they do not know is
that the data of tensors must be aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

SCHEMA_VERSION = 3
# Operators that the runtime does not have in their first version.
_FIRST_VERSIONS = {schema.BuiltinOperator.BROADCAST_TO: 2}
ALIGNMENT = 16  # bytes; the schema demands it of tensors' data


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data are aligned, which the generated class does not see to."""

    def Pack(self, builder: Any) -> int:
        if self.data is None:
            return int(super().Pack(builder))
        builder.StartVector(1, len(self.data), ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class FlatbufferWriter:
    """A collector of the tensors and operators of a model with one graph."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [_Buffer()]  # the first one is empty, for what is computed
        self.operators: list[Any] = []
        self.codes: dict[int, int] = {}

    def tensor(
        self, shape: Sequence[int], data: npt.NDArray[Any] | None = None, dtype: str = "float32"
    ) -> int:
        """Adds a new tensor: a constant of ``data`` (float32, int32, int64 or bool), or a computed
        one of ``dtype``."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self.tensors)}", list(shape)
        tensor.type, tensor.buffer = getattr(schema.TensorType, dtype.upper()), 0
        if data is not None:
            tensor.type = getattr(schema.TensorType, data.dtype.name.upper())
            tensor.buffer = len(self.buffers)
            buffer = _Buffer()
            buffer.data = np.ascontiguousarray(data).tobytes()
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, values: Any, dtype: Any = np.float32) -> int:
        """Adds a constant tensor of ``values``."""
        array = np.asarray(values, dtype)
        return self.tensor(array.shape, array)

    def add(
        self, code: int, inputs: list[int], shape: Sequence[int], kind: str = "",
        dtype: str | None = None, **options: Any,
    ) -> int:  # fmt: skip
        """Appends an operator and its result.

        Args:
            code: The operator's code.
            inputs: The indices of the tensors that it reads.
            shape: The shape of its result.
            kind: The beginning of the name of its options ``<kind>OptionsT``; none by default.
            dtype: The type of its result; that of the first input by default.
            **options: The values of these options.

        Returns:
            The index of its result.
        """
        operator, output = schema.OperatorT(), self.tensor(shape)
        self.tensors[output].type = (
            getattr(schema.TensorType, dtype.upper()) if dtype else self.tensors[inputs[0]].type
        )
        operator.opcodeIndex = self.codes.setdefault(code, len(self.codes))
        operator.inputs, operator.outputs = inputs, [output]
        if kind:
            operator.builtinOptions = getattr(schema, f"{kind}OptionsT")()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
            for name, value in options.items():
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return output

    def packed(self, inputs: list[int], outputs: list[int]) -> bytes:
        """Packs the model that takes and gives these tensors."""
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs, graph.name = inputs, outputs, "latbench"
        model.version, model.subgraphs, model.buffers = SCHEMA_VERSION, [graph], self.buffers
        model.operatorCodes = [_code(code) for code in self.codes]
        data = sum(len(buffer.data) for buffer in self.buffers if buffer.data is not None)
        builder = flatbuffers.Builder(data + (1 << 16))  # growing copies everything
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _code(code: int) -> Any:
    found = schema.OperatorCodeT()
    found.builtinCode, found.version = code, _FIRST_VERSIONS.get(code, 1)
    found.deprecatedBuiltinCode = min(code, 127)  # what readers before 2021 look at, in 8 bits
    return found
