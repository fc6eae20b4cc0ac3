"""An ONNX file as one message in memory, with everything that it says about sizes checked.

External data (https://onnx.ai/onnx/repo-docs/ExternalData.html) is read from the file's own folder
and put into the message; what is not there is left out and told, since a file without its weights
still has its layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from latbench.errors import DAMAGE, ParseError, in_words, quoted

# protobuf holds no message above 2 GiB (https://protobuf.dev/programming-guides/proto-limits/).
MOST_BYTES = 2**31 - 1
# A tensor of float32 with so many elements takes 2 GiB.
MOST_ELEMENTS = 2**29
OLDEST_OPSET = 7
Array = npt.NDArray[np.generic]

# The types of the elements that latbench reads, by ONNX' numbers.
FLOATS = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
)
INTEGERS = frozenset(
    getattr(TensorProto, name)
    for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
)


@dataclass
class OnnxFile:
    """A parsed ONNX model, where it came from, and which of its tensors have no values."""

    model: onnx.ModelProto
    where: str
    missing: set[str]

    @property
    def opset(self) -> int:
        """Returns the version of ONNX' own operators."""
        own = (o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx"))
        return int(max(own))

    def tensors(self) -> dict[str, TensorProto]:
        """Returns the stored tensors by name."""
        return {t.name: t for t in self.model.graph.initializer}


def read_file(path: Path) -> OnnxFile:
    """Reads an ONNX file with its external data.

    Raises ParseError for a file that cannot be read, is no ONNX model or damaged, is of an opset
    before 7, names data outside its folder, or is too large for one message.
    """
    where = str(path)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ParseError(
                f"{where} has {size:,} bytes, and no ONNX message has more than {MOST_BYTES:,}; "
                "store its weights as external data"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ParseError(
            f"{where} cannot be read ({error.strerror or error}); name an ONNX file"
        ) from error
    return parsed(data, where, path.parent)


def parsed(data: bytes, where: str, folder: Path | None = None) -> OnnxFile:
    """Parses a serialised model; ``folder`` is where its external data may lie.

    Raises ParseError as ``read_file`` does.
    """
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # protobuf's own error has no public name
        raise ParseError(
            f"{where} is no ONNX model, or damaged ({in_words(error)}); export it again"
        ) from error
    if not model.graph.node and not model.graph.output:
        raise ParseError(f"{where} is no ONNX model: it has no graph; export it again")
    file = OnnxFile(model, where, set())
    _check_opsets(file)
    try:
        if model.functions:
            _inline(file)
        budget = MOST_BYTES - len(data)
        for tensor in _every_tensor(model.graph):
            budget -= _read_external(file, tensor, folder, budget)
            _check_tensor(file, tensor)
    except ParseError:
        raise
    except DAMAGE as error:
        raise ParseError(f"{where} is damaged ({in_words(error)}); export it again") from error
    return file


def _check_opsets(file: OnnxFile) -> None:
    versions = [o.version for o in file.model.opset_import if o.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not versions:
        raise ParseError(
            f"{file.where} does not say of which opset it is; export it again, with an opset of "
            f"{OLDEST_OPSET} to {newest}"
        )
    if not OLDEST_OPSET <= file.opset <= newest:
        raise ParseError(
            f"{file.where} is of opset {file.opset}; latbench reads {OLDEST_OPSET} to {newest}: "
            + ("install a newer onnx" if file.opset > newest else "export it with a newer one")
        )


def _inline(file: OnnxFile) -> None:
    """Writes the model's own functions out."""
    from onnx.inliner import inline_local_functions

    try:
        file.model = inline_local_functions(file.model)
    except Exception as error:
        raise ParseError(
            f"{file.where} has functions that cannot be written out ({in_words(error)}); export "
            "it without"
        ) from error


def _every_tensor(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _every_tensor(attribute.g)


def _read_external(file: OnnxFile, tensor: TensorProto, folder: Path | None, budget: int) -> int:
    """Puts a tensor's external data into the message and returns how many bytes it had."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return 0
    told = {entry.key: entry.value for entry in tensor.external_data}
    name = f"the external data of {quoted(tensor.name)}"
    location = Path(told.get("location", ""))
    if folder is None:
        raise ParseError(f"{file.where} has external data, which bytes cannot; give the file")
    inside = folder.resolve()
    target = (inside / location).resolve()
    if location.is_absolute() or not target.is_relative_to(inside):
        raise ParseError(
            f"{file.where}: {name} lies at {quoted(str(location))}, outside the file's folder; "
            "move it beside the file"
        )
    offset, length = int(told.get("offset", 0)), math.prod(tensor.dims) * _bytes_of(tensor)
    if min(tensor.dims, default=1) < 0 or offset < 0:
        raise ParseError(f"{file.where} is damaged: {name} has a size below 0; export it again")
    if not target.is_file():
        file.missing.add(tensor.name)
        return 0
    there = target.stat().st_size
    if offset + length > there or int(told.get("length", length)) != length:
        raise ParseError(
            f"{file.where}: {name} needs {length:,} bytes from {offset:,} on, and {target.name} "
            f"has {there:,}; export it again"
        )
    if length > budget:
        raise ParseError(
            f"{file.where} with its external data has more than the {MOST_BYTES:,} bytes that one "
            "message may have; export it in float16, or a part of it"
        )
    with target.open("rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
    return int(length)


def _bytes_of(tensor: TensorProto) -> int:
    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, TypeError, AttributeError) as error:
        raise ParseError(
            f"the tensor {quoted(tensor.name)} is of the unknown type {tensor.data_type}"
        ) from error


def _check_tensor(file: OnnxFile, tensor: TensorProto) -> None:
    """Refuses sizes that are none, too many elements, and data of another length."""
    dims = tuple(tensor.dims)
    if min(dims, default=1) < 0 or math.prod(dims) > MOST_ELEMENTS:
        raise ParseError(
            f"{file.where}: the tensor {quoted(tensor.name)} has the shape {dims}; expected sizes "
            f"of at least 0 and at most {MOST_ELEMENTS:,} elements"
        )
    if tensor.name in file.missing:
        return
    sub_byte = tensor.data_type in (TensorProto.INT4, TensorProto.UINT4)
    expected = math.prod(dims) * _bytes_of(tensor)
    if tensor.HasField("raw_data") and not sub_byte and len(tensor.raw_data) != expected:
        if not tensor.raw_data:  # an exporter's way to leave weights out
            file.missing.add(tensor.name)
            return
        raise ParseError(
            f"{file.where} is damaged: the tensor {quoted(tensor.name)} of shape {dims} has "
            f"{len(tensor.raw_data):,} bytes instead of {expected:,}; export it again"
        )
    stored = sum(
        map(len, (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data,
                  tensor.uint64_data, tensor.string_data))
    )  # fmt: skip
    if not tensor.HasField("raw_data") and not stored and math.prod(dims):
        file.missing.add(tensor.name)


def values_of(tensor: TensorProto, where: str) -> Array:
    """Returns a tensor's values, every float as float32. Raises ParseError where they are no
    numbers or not as many as its shape says."""
    try:
        values: Array = numpy_helper.to_array(tensor)
    except Exception as error:
        raise ParseError(
            f"{where} is damaged: the tensor {quoted(tensor.name)} cannot be read "
            f"({in_words(error)}); export it again"
        ) from error
    if tensor.data_type in FLOATS:
        return np.asarray(values, np.float32)
    if values.dtype.kind not in "iub":
        raise ParseError(
            f"{where}: the tensor {quoted(tensor.name)} is of {values.dtype}; latbench reads "
            "floats, integers and truth values"
        )
    return values
