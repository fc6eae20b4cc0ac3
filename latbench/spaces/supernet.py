"""The builder that takes all options at once: a space's supernet, and all layers of its networks.

The supernet is a Network with four layer kinds more (``latbench.networks.supernet_ops``): one Mixed
layer an occurrence of a variable, a Blend where depths or inputs come together, a Sum whose terms
may be absent, and a Mask before whatever mixes channels of which only some are there.
``latbench.spaces.derived.specialise`` gives the network of an architecture back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.networks.ops import Concat, Conv, Elementwise, Flatten, Linear, Op, Shape, Slice, Zero
from latbench.networks.supernet_ops import Blend, Mask, Mixed, Sum
from latbench.spaces.architecture import StatedSpace
from latbench.spaces.assembly import Assembler, Questions, Step, naming, of_space
from latbench.spaces.open_number import (
    OpenNumber,
    open_names,
    open_number,
    open_shape,
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
        # Tensors that may be no term of a sum.
        self._optional: dict[int, _Optional] = {}

    @property
    def _space(self) -> StatedSpace:
        return self.questions.space

    def _output_shape(self, op: Op, inputs: Sequence[Shape]) -> Shape:
        if isinstance(op, Mixed | Blend | Mask | Sum):  # whose own shapes are open already
            return op.output_shape(*inputs)
        return open_shape(op, tuple(inputs))

    def add(self, op: Op, *inputs: int) -> int:
        """Appends a layer, behind masks where it mixes open channels. Raises UsageError where open
        channels that lie differently meet."""
        for i in inputs:
            self.shape(i)
        self._check_alone(op, inputs)
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
            # Conv.depthwise, of numbers that may be open.
            channels = _key(self.shape(inputs[0])[1])
            return not _key(op.groups) == _key(op.out_channels) == channels != 1
        return isinstance(op, Linear)

    def _check_alone(self, op: Op, inputs: Sequence[int]) -> None:
        """Refuses attributes that may not be open, and members that may not be there."""
        kept = (self._optional.get(i) for i in inputs)
        gone = next((one for one in kept if one is not None and one.member), None)
        if gone is not None and not isinstance(op, Sum):
            raise UsageError(
                f"space {self._space.name!r}: {_called(op)} reads the member {gone.member!r} of "
                f"{gone.group!r}, which may not be kept; add members by total() first, or do it in "
                "the steps of a variable that hangs on the member"
            )
        if isinstance(op, Mixed | Blend | Mask) or op.channelwise:
            return
        free = {"out_channels", "out_features"}
        if isinstance(op, Conv) and not self._mixes(op, inputs):
            free.add("groups")  # of a depthwise convolution
        for field in dataclasses.fields(op):
            if field.name not in free and (names := open_names(getattr(op, field.name))):
                raise UsageError(
                    f"space {self._space.name!r}: the {field.name} of {type(op).__name__} depends "
                    f"on {', '.join(names)}, and a supernet would run the largest for all; make it "
                    "an option of a variable, by one()"
                )

    def _check_meeting(self, op: Op, before: list[Segments], inputs: Sequence[int]) -> None:
        """Refuses what has no meaning where the number of channels is open."""
        names = ", ".join(dict.fromkeys(n for segments in before for n in open_names(segments)))
        if isinstance(op, Linear):
            width = self.shape(inputs[0])[1]
            if open_names(width) and _key(width) != _key(sum(before[0])):
                raise UsageError(
                    f"space {self._space.name!r}: Linear reads a number of features that depends "
                    f"on {', '.join(open_names(width))} by more than channels; pool the pixels "
                    "first"
                )
        if not names:
            return
        keys = {tuple(map(_key, segments)) for segments in before}
        if len(keys) > 1 and not isinstance(op, Concat):
            raise UsageError(
                f"space {self._space.name!r}: the {_called(op)} of tensors whose open channels lie "
                f"differently ({names}); give both sides the channels of one variable"
            )
        grouped = isinstance(op, Conv) and _key(op.groups) != 1 and self._mixes(op, inputs)
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
    ) -> tuple[tuple[Network, ...], Segments]:
        """The alternatives, each on an input of that shape, and the parts of their channels."""
        built, parts = list[Network](), list[Segments]()
        for option, step in zip(v.options, steps, strict=True):
            inner = SupernetBuilder(self._space, self.search, shape, segments, self.questions)
            try:
                y = inner.result(step(inner, inner.input))
                built.append(inner.build(y))
            except UsageError as error:
                raise naming(error, self._space, f"{v.name}={option}") from error
            parts.append(inner._segments[y])
            self._check_alike(v, option, [n.output_shape for n in (built[0], built[-1])], "options")
        return tuple(built), self._agreed(v, parts, built[0].output_shape)

    def _check_alike(self, v: One, option: str, shapes: Sequence[Shape], what: str) -> None:
        first, mine = (tuple(map(_key, shape)) for shape in shapes)
        if mine != first:
            raise UsageError(
                f"space {self._space.name!r}: the option {v.name}={option} gives the shape "
                f"{shapes[1]}, and {v.name}={v.options[0]} {shapes[0]}; all {what} of a variable "
                "must give one shape"
            )

    def _agreed(self, v: One, parts: Sequence[Segments], shape: Shape) -> Segments:
        """The parts of the channels of what a variable chooses among."""
        if not any(map(open_names, parts)):
            return (shape[1],)
        if len({tuple(map(_key, segments)) for segments in parts}) > 1:
            names = dict.fromkeys(name for segments in parts for name in open_names(segments))
            raise UsageError(
                f"space {self._space.name!r}: the options of {v.name!r} give tensors whose open "
                f"channels lie differently ({', '.join(names)}); let all end with a convolution to "
                "one width"
            )
        return parts[0]

    def _note(self, v: One, y: int, may_vanish: bool) -> None:
        """Notes whether what a variable gave may be no term of a sum."""
        forest = self._space.forest
        above = forest.parents[forest.index[v.name]]
        parent = forest.variables[above] if above >= 0 else None
        if isinstance(parent, Some):
            assert v.given is not None
            self._optional[y] = _Optional(parent.name, v.given[1][0], may_vanish)
        elif may_vanish:
            self._optional[y] = _Optional("", "", True)

    def one(self, name: str, alternatives: Mapping[str, Step], x: int) -> int:
        """Appends all options as one Mixed layer."""
        v = self.questions.one(name, tuple(alternatives))
        self.questions.weighed.add(name)
        steps = [alternatives[option] for option in v.options]
        networks, segments = self._networks(v, steps, self.shape(x), self._segments[x])
        mixed = Mixed(name, networks, lambda shape: self._networks(v, steps, shape, None)[0])
        y = self.add(mixed, x)
        self._segments[y] = segments
        self._note(v, y, any(map(_may_vanish, networks)))
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
        for j, member in enumerate(v.options):
            x = members[member]
            told = any(isinstance(forest.variables[c], One) for c in forest.children[i][j])
            out[member] = x if told else self.add(Blend(name, (j,)), x)
            if not told:
                self._optional[out[member]] = _Optional(name, member, False)
        return out

    def first(self, name: str, steps: Sequence[Step], x: int) -> int:
        """Appends all steps, and a Blend of their results at each depth."""
        v, results = self.questions.depth(name, len(steps)), [x]
        self.questions.weighed.add(name)
        depths = self.questions.numbers(v)
        for step in steps[: max(depths)]:
            results.append(self.result(step(self, results[-1])))
        found = [results[depth] for depth in depths]
        for option, y in zip(v.options, found, strict=True):
            self._check_alike(v, option, [self.shape(found[0]), self.shape(y)], "depths")
        segments = self._agreed(v, [self._segments[y] for y in found], self.shape(found[0]))
        y = self.add(Blend(name, tuple(range(len(depths)))), *found)
        self._segments[y] = segments
        self._note(v, y, may_vanish=False)
        return y

    def total(self, xs: Sequence[int]) -> int:
        """Appends the sum of what may be there. Raises UsageError for a sum that may have no
        term, or has a member twice."""
        plain, kept = list[_Optional | None](), dict[str, list[_Optional]]()
        for one in (self._optional.get(x) for x in xs):
            if one is not None and one.member:
                kept.setdefault(one.group, []).append(one)
            else:
                plain.append(one)
        least, most, present = sum(one is None for one in plain), len(plain), len(plain)
        for group, of in kept.items():
            v = self._space.forest[group]
            assert isinstance(v, Some)
            if len({one.member for one in of}) < len(of):
                raise UsageError(
                    f"space {self._space.name!r}: a total has a member of {group!r} twice; add "
                    "what belongs to one member in the steps of a variable that hangs on it"
                )
            certain = max(0, v.least - (len(v.options) - len(of)))
            least += max(0, certain - sum(one.may_vanish for one in of))
            most, present = most + min(v.most, len(of)), present + certain
        if not present:
            raise UsageError(
                f"space {self._space.name!r}: a total may have no term at all; give it one that is "
                "always there, or the set a least of 1"
            )
        if len(xs) == 1 and xs[0] not in self._optional:
            return xs[0]
        return self.add(Sum("add", tuple(range(least, most + 1))), *xs)


class _Optional(NamedTuple):
    """A tensor that may be no term of a sum: a member of a set (its group and name), or one that an
    option makes a Zero (``may_vanish``)."""

    group: str
    member: str
    may_vanish: bool


def reached(network: Network) -> set[str]:
    """Returns the variables that any layer of a supernet depends on."""
    found = set[str]()
    for layer in network.layers:
        if isinstance(layer.op, Mixed | Blend):
            found.add(layer.op.variable)
        if isinstance(layer.op, Mixed):
            found.update(*map(reached, layer.op.alternatives))
        else:
            found.update(open_names((layer.op, layer.shape)))
    return found


def supernet_of(
    space: StatedSpace, assemble: Callable[[Assembler], int], search: bool
) -> Network:  # fmt: skip
    """Builds the supernet of a space, see ``SearchSpace.supernet``."""
    try:
        b = SupernetBuilder(space, search)
        network = b.build(assemble(b))
    except UsageError as error:
        raise of_space(error, space) from error
    b.questions.check_asked(reached(network))
    return network


def resolution_of(supernet: Network, space: str) -> str | None:
    """Returns the variable that says how many pixels a supernet's images have; None where they have
    one size. Raises UsageError, naming the space, where several variables do."""
    names = open_names(supernet.input_shape)
    if len(names) > 1:
        raise UsageError(
            f"space {space!r}: the input's shape depends on {', '.join(names)}; expected one "
            "variable for the resolution"
        )
    return names[0] if names else None


def open_channels(supernet: Network) -> Iterator[OpenNumber]:
    """Yields the open numbers of channels of a supernet's layers, those of options as well."""
    for layer in supernet.layers:
        if isinstance(layer.shape[1], OpenNumber):
            yield layer.shape[1]
        if isinstance(layer.op, Mixed):
            for one in layer.op.alternatives:
                yield from open_channels(one)


def widths_of(supernet: Network) -> tuple[str, ...]:
    """Returns the variables that the channels of a supernet's layers depend on, whatever their
    kind, in the order of the layers."""
    return tuple(dict.fromkeys(n for channels in open_channels(supernet) for n in channels.names))


def _key(number: int) -> Any:
    """A number's identity, which compares without deciding anything."""
    if isinstance(number, OpenNumber):
        return number.names, tuple(number.table.items())
    return number


def _called(op: Op) -> str:
    return op.kind if isinstance(op, Elementwise) else type(op).__name__


def _may_vanish(network: Network) -> bool:
    """Whether an alternative is nothing but a Zero, or may be."""
    if len(network.layers) != 2:
        return False
    op = network.layers[1].op
    return isinstance(op, Zero) or (
        isinstance(op, Mixed) and any(map(_may_vanish, op.alternatives))
    )
