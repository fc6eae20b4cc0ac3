"""The builder that takes all options at once: a space's supernet, and all layers of its networks.

The supernet is a Network with four layer kinds more (``latbench.networks.supernet_ops``): one Mixed
layer an occurrence of a variable, a Blend where depths or inputs come together, a Sum whose terms
may be absent, and a Mask before whatever mixes channels of which only some are there.
``specialise(supernet, space, a)`` is ``space.build(a)`` for every architecture of every space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latbench.errors import UsageError
from latbench.networks.network import Kind, Network
from latbench.networks.ops import Concat, Conv, Elementwise, Flatten, Linear, Op, Shape, Slice, Zero
from latbench.networks.supernet_ops import Blend, Mask, Mixed, Sum
from latbench.spaces.architecture import Architecture, StatedSpace
from latbench.spaces.assembly import Assembler, Questions, Step, naming
from latbench.spaces.forest import Forest
from latbench.spaces.open_number import (
    OpenNumber,
    at,
    open_names,
    open_number,
    open_shape,
    settled,
)
from latbench.spaces.variables import One, Some

Segments = tuple[int, ...]
# What it does to channels is written below, or stated by the kind.
_KNOWN = Concat | Conv | Flatten | Linear | Slice | Blend | Mask | Mixed


class SupernetBuilder(Assembler):
    """The builder of a supernet. Options are built by builders of their own, which share
    ``questions``."""

    def __init__(
        self, space: StatedSpace, search: bool, shape: Shape | None = None,
        segments: Segments | None = None, questions: Questions | None = None,
    ) -> None:  # fmt: skip
        self.questions, self.search = questions or Questions(space), search
        super().__init__(space.input_shape(self.number) if shape is None else shape)
        # Of each tensor, the parts of its channels that come from different layers.
        self._segments: list[Segments] = [segments or (self.shape(0)[1],)]
        self._masked: dict[int, int] = {}
        # Tensors that may be no term of a sum: a group of them, and how many of it there are.
        self._optional: dict[int, tuple[str, int, int]] = {}

    @property
    def _space(self) -> StatedSpace:
        return self.questions.space

    def _output_shape(self, op: Op, inputs: Sequence[Shape]) -> Shape:
        return open_shape(op, tuple(inputs))

    def add(self, op: Op, *inputs: int) -> int:
        """Appends a layer, behind masks where it mixes open channels. Raises UsageError where open
        channels that lie differently meet."""
        if self._mixes(op, inputs):
            inputs = tuple(self._mask(i) for i in inputs)
        before = [self._segments[i] for i in inputs]
        self._check_meeting(op, before, inputs)
        index = super().add(op, *inputs)
        if isinstance(op, Concat):
            self._segments.append(sum(before, ()))
        elif isinstance(op, Mixed | Linear) or (isinstance(op, Conv) and self._mixes(op, inputs)):
            self._segments.append((self.shape(index)[1],))
        else:
            self._segments.append(before[0])
        return index

    def _mixes(self, op: Op, inputs: Sequence[int]) -> bool:
        """Whether a layer makes a channel of several ones."""
        if isinstance(op, Conv):
            depthwise = _key(op.groups) == _key(self.shape(inputs[0])[1]) != 1
            return not depthwise
        return isinstance(op, Linear)

    def _check_meeting(self, op: Op, before: list[Segments], inputs: Sequence[int]) -> None:
        """Refuses what has no meaning where the number of channels is open."""
        names = ", ".join(dict.fromkeys(n for segments in before for n in open_names(segments)))
        if not names:
            return
        keys = {tuple(map(_key, segments)) for segments in before}
        if len(keys) > 1 and not isinstance(op, Concat | Blend):
            raise UsageError(
                f"space {self._space.name!r}: the {_called(op)} of tensors whose open channels lie "
                f"differently ({names}); give both sides the channels of one variable"
            )
        grouped = isinstance(op, Conv) and op.groups != 1 and self._mixes(op, inputs)
        rows = isinstance(op, Flatten) and any(n > 1 for n in self.shape(inputs[0])[2:])
        unknown = not (op.channelwise or op.elementwise or isinstance(op, _KNOWN))
        if grouped or rows or unknown or (isinstance(op, Slice) and op.axis == 1):
            raise UsageError(
                f"space {self._space.name!r}: {type(op).__name__} of channels whose number is open "
                f"({names}) is not the same layer for all of them; make it an option of a variable"
            )

    def _mask(self, x: int) -> int:
        if not open_names(self._segments[x]):
            return x
        if x not in self._masked:
            self._masked[x] = self.add(Mask(self._segments[x]), x)
        return self._masked[x]

    def _networks(
        self, v: One, steps: Sequence[Step], shape: Shape, segments: Segments | None
    ) -> tuple[Network, ...]:
        """The alternatives, each on an input of that shape."""
        built = list[Network]()
        for option, step in zip(v.options, steps, strict=True):
            inner = SupernetBuilder(self._space, self.search, shape, segments, self.questions)
            try:
                built.append(inner.build(step(inner, inner.input)))
            except UsageError as error:
                raise naming(error, self._space, f"{v.name}={option}") from error
            mine, first = (tuple(map(_key, n.output_shape)) for n in (built[-1], built[0]))
            if mine != first:
                raise UsageError(
                    f"space {self._space.name!r}: the option {v.name}={option} gives the shape "
                    f"{built[-1].output_shape}, and {v.name}={v.options[0]} "
                    f"{built[0].output_shape}; all options of a variable must give one shape"
                )
        return tuple(built)

    def one(self, name: str, alternatives: Mapping[str, Step], x: int) -> int:
        """Appends all options as one Mixed layer."""
        v = self.questions.one(name, tuple(alternatives))
        steps = [alternatives[option] for option in v.options]
        networks = self._networks(v, steps, self.shape(x), self._segments[x])
        y = self.add(Mixed(name, networks, lambda shape: self._networks(v, steps, shape, None)), x)
        forest = self._space.forest
        above = forest.parents[forest.index[name]]
        parent = forest.variables[above] if above >= 0 else None
        if any(_is_zero(network) for network in networks):
            self._optional[y] = (f"{y}", 0, 1)
        elif isinstance(parent, Some):
            self._optional[y] = (parent.name, parent.least, parent.most)
        return y

    def number(self, name: str) -> int:
        """Returns all values as one open number."""
        v = self.questions.number(name)
        numbers = self.questions.numbers(v)
        return open_number([name], {(k,): number for k, number in enumerate(numbers)})

    def some(self, name: str, members: Mapping[str, int]) -> dict[str, int]:
        """Returns all members, weighted where no variable hangs on them that weighs them."""
        v, forest, out = self.questions.some(name, tuple(members)), self._space.forest, {}
        i = forest.index[name]
        for member, x in members.items():
            j = v.options.index(member)
            told = any(isinstance(forest.variables[c], One) for c in forest.children[i][j])
            out[member] = x if told else self.add(Blend(name, (j,)), x)
            if not told:
                self._optional[out[member]] = (name, v.least, v.most)
        return out

    def first(self, name: str, steps: Sequence[Step], x: int) -> int:
        """Appends all steps, and a Blend of their results at each depth."""
        v, results = self.questions.depth(name, len(steps)), [x]
        depths = self.questions.numbers(v)
        for step in steps[: max(depths)]:
            results.append(step(self, results[-1]))
        found = [results[depth] for depth in depths]
        shapes = [tuple(map(_key, self.shape(y))) for y in found]
        for option, shape, y in zip(v.options, shapes, found, strict=True):
            if shape != shapes[0]:
                raise UsageError(
                    f"space {self._space.name!r}: the option {name}={option} gives the shape "
                    f"{self.shape(y)}, and {name}={v.options[0]} {self.shape(found[0])}; all "
                    "depths must give one shape"
                )
        return self.add(Blend(name, tuple(range(len(depths)))), *found)

    def total(self, xs: Sequence[int]) -> int:
        """Appends the sum of what may be there."""
        groups = dict[str, tuple[int, int]]()
        for x in xs:
            group, least, most = self._optional.get(x, (f"{x}", 1, 1))
            groups[group] = (least, most)
        least, most = (sum(bounds[i] for bounds in groups.values()) for i in (0, 1))
        if len(xs) == 1 and least == 1:
            return xs[0]
        return self.add(Sum("add", tuple(range(least, min(most, len(xs)) + 1))), *xs)


def _key(number: int) -> Any:
    """A number's identity, which compares without deciding anything."""
    if isinstance(number, OpenNumber):
        return number.names, tuple(number.table.items())
    return number


