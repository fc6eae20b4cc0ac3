"""The inputs of an ONNX file, with every size that it leaves open fixed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from latbench.errors import ParseError, UsageError, quoted, unknown
from latbench.importing.onnx_file import MOST_ELEMENTS, Array, OnnxFile
from latbench.importing.onnx_values import dtype_of
from latbench.networks.ops import Input, Shape


def network_inputs(
    file: OnnxFile, shapes: Mapping[str, Sequence[int]], weights: set[str]
) -> tuple[list[Input], list[str]]:
    """Fixes the sizes of a file's inputs, in the file as well.

    Args:
        file: The file, whose graph is changed.
        shapes: Shapes by the names of inputs, in place of what the file says.
        weights: The names of inputs that are weights without values, and no inputs.

    Returns:
        The inputs in the file's order, and a sentence on each size that was chosen: a first size
        that is open alone is that of the batch, and 1.

    Raises:
        UsageError: For a shape of an input that there is not, or that the file rules out.
        ParseError: For an input whose sizes stay open, or whose type latbench does not read.
    """
    graph, stored = file.model.graph, file.tensors()
    wanted = [i for i in graph.input if i.name not in stored and i.name not in weights]
    names = [i.name for i in wanted]
    for name in shapes:
        if name not in names:
            raise UsageError(f"{file.where}: {unknown('input', name, names)}")
    if not wanted:
        raise ParseError(f"{file.where} has no inputs, so that there is nothing to run")
    found, notes = list[Input](), list[str]()
    for info in wanted:
        shape, note = _shape_of(info, shapes.get(info.name), file.where)
        notes += note
        kind = info.type.tensor_type
        try:
            dtype = dtype_of(kind.elem_type)
        except ParseError as error:
            raise ParseError(f"{file.where}: the input {quoted(info.name)}: {error}") from error
        found.append(Input(shape, info.name, dtype))
        for dim, size in zip(kind.shape.dim, shape, strict=True):
            dim.dim_value = size
    return found, notes


def _shape_of(
    info: onnx.ValueInfoProto, given: Sequence[int] | None, where: str
) -> tuple[Shape, list[str]]:
    name = quoted(info.name)
    if not (info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape")):
        raise ParseError(
            f"{where}: the input {name} is no tensor with a number of axes; latbench reads tensors"
        )
    dims = [
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in info.type.tensor_type.shape.dim
    ]
    labels = [str(d.dim_param or "?") if n is None else str(n)
              for d, n in zip(info.type.tensor_type.shape.dim, dims, strict=True)]  # fmt: skip
    stated = f"({', '.join(labels)})"
    if given is not None:
        fits = len(given) == len(dims) and all(
            size > 0 and (n is None or n == size or i == 0)
            for i, (n, size) in enumerate(zip(dims, given, strict=False))
        )
        if not fits:
            raise UsageError(
                f"{where}: the input {name} is of shape {stated}; it cannot be of {tuple(given)}"
            )
        dims = [int(size) for size in given]
    note = []
    if dims and dims[0] is None and None not in dims[1:]:
        dims[0] = 1
        note = [f"the input {name} has a batch of 1 (the file leaves it open)"]
    if None in dims:
        example = ",".join("1" if n is None else str(n) for n in dims)
        raise ParseError(
            f"{where}: the input {name} is of shape {stated}, which leaves sizes open; fix them, "
            f"such as --shape {info.name}={example}"
        )
    shape = tuple(n for n in dims if n is not None)
    if math.prod(shape) > MOST_ELEMENTS:
        raise ParseError(f"{where}: the input {name} of shape {shape} is beyond 2 GiB")
    return shape, note


def check_given(
    inputs: Sequence[Input], given: Mapping[str, Array], where: str
) -> dict[str, Array]:
    """Returns the arrays that were given for inputs, in the inputs' types.

    Raises UsageError for an input that there is not, another shape, and values that its type does
    not hold.
    """
    known, found = {op.name: op for op in inputs}, dict[str, Array]()
    for name, values in given.items():
        if name not in known:
            raise UsageError(f"{where}: {unknown('input', name, known)}")
        op = known[name]
        if tuple(values.shape) != op.shape:
            raise UsageError(
                f"{where}: the input {quoted(name)} is of shape {op.shape}, and the array given "
                f"for it of {tuple(values.shape)}"
            )
        kinds = {"float32": "fiu", "int64": "iu", "bool": "b"}[op.dtype]
        if values.dtype.kind not in kinds or not np.isfinite(values).all():
            raise UsageError(
                f"{where}: the input {quoted(name)} is of {op.dtype}, and the array given for it "
                f"of {values.dtype}, or not finite"
            )
        found[name] = np.ascontiguousarray(values, np.dtype(op.dtype))
    return found
