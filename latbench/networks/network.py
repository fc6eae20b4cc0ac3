"""The framework-neutral layer graph of one concrete architecture.

A Network is the single definition of what is computed. It is read by the ONNX exporter, the torch
exporter, the weights and the cost features, so that a space writes each architecture once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from latbench.errors import UsageError, quoted
from latbench.networks.general.windows import TransposedConv
from latbench.networks.ops import Dtype, Input, Op, Parameters, Shape

FLOAT32_BYTES = 4
Kind = tuple[Op, tuple[Shape, ...]]  # a layer kind on given sizes: an op, the shapes that it reads


@dataclass(frozen=True)
class Layer:
    """One op applied to the outputs of earlier layers."""

    op: Op
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Network:
    """A directed acyclic graph of layers, in execution order; layer 0 is the input, the last one
    is the output, and every layer is needed for it.

    A network from outside may have several inputs, which then are the first layers, and several
    outputs, whose indices are its ``results``.
    """

    layers: tuple[Layer, ...]
    results: tuple[int, ...] = ()

    def __deepcopy__(self, memo: object) -> Network:
        return self  # it never changes, and modules that hold one are copied

    @property
    def input_shape(self) -> Shape:
        """Returns the input's shape, ``(N, C, H, W)``."""
        return self.layers[0].shape

    @property
    def output_shape(self) -> Shape:
        """Returns the output's shape, ``(N, classes)`` for a classifier (of several, the first)."""
        return self.layers[self.outputs[0]].shape

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Returns the indices of the inputs, one for most networks."""
        return tuple(i for i, layer in enumerate(self.layers) if isinstance(layer.op, Input))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Returns the indices of the layers whose results it gives, one for most networks."""
        return self.results or (len(self.layers) - 1,)

    @cached_property
    def types(self) -> tuple[Dtype, ...]:
        """Returns the type of each layer's elements."""
        found: list[Dtype] = []
        for layer in self.layers:
            found.append(layer.op.result_type(*[found[i] for i in layer.inputs]))
        return tuple(found)

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """Returns the shapes of what a layer reads."""
        return tuple(self.layers[i].shape for i in layer.inputs)

    def kind(self, layer: Layer) -> Kind:
        """Returns a layer's op with the shapes of what it reads; equal kinds do equal work."""
        return layer.op, self.input_shapes(layer)

    def kinds(self) -> Counter[Kind]:
        """Counts how often each kind of layer occurs, in order of first use; the input is none."""
        return Counter(self.kind(layer) for layer in self.layers if layer.inputs)

    def tensors(self) -> Iterator[tuple[str, Shape, bool]]:
        """Yields every stored tensor as ``(name, shape, trained)``; names are
        ``"<layer>.<tensor>"``."""
        for i, layer in enumerate(self.layers):
            shapes = self.input_shapes(layer)
            trained: Parameters = layer.op.parameters(*shapes)
            for name, shape in trained.items():
                yield f"{i}.{name}", shape, True
            for name, shape in layer.op.buffers(*shapes).items():
                yield f"{i}.{name}", shape, False

    @property
    def classifies_images(self) -> bool:
        """Returns whether it takes one batch of square images and gives each of them scores."""
        shape, one = self.input_shape, len(self.inputs) == len(self.outputs) == 1
        square = len(shape) == 4 and shape[2] == shape[3] and self.types[0] == "float32"
        return one and square and len(self.output_shape) == 2

    @cached_property
    def reduction(self) -> int:
        """Returns how many times smaller the smallest image in it is than its input, in height, by
        the strides of its layers."""
        times: list[int] = []
        for layer in self.layers:
            before = max((times[i] for i in layer.inputs), default=1)
            stride = 1 if isinstance(layer.op, TransposedConv) else getattr(layer.op, "stride", 1)
            times.append(before * (stride[0] if isinstance(stride, tuple) else stride))
        return max(times)

    def check_halves(self, what: str) -> None:
        """Raises UsageError, beginning with ``what``, where the input is too small for the
        ``reduction``, which is taken for strides of 2 that round up: one of them would read a
        single pixel, which it cannot halve."""
        least = self.reduction // 2 + 1
        if min(self.input_shape[2:]) < least:
            raise UsageError(
                f"{what} reduces an image {self.reduction} times, so that it needs a resolution of "
                f"at least {least} pixels, got {min(self.input_shape[2:])}"
            )

    @cached_property
    def parameters(self) -> int:
        """Returns the number of trained values."""
        return sum(math.prod(shape) for _, shape, trained in self.tensors() if trained)

    @cached_property
    def macs(self) -> int:
        """Returns the multiply-accumulates of one run (the "multiply-adds" that papers report)."""
        return sum(self.layer_macs(layer) for layer in self.layers)

    @property
    def flops(self) -> int:
        """Returns the floating-point operations of one run: two for each multiply-accumulate."""
        return 2 * self.macs

    @cached_property
    def bytes_moved(self) -> int:
        """Returns bytes read and written in float32 when every layer runs by itself, unfused."""
        return sum(self.layer_bytes(i) for i in range(len(self.layers)))

    def layer_macs(self, layer: Layer) -> int:
        """Returns the multiply-accumulates of one layer."""
        return layer.op.macs(layer.shape, *self.input_shapes(layer))

    def layer_bytes(self, index: int) -> int:
        """Returns bytes of one layer's inputs, weights and output in float32."""
        layer = self.layers[index]
        return _bytes(self.kind(layer), layer.shape) if layer.inputs else 0