def _called(op: Op) -> str:
    return op.kind if isinstance(op, Elementwise) else type(op).__name__


def _is_zero(network: Network) -> bool:
    return len(network.layers) == 2 and isinstance(network.layers[1].op, Zero)


def all_layer_kinds(supernet: Network, forest: Forest) -> tuple[Kind, ...]:
    """Returns every layer that a network of a supernet may have: a layer kind and the shapes of
    what it reads, in the order in which the assembly comes to them.

    Each layer is taken under all values of the variables that it depends on. Where conditions tie
    two variables together, there may be layers among them that no network has.
    """
    options = {v.name: len(v.options) for v in forest.variables}
    found: dict[Any, None] = {}

    def walk(network: Network) -> None:
        for layer in network.layers:
            op = layer.op
            if isinstance(op, Mixed):
                for inner in op.alternatives:
                    walk(inner)
            elif isinstance(op, Sum):
                for shape in settled(layer.shape, options):
                    kinds = ((Elementwise("add"), (shape,) * n) for n in op.terms if n > 1)
                    found.update(dict.fromkeys(kinds))
            elif layer.inputs and not isinstance(op, Blend | Mask):
                found.update(dict.fromkeys(settled(network.kind(layer), options)))

    walk(supernet)
    return tuple(found)


@dataclass(frozen=True)
class Derived:
    """A supernet at an architecture: the network, and where the supernet has its layers.

    ``places`` has for each of the network's layers the indices that lead to it: a layer of the
    supernet, or a Mixed layer of it, the number of the alternative, and a layer of that, and so on.
    """

    network: Network
    places: tuple[tuple[int, ...], ...]


