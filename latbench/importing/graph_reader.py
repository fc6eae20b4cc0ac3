"""An ONNX graph, operator by operator, as the layers of a network.

Everything that depends on no input is computed on the way, so that a rule sees sizes, axes and
bounds as numbers. What no rule knows becomes an ``Unread`` layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from latbench.errors import DAMAGE, ParseError, UsageError, in_words, quoted
from latbench.importing.folding import fold
from latbench.importing.onnx_file import (
    MOST_ELEMENTS,
    Array,
    OnnxFile,
    values_of,
)
from latbench.importing.onnx_values import attribute_value, stated_types
from latbench.networks.general.arrays import Constant, Reshape, Unread
from latbench.networks.network import Layer, Network, NetworkBuilder
from latbench.networks.ops import Dtype, Input, Op, Shape
from latbench.networks.weights import Weights

# The largest whole number below which float32 has every other one.
EXACT = 2**24
MOST_SAID = 500  # characters of what is wrong with an operator, which may list a tensor
LOWEST = float(np.finfo(np.float32).min)


class NoLayer(ParseError):
    """An operator that runtimes which read ONNX may run, but no layer kind of latbench says."""


@dataclass(frozen=True)
class Origin:
    """The value of the file that a tensor of the network was made of, ``transposed`` or not."""

    name: str
    transposed: bool = False


@dataclass
class Node:
    """An operator of the file as its rule sees it: what it reads, as layers or as constants."""

    reader: GraphReader
    proto: onnx.NodeProto
    attributes: dict[str, Any]

    @property
    def kind(self) -> str:
        """Returns the operator's name."""
        return str(self.proto.op_type)

    @property
    def opset(self) -> int:
        """Returns the version of ONNX' operators."""
        return self.reader.opset

    def has(self, i: int) -> bool:
        """Returns whether the input ``i`` is there."""
        return i < len(self.proto.input) and bool(self.proto.input[i])

    def name(self, i: int) -> str:
        """Returns the name of the value that is the input ``i``."""
        if not self.has(i):
            raise ParseError(f"it lacks its input {i}")
        return str(self.proto.input[i])

    def constant(self, i: int) -> Array | None:
        """Returns the input ``i`` where it depends on nothing, else None; None where it is not
        there."""
        return self.reader.constants.get(self.proto.input[i]) if self.has(i) else None

    def numbers(self, i: int, attribute: str = "") -> tuple[int, ...] | None:
        """Returns the whole numbers of an input or, as older opsets have it, of an attribute; None
        where there is neither.

        Raises NoLayer where the input is computed when the network runs.
        """
        if attribute and attribute in self.attributes:
            return tuple(int(x) for x in np.ravel(self.attributes[attribute]))
        if not self.has(i):
            return None
        values = self.constant(i)
        if values is None:
            raise NoLayer(f"its input {quoted(self.name(i))} is computed when the network runs")
        return tuple(int(x) for x in values.ravel())

    def layer(self, i: int = 0) -> int:
        """Returns the layer that gives the input ``i``; that of a constant is made."""
        return self.reader.layer(self.name(i))

    def shape(self, i: int = 0) -> Shape:
        """Returns the shape of the input ``i``."""
        constant = self.constant(i)
        return tuple(constant.shape) if constant is not None else self.reader.shape(self.layer(i))

    def axis(self, value: int, rank: int) -> int:
        """Returns an axis that may be counted from the end, counted from 0."""
        if not -rank <= value < rank:
            raise ParseError(f"it has the axis {value}, and its input {rank} axes")
        return value % rank

    def add(self, op: Op, *layers: int, **weights: tuple[Array, Origin | None]) -> int:
        """Adds a layer with its weights and where they come from."""
        return self.reader.add(op, layers, weights)

    def weight(self, i: int, transposed: bool = False) -> tuple[Array, Origin | None]:
        """Returns a constant input as a layer's weight."""
        values = self.constant(i)
        assert values is not None
        values = np.asarray(values, np.float32)
        return (values.T if transposed else values), Origin(self.name(i), transposed)


Rule = Callable[[Node], Sequence[int]]