def _bytes(kind: Kind, output: Shape) -> int:
    op, shapes = kind
    return FLOAT32_BYTES * op.elements_moved(output, *shapes)


def kind_work(kind: Kind) -> tuple[int, int]:
    """Returns the multiply-accumulates of a kind of layer, and its bytes moved in float32."""
    op, shapes = kind
    output = op.output_shape(*shapes)
    return op.macs(output, *shapes), _bytes(kind, output)


class NetworkBuilder:
    """A builder that makes a Network layer by layer; every call checks shapes at once.

    >>> from latbench.networks.ops import Activation, Conv
    >>> b = NetworkBuilder((1, 3, 8, 8))
    >>> x = b.add(Conv(16, kernel=3, padding=1), b.input)
    >>> b.build(b.add(Activation("relu"), x)).output_shape
    (1, 16, 8, 8)
    """

    def __init__(self, input_shape: Shape) -> None:
        if len(input_shape) not in (2, 4) or any(size < 1 for size in input_shape):
            raise UsageError(
                f"the input must be (N, C, H, W) or (N, C), all positive; got {input_shape}"
            )
        self._layers: list[Layer] = [Layer(Input(input_shape), (), input_shape)]

    @classmethod
    def of_inputs(cls, *inputs: Input) -> NetworkBuilder:
        """Makes a builder of a network with these inputs, of any shape and type, which are its
        first layers. Raises UsageError for none, for a shape with a size below 1, and for a name
        that two of them have."""
        if not inputs or any(size < 1 for op in inputs for size in op.shape):
            raise UsageError(f"a network has inputs of positive sizes; got {inputs}")
        names = Counter(op.name for op in inputs if op.name)
        for name in (name for name, times in names.items() if times > 1):
            raise UsageError(
                f"{names[name]} inputs are called {quoted(name)}; give them names of their own"
            )
        builder = cls.__new__(cls)
        builder._layers = [Layer(op, (), op.shape) for op in inputs]
        return builder

    @property
    def input(self) -> int:
        """Returns the index of the input layer."""
        return 0

    def layer(self, index: int) -> Layer:
        """Returns a layer that was added. Raises UsageError for any other index."""
        if not 0 <= index < len(self._layers):
            raise UsageError(f"there is no layer {index}; the last one is {len(self._layers) - 1}")
        return self._layers[index]

    def shape(self, index: int) -> Shape:
        """Returns the output shape of a layer that was added. Raises UsageError for any other
        index."""
        return self.layer(index).shape

    def add(self, op: Op, *inputs: int) -> int:
        """Appends ``op`` to the given layers' outputs and returns its index.

        Raises UsageError when the number of inputs or their shapes do not fit.
        """
        if isinstance(op, Input):
            raise UsageError("a network's inputs are there from the start")
        if op.arity != len(inputs) and (op.arity is not None or not inputs):
            expected = {None: "one or more inputs", 0: "no inputs", 1: "one input"}.get(
                op.arity, f"{op.arity} inputs"
            )
            raise UsageError(f"{op} takes {expected}, got {len(inputs)}")
        shape = self._output_shape(op, [self.shape(i) for i in inputs])
        self._layers.append(Layer(op, inputs, shape))
        return len(self._layers) - 1

    def _output_shape(self, op: Op, inputs: Sequence[Shape]) -> Shape:
        return op.output_shape(*inputs)

    def build(self, output: int, *more: int) -> Network:
        """Returns the network that computes ``output``, and ``more`` of them, without the layers
        that they do not need.

        Runtimes drop dead layers when they load a model, so they must not count as work either.
        Raises UsageError when there is no such layer.
        """
        numbers = self.needed(output, *more)
        return Network(
            tuple(
                Layer(layer.op, tuple(numbers[j] for j in layer.inputs), layer.shape)
                for layer in (self._layers[i] for i in numbers)
            ),
            tuple(numbers[i] for i in (output, *more)) if more else (),
        )

    def needed(self, *outputs: int) -> dict[int, int]:
        """Returns the indices of the inputs and of the layers that ``outputs`` need, in order, each
        with its index in the built network. Raises UsageError when there is no such layer."""
        for output in outputs:
            self.shape(output)
        found = {i for i, layer in enumerate(self._layers) if isinstance(layer.op, Input)}
        found.update(outputs)
        for i in range(max(outputs), 0, -1):
            if i in found:
                found.update(self._layers[i].inputs)
        return {old: new for new, old in enumerate(sorted(found))}