class _Plain(Assembler):
    """A builder that nothing is asked of, since a supernet has been asked already."""

    def one(self, name: str, alternatives: Mapping[str, Step], x: int) -> int:
        raise NotImplementedError

    def number(self, name: str) -> int:
        raise NotImplementedError

    def some(self, name: str, members: Mapping[str, int]) -> dict[str, int]:
        raise NotImplementedError

    def first(self, name: str, steps: Sequence[Step], x: int) -> int:
        raise NotImplementedError

    @property
    def count(self) -> int:
        """Returns the number of layers so far."""
        return len(self._layers)


_GONE = -1  # the index of what an architecture does not have


def specialise(supernet: Network, space: StatedSpace, architecture: Architecture) -> Derived:
    """Derives an architecture's network from a supernet of its space.

    It is ``space.build(architecture)``, where the supernet was not made for a search.
    """
    forest = space.forest
    answers = {v.name: k for v, k in zip(forest.variables, architecture.code, strict=True)}
    b = _Plain(at(supernet.input_shape, answers))
    places: list[tuple[int, ...]] = [()]

    def kept(op: Blend) -> list[bool]:
        value = answers[op.variable]
        if isinstance(forest[op.variable], One):
            return [value == option for option in op.options]
        return [value >= 0 and bool(value >> member & 1) for member in op.options]

    def placed(index: int, place: tuple[int, ...]) -> int:
        places.extend([place] * (b.count - len(places)))
        return index

    def layer_of(op: Op, read: list[int], place: tuple[int, ...]) -> int:
        if isinstance(op, Sum):
            there = [j for j in read if j != _GONE]
            return placed(b.total(there), place) if there else _GONE
        if isinstance(op, Mixed):
            value = answers[op.variable]
            if value < 0 or read[0] == _GONE:
                return _GONE
            inner = op.alternatives[value]
            return b.chosen(lambda _, x: walk(inner, x, (*place, value)), read[0])
        if isinstance(op, Blend):
            found = [j for j, here in zip(read, kept(op), strict=True) if here]
            return found[0] if found else _GONE
        if isinstance(op, Mask):
            return read[0]
        if _GONE in read:
            return _GONE
        return placed(b.add(at(op, answers), *read), place)

    def walk(network: Network, x: int, before: tuple[int, ...]) -> int:
        results = [x]
        for i, layer in enumerate(network.layers[1:], 1):
            results.append(layer_of(layer.op, [results[j] for j in layer.inputs], (*before, i)))
        return results[-1]

    output = walk(supernet, 0, ())
    return Derived(b.build(output), tuple(places[i] for i in b.needed(output)))
