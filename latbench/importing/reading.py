"""An ONNX file, or its bytes, as a network with its weights, inputs and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from latbench.errors import ParseError, in_words
from latbench.importing.fixed_shapes import check_given, network_inputs
from latbench.importing.graph_reader import GraphReader
from latbench.importing.inventing import invent, weights_among_inputs
from latbench.importing.onnx_file import Array, OnnxFile, parsed, read_file
from latbench.importing.rules_arithmetic import ARITHMETIC
from latbench.importing.rules_arrays import ARRAYS
from latbench.importing.rules_windows import WINDOWS
from latbench.networks.network import Network
from latbench.networks.ops import Input
from latbench.networks.weights import Weights

RULES = {**WINDOWS, **ARRAYS, **ARITHMETIC}


@dataclass(frozen=True)
class Imported:
    """A network that was read: its layers with their weights, the file itself with every open size
    and lacking weight filled in, the inputs that were given, and sentences on what was chosen."""

    network: Network
    weights: Weights
    source: bytes
    given: Mapping[str, Array]
    notes: tuple[str, ...]


def read_onnx(
    path: str | Path,
    shapes: Mapping[str, Sequence[int]] | None = None,
    given: Mapping[str, Array] | None = None,
) -> Imported:
    """Reads an ONNX file; nothing in it runs.

    Args:
        path: The file; its external data lies in its folder.
        shapes: Shapes by the names of inputs, for those whose sizes the file leaves open.
        given: Arrays by the names of inputs, in place of invented ones.

    Returns:
        Its network, weights, source and notes.

    Raises:
        ParseError: For a file that is no whole ONNX model, or has a part that cannot be read.
        UsageError: For shapes and arrays that its inputs do not take.
    """
    return _imported(read_file(Path(path)), shapes or {}, given or {})


def read_onnx_bytes(
    data: bytes,
    where: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
    given: Mapping[str, Array] | None = None,
) -> Imported:
    """Reads a serialised ONNX model as ``read_onnx`` does a file.

    Args:
        data: The model.
        where: What it is called in messages.
        shapes: Shapes by the names of inputs.
        given: Arrays by the names of inputs.

    Returns:
        Its network, weights, source and notes.

    Raises:
        ParseError: As ``read_onnx`` does, and for external data.
        UsageError: As ``read_onnx`` does.
    """
    return _imported(parsed(data, where), shapes or {}, given or {})


def _imported(
    file: OnnxFile, shapes: Mapping[str, Sequence[int]], given: Mapping[str, Array]
) -> Imported:
    weights_of = weights_among_inputs(file)
    inputs, notes = network_inputs(file, shapes, weights_of)
    network, weights, origins = GraphReader(file, inputs, RULES).read()
    weights, said = invent(file, network, weights, origins)
    if file.missing & {origin.name for origin in origins.values()}:
        raise ParseError(
            f"{file.where} lacks values that are no weights, such as "
            f"{sorted(file.missing)[0]!r}; export it again with its data"
        )
    _state_outputs(file, network)
    ready = check_given([_input(network, i) for i in network.inputs], given, file.where)
    notes += said + _invented_inputs(network, ready)
    try:
        source = file.model.SerializeToString()
    except ValueError as error:
        raise ParseError(f"{file.where} is too large ({in_words(error)})") from error
    return Imported(network, weights, source, ready, tuple(notes))


def _input(network: Network, index: int) -> Input:
    op = network.layers[index].op
    assert isinstance(op, Input)
    return op


def _state_outputs(file: OnnxFile, network: Network) -> None:
    """Writes the outputs' shapes, now that they are known, and drops what the file said of others
    between."""
    graph = file.model.graph
    for info, index in zip(graph.output, network.outputs, strict=True):
        kind = info.type.tensor_type
        del kind.shape.dim[:]
        for size in network.layers[index].shape:
            kind.shape.dim.add(dim_value=size)
    known = {info.name for info in graph.output}
    kept = [info for info in graph.value_info if info.name in known]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _invented_inputs(network: Network, given: Mapping[str, Array]) -> list[str]:
    """A sentence on the inputs that are no floats and were not given."""
    drawn, ones = list[str](), list[str]()
    for i in network.inputs:
        op = _input(network, i)
        if op.dtype != "float32" and op.name not in given:
            (drawn if op.below else ones).append(op.name)
    found = []
    if drawn:
        rows = dict.fromkeys(_input(network, i).below for i in network.inputs)
        below = " and ".join(f"{n:,}" for n in rows if n)
        found.append(
            f"the integers of {', '.join(drawn)} were invented below {below}, the number of rows "
            "that they choose from"
        )
    if ones:
        found.append(f"{', '.join(ones)} {'is' if len(ones) == 1 else 'are'} all ones")
    return found