@dataclass
class GraphReader:
    """A reader of one file's graph; ``rules`` are by the operators' names."""

    file: OnnxFile
    inputs: list[Input]
    rules: Mapping[str, Rule]
    builder: NetworkBuilder = field(init=False)
    constants: dict[str, Array] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    weights: dict[int, dict[str, tuple[Array, Origin | None]]] = field(default_factory=dict)
    below: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)  # of the built network's layers
    made: list[list[int]] = field(default_factory=list)  # layers, by the nodes they were made at
    _types: list[Dtype] = field(default_factory=list)
    _inferred: dict[str, tuple[Shape, Dtype]] | None = None

    def __post_init__(self) -> None:
        self.builder = NetworkBuilder.of_inputs(*self.inputs)
        self.opset = self.file.opset
        self.layers = {op.name: i for i, op in enumerate(self.inputs)}
        for tensor in self.file.model.graph.initializer:
            if tensor.name in self.file.missing:
                self.constants[tensor.name] = np.broadcast_to(np.float32(0), tuple(tensor.dims))
            else:
                self.constants[tensor.name] = values_of(tensor, self.file.where)

    def read(self) -> tuple[Network, Weights, dict[str, Origin]]:
        """Reads the graph: its network, the weights, and where these come from.

        Raises ParseError, which names the operator, where something does not fit together.
        """
        for node in self.file.model.graph.node:
            where = self._called(node)
            self.made.append([])
            try:
                self._read_node(node)
            except UsageError as error:
                said = str(error)
                said = said if len(said) < MOST_SAID else f"{said[:MOST_SAID]}…"
                raise ParseError(f"{self.file.where}: {where}: {said}") from error
            except DAMAGE as error:
                raise ParseError(
                    f"{self.file.where}: {where} cannot be read ({in_words(error)}); export it "
                    "again"
                ) from error
        return self._built()

    def _called(self, node: onnx.NodeProto) -> str:
        name = node.name or next((o for o in node.output if o), "")
        kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        return f"the operator {kind} at {quoted(name)}" if name else f"an operator {kind}"

    def _read_node(self, proto: onnx.NodeProto) -> None:
        attributes = {a.name: attribute_value(a) for a in proto.attribute}
        node = Node(self, proto, attributes)
        for name in proto.input:
            if name and name not in self.constants and name not in self.layers:
                raise ParseError(f"nothing before it gives its input {quoted(name)}")
        found = self._constants_of(node)
        if found is not None:
            self.constants.update(
                {name: x for name, x in zip(proto.output, found, strict=False) if name}
            )
            return
        own = node.proto.domain in ("", "ai.onnx")
        rule = self.rules.get(node.kind) if own else None
        why = "latbench does not know it"
        results: Sequence[int] = ()
        try:
            results = rule(node) if rule else ()
        except NoLayer as error:
            why = str(error)
        if not results:
            results = self._unread(node, why)
        self.layers.update(
            {name: i for name, i in zip(proto.output, results, strict=False) if name}
        )

    def _constants_of(self, node: Node) -> list[Array] | None:
        """An operator's results where they depend on no input's values."""
        if node.kind == "Constant":
            return [_constant(node)]
        if node.kind in ("Shape", "Size") and node.has(0):
            sizes = np.array(node.shape(0), np.int64)
            if node.kind == "Size":
                return [np.array(math.prod(node.shape(0)), np.int64)]
            start, end = node.attributes.get("start", 0), node.attributes.get("end", len(sizes))
            return [sizes[start:end]]
        read = [self.constants.get(name) if name else None for name in node.proto.input]
        if any(x is None and name for x, name in zip(read, node.proto.input, strict=True)):
            return None
        return fold(node.proto, read, self.opset)

    def shape(self, layer: int) -> Shape:
        """Returns the shape of a layer's result."""
        return self.builder.shape(layer)

    def layer(self, name: str) -> int:
        """Returns the layer that gives a value, one of a constant where it depends on nothing.

        Raises ParseError for a constant that float32 cannot hold.
        """
        if name not in self.layers:
            values = self.constants[name]
            kinds: dict[str, Dtype] = {"f": "float32", "b": "bool"}
            dtype: Dtype = kinds.get(values.dtype.kind, "int64")
            if dtype == "int64" and values.size and np.abs(values.astype(np.float64)).max() > EXACT:
                # Bounds that mean "to the end" and the like; none is a place in a tensor.
                values = np.clip(values, -EXACT, EXACT)
            held = np.asarray(values, np.float32)
            if dtype == "float32":  # what hides elements before a softmax; weights are finite
                held = np.where(np.isneginf(held), np.float32(LOWEST), held)
            shape = tuple(values.shape)
            origin = Origin(name) if dtype == "float32" else None
            self.layers[name] = self.add(Constant(shape, dtype), (), {"value": (held, origin)})
        return self.layers[name]

    def add(
        self, op: Op, layers: Sequence[int], weights: Mapping[str, tuple[Array, Origin | None]]
    ) -> int:
        """Adds a layer with its weights, whose shapes have to be those of the op.

        Raises ParseError where they are not, and for a result beyond all memory.
        """
        shapes = [self.shape(i) for i in layers]
        if math.prod(op.output_shape(*shapes)) > MOST_ELEMENTS:
            raise ParseError(f"its result has the shape {op.output_shape(*shapes)}, beyond 2 GiB")
        expected = {**op.parameters(*shapes), **op.buffers(*shapes)}
        for name, (values, _) in weights.items():
            if tuple(values.shape) != tuple(expected.get(name, ())):
                raise ParseError(
                    f"its {name} has the shape {tuple(values.shape)}, expected "
                    f"{tuple(expected.get(name, ()))}"
                )
        index = self.builder.add(op, *layers)
        if self.made:
            self.made[-1].append(index)
        self.weights[index] = dict(weights)
        return index

    def type_of(self, layer: int) -> Dtype:
        """Returns the type of a layer's elements."""
        for i in range(len(self._types), layer + 1):
            found = self.builder.layer(i)
            read = [self._types[j] for j in found.inputs]
            self._types.append(found.op.result_type(*read))
        return self._types[layer]

    def scalar(self, value: float) -> int:
        """Adds a constant of one number."""
        return self.add(Constant(()), (), {"value": (np.array(value, np.float32), None)})

    def op_of(self, layer: int) -> tuple[Op, tuple[int, ...]]:
        """Returns a layer's op and the layers that it reads."""
        found: Layer = self.builder.layer(layer)
        return found.op, found.inputs

    def _unread(self, node: Node, why: str) -> list[int]:
        """Layers for the results of an operator that no layer kind says."""
        kind = f"{node.proto.domain}.{node.kind}" if node.proto.domain else node.kind
        read = [self.layer(name) for name in node.proto.input if name]
        if not read:
            raise ParseError(f"{why}, and it reads nothing")
        found = []
        for k, name in enumerate(node.proto.output):
            shape, dtype = self._type_of(name, why) if name else ((1,), "float32")
            op = Unread(kind, node.proto.name or node.proto.output[0], shape, dtype, k)
            found.append(self.add(op, read, {}))
        return found

    def _type_of(self, name: str, why: str) -> tuple[Shape, Dtype]:
        if self._inferred is None:
            self._inferred = stated_types(self.file.model)
        if name not in self._inferred:
            raise ParseError(
                f"{why}, and neither the file nor ONNX' shape inference says of which shape its "
                f"result {quoted(name)} is; fix sizes with --shape, or leave it out"
            )
        return self._inferred[name]

    def _built(self) -> tuple[Network, Weights, dict[str, Origin]]:
        graph = self.file.model.graph
        if not graph.output:
            raise ParseError(f"{self.file.where} has no outputs; export it again")
        unknown = [
            o.name
            for o in graph.output
            if o.name not in self.layers and o.name not in self.constants
        ]
        if unknown:
            raise ParseError(f"{self.file.where}: nothing gives its output {quoted(unknown[0])}")
        outputs = [self.layer(o.name) for o in graph.output]
        numbers = self.numbers = self.builder.needed(*outputs)
        network = self.builder.build(*outputs)
        layers = list(network.layers)
        for i, below in self.below.items():
            layers[i] = replace(layers[i], op=replace(layers[i].op, below=below))  # type: ignore[call-arg]
        weights, origins = Weights(), dict[str, Origin]()
        for old, new in numbers.items():
            for name, (values, origin) in self.weights.get(old, {}).items():
                weights[f"{new}.{name}"] = np.asarray(values, np.float32, order="C")
                if origin is not None:
                    origins[f"{new}.{name}"] = origin
        return Network(tuple(layers), network.results), weights, origins

    def node_layers(self) -> list[tuple[int, ...]]:
        """Returns the layers of the network, which was read, that each node of the file is for.

        A node whose result became a part of a later layer, as that of a product to which a bias is
        added, is for the layers of the first node that reads it. One that leaves its input as it
        is, or depends on no input, is for none.
        """
        nodes = self.file.model.graph.node
        readers: dict[str, int] = {}
        for k, node in enumerate(nodes):
            for name in node.input:
                readers.setdefault(name, k)
        found: list[set[int]] = [set() for _ in nodes]
        for k in reversed(range(len(nodes))):
            found[k] |= {self.numbers[i] for i in self.made[k] if i in self.numbers}
            for name in nodes[k].output:
                taken_over = name in self.layers and self.layers[name] not in self.numbers
                if taken_over and name in readers:
                    found[k] |= found[readers[name]]
        return [tuple(sorted(layers)) for layers in found]

    def choose_rows(self, layer: int, rows: int) -> None:
        """Notes that a layer's integers choose among ``rows``, for the input that they come
        from."""
        while True:
            op, read = self.op_of(layer)
            if isinstance(op, Input):
                if op.dtype != "float32":
                    self.below[layer] = min(self.below.get(layer, rows), rows)
                return
            if not read:
                return
            layer = read[0]

    def reshaped(self, layer: int, shape: Shape) -> int:
        """Returns a layer's result in another shape, without a layer where it has it, and one
        layer where it was reshaped before."""
        op, read = self.op_of(layer)
        if self.shape(layer) == shape:
            return layer
        if isinstance(op, Reshape):
            return self.reshaped(read[0], shape)
        return self.add(Reshape(shape), (layer,), {})


def _constant(node: Node) -> Array:
    given = node.attributes
    if "value" in given:
        return values_of(given["value"], node.reader.file.where)
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32),
                        ("value_int", np.int64), ("value_ints", np.int64)):  # fmt: skip
        if name in given:
            return np.asarray(given[name], dtype)
    raise ParseError("it has no value that is of numbers")
