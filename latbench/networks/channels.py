"""The channels of a network that can be removed, and the network and weights without some of them.

A channel that is removed goes from every layer in which it is: the convolution that makes it, its
batch norm, the other side of every residual sum, the depthwise convolutions and gates behind it,
and the weights of whatever reads it. Channels that have to go together are one *unit*; units that
are in the same layers, equally often, are a *group*, of which any may be removed. What the input
and the output have stays, and so does what a convolution of several groups makes and reads, unless
it is a depthwise one, and what layer kinds of others do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.general.windows import RectConv
from latbench.networks.network import Layer, Network, NetworkBuilder
from latbench.networks.ops import (
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    Input,
    Linear,
    Op,
    Shape,
    Slice,
)
from latbench.networks.weights import Weights

Ints = npt.NDArray[np.int64]
Kept = Mapping[str, npt.NDArray[np.bool_]]  # which units of each group stay, by its name
STAYS = -1  # the group of a channel that may not be removed


@dataclass(frozen=True)
class Group:
    """A number of units, called by the first layer in which they are."""

    name: str
    size: int


@dataclass(frozen=True, eq=False)
class Channels:
    """The groups of a network, and of each layer's channels (or features) the number of the group,
    ``STAYS`` for none, and of the unit in it.

    ``depthwise`` says which layers are depthwise convolutions, and ``by_rows`` which are shuffles
    whose groups, rather than the places in them, can be removed: where channels were removed
    before, as it was with all of them.
    """

    network: Network
    groups: tuple[Group, ...]
    group: tuple[Ints, ...]
    unit: tuple[Ints, ...]
    depthwise: tuple[bool, ...]
    by_rows: tuple[bool, ...]

    def parts(self, layer: int, channels: slice = slice(None)) -> tuple[int, dict[str, int]]:
        """Returns how many of a layer's channels, or of a part of them, stay, and how many each
        unit of every group has there."""
        own = self.group[layer][channels]
        found = {
            self.groups[g].name: int((own == g).sum()) // self.groups[g].size
            for g in np.unique(own) if g != STAYS
        }  # fmt: skip
        return int((own == STAYS).sum()), found

    def width(self, layer: int, widths: Mapping[str, int], channels: slice = slice(None)) -> Any:
        """Returns how many of a layer's channels there are where groups have so many units; a
        number is open where widths are."""
        total, units = self.parts(layer, channels)
        for name, n in units.items():
            total = total + widths[name] * n
        return total

    def mask(self, layer: int, kept: Kept) -> npt.NDArray[np.bool_]:
        """Returns which of a layer's channels stay."""
        stays = np.ones(len(self.group[layer]), np.bool_)
        for g, group in enumerate(self.groups):
            own = self.group[layer] == g
            stays[own] = kept[group.name][self.unit[layer][own]]
        return stays

    def narrowed_op(self, layer: int, widths: Mapping[str, int]) -> Op:
        """Returns a layer's op where groups have so many units."""
        op, inputs = self.network.layers[layer].op, self.network.layers[layer].inputs
        if isinstance(op, Conv | RectConv):
            if self.depthwise[layer]:
                c = self.width(layer, widths)
                return dataclasses.replace(op, out_channels=c, groups=c)
            return dataclasses.replace(op, out_channels=self.width(layer, widths))
        if isinstance(op, Linear):
            return dataclasses.replace(op, out_features=self.width(layer, widths))
        if isinstance(op, Slice) and op.axis == 1:
            first, end, _ = slice(op.start, op.end).indices(len(self.group[inputs[0]]))
            start = self.width(inputs[0], widths, slice(0, first))
            whole = end == len(self.group[inputs[0]])
            return Slice(1, start, None if whole else start + self.width(layer, widths))
        if isinstance(op, ChannelShuffle) and self.by_rows[layer]:
            rows = len(self.group[layer]) // op.groups
            return ChannelShuffle(self.width(layer, widths) // rows)
        return op

    def left(self, network: Network, kept: Kept) -> Channels:
        """Returns the groups of the network that ``narrowed`` made by what is kept."""
        masks = [self.mask(i, kept) for i in range(len(self.group))]
        places = {name: np.cumsum(units) - 1 for name, units in kept.items()}
        unit = []
        for own, of, mask in zip(self.group, self.unit, masks, strict=True):
            found = of.copy()
            for g, group in enumerate(self.groups):
                found[own == g] = places[group.name][of[own == g]]
            unit.append(found[mask])
        return dataclasses.replace(
            self,
            network=network,
            groups=tuple(Group(g.name, int(kept[g.name].sum())) for g in self.groups),
            group=tuple(own[mask] for own, mask in zip(self.group, masks, strict=True)),
            unit=tuple(unit),
        )


def channels_of(network: Network) -> Channels:
    """Finds the units and groups of a network."""
    units = _Units(network)
    found = [np.array([units.root(u) for u in own], np.int64) for own in units.own]
    fixed = {units.root(u) for u in units.fixed}
    where: dict[int, dict[tuple[int, int], int]] = {}
    for layer, own in enumerate(found):
        for piece, part in enumerate(_pieces(network, layer, own)):
            for u, n in zip(*np.unique(part, return_counts=True), strict=True):
                where.setdefault(int(u), {})[layer, piece] = int(n)
    alike: dict[tuple[Any, ...], list[int]] = {}
    for u, places in where.items():
        if u not in fixed:
            alike.setdefault(tuple(sorted(places.items())), []).append(u)
    groups, number, place = list[Group](), dict[int, int](), dict[int, int]()
    for (((layer, _), _), *_), members in alike.items():
        for k, u in enumerate(sorted(members)):
            number[u], place[u] = len(groups), k
        groups.append(Group(str(layer), len(members)))
    names = [g.name for g in groups]
    groups = [
        g if names.count(g.name) == 1 else Group(f"{g.name}.{names[:i].count(g.name)}", g.size)
        for i, g in enumerate(groups)
    ]
    return Channels(
        network, tuple(groups),
        tuple(np.array([number.get(int(u), STAYS) for u in own], np.int64) for own in found),
        tuple(np.array([place.get(int(u), 0) for u in own], np.int64) for own in found),
        tuple(_depthwise(network, i) for i in range(len(network.layers))),
        tuple(
            isinstance(layer.op, ChannelShuffle) and _by_rows(layer.op, layer.shape[1])
            for layer in network.layers
        ),
    )  # fmt: skip


def narrowed(channels: Channels, weights: Weights, kept: Kept) -> tuple[Network, Weights]:
    """Removes the units that are not kept.

    Args:
        channels: The groups of the network.
        weights: The network's weights, by the names of ``network.tensors()``.
        kept: Which units of each group stay, one at least.

    Returns:
        The narrower network and its weights; layers have the numbers that they had.

    Raises:
        UsageError: For a group that keeps nothing, is unknown or missing, or of another size.
    """
    _check(channels, kept)
    network, found = channels.network, Weights()
    widths = {name: int(units.sum()) for name, units in kept.items()}
    ops = [layer.op for layer in network.layers]
    b = NetworkBuilder.of_inputs(*(op for op in ops if isinstance(op, Input)))
    for i, layer in enumerate(network.layers):
        if isinstance(layer.op, Input):
            continue
        b.add(channels.narrowed_op(i, widths), *layer.inputs)
        made = channels.mask(i, kept)
        read = channels.mask(layer.inputs[0], kept) if layer.inputs else made
        for name, array in _own(weights, i).items():
            found[f"{i}.{name}"] = _cut(layer, name, array, read, made, channels.depthwise[i])
    return b.build(*network.outputs), found


def _check(channels: Channels, kept: Kept) -> None:
    sizes = {group.name: group.size for group in channels.groups}
    if kept.keys() != sizes.keys():
        odd = sorted(kept.keys() ^ sizes.keys())[0]
        raise UsageError(f"what stays must be said of the groups {', '.join(sizes)}; see {odd!r}")
    for name, units in kept.items():
        if len(units) != sizes[name] or not units.any():
            raise UsageError(
                f"the group {name!r} has {sizes[name]} channels, of which one must stay, got "
                f"{int(units.sum())} of {len(units)}"
            )


def _own(weights: Weights, layer: int) -> dict[str, Any]:
    prefix = f"{layer}."
    return {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}


def _cut(
    layer: Layer, name: str, array: Any, read: Any, made: Any, depthwise: bool
) -> npt.NDArray[np.float32]:
    """A tensor of a layer without what is removed of what it reads and makes."""
    if isinstance(layer.op, Conv | RectConv | Linear | BatchNorm):
        array = array[made]
        whole = isinstance(layer.op, Conv | RectConv) and layer.op.groups == 1
        if name == "weight" and not depthwise and (whole or isinstance(layer.op, Linear)):
            array = array[:, read]
    return np.asarray(array, np.float32, order="C")


def _depthwise(network: Network, layer: int) -> bool:
    op, inputs = network.layers[layer].op, network.input_shapes(network.layers[layer])
    return isinstance(op, Conv | RectConv) and op.depthwise(inputs[0])


def _aligned(shape: Shape, rank: int) -> Shape:
    """A shape as broadcasting sees it beside one of so many axes."""
    return (1,) * (rank - len(shape)) + shape


def _by_rows(op: ChannelShuffle, channels: int) -> bool:
    """Whether a shuffle's groups, rather than the places in them, can be removed: the more of the
    two."""
    return op.groups > channels // op.groups


def _pieces(network: Network, layer: int, own: Ints) -> Sequence[Ints]:
    """The parts of a layer's channels that are cut apart, so that units alike are cut alike."""
    cuts = {0, len(own)}
    for other in network.layers:
        if isinstance(other.op, Slice) and other.op.axis == 1 and other.inputs == (layer,):
            first, end, _ = slice(other.op.start, other.op.end).indices(len(own))
            cuts |= {first, end}
    return np.split(own, sorted(cuts)[1:-1])


class _Units:
    """The units of a network's channels: numbers that are united where channels go together."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._parent = list[int]()
        self.fixed = set[int]()  # those that stay
        self.own = list[Ints]()  # of each layer
        for i, layer in enumerate(network.layers):
            self.own.append(self._of(i, layer))
        for i in network.outputs:
            self.fixed.update(self.own[i].tolist())

    def root(self, u: int) -> int:
        while self._parent[u] != u:
            self._parent[u] = self._parent[self._parent[u]]
            u = self._parent[u]
        return u

    def _unite(self, *many: Ints) -> Ints:
        for other in many[1:]:
            for a, b in zip(many[0].tolist(), other.tolist(), strict=True):
                x, y = sorted((self.root(a), self.root(b)))
                self._parent[y] = x
        return many[0]

    def _new(self, n: int) -> Ints:
        first = len(self._parent)
        self._parent += range(first, first + n)
        return np.arange(first, first + n)

    def _of(self, i: int, layer: Layer) -> Ints:
        op, before = layer.op, [self.own[j] for j in layer.inputs]
        if isinstance(op, Conv | RectConv | Linear) and not _depthwise(self._network, i):
            made = self._new(layer.shape[1])
            if not isinstance(op, Linear) and op.groups > 1:
                self.fixed.update(made.tolist(), before[0].tolist())
            return made
        if isinstance(op, Concat):
            return np.concatenate(before)
        if isinstance(op, Elementwise):
            return self._unite(*before)
        if isinstance(op, Slice):
            cut: Ints = before[0][slice(op.start, op.end) if op.axis == 1 else slice(None)]
            return cut
        if isinstance(op, Flatten) and len(before[0]):
            pixels = layer.shape[1] // len(before[0])
            return np.repeat(before[0], pixels)
        if isinstance(op, ChannelShuffle):
            rows = before[0].reshape(op.groups, -1)
            self._unite(*(rows.T if _by_rows(op, len(before[0])) else rows))
            shuffled: Ints = rows.T.reshape(-1)
            return shuffled
        shapes = self._network.input_shapes(layer)
        alike = isinstance(op, Conv | RectConv | BatchNorm) or not {
            **op.parameters(*shapes), **op.buffers(*shapes),
        }  # fmt: skip
        if alike and (op.channelwise or op.elementwise or isinstance(op, Conv | RectConv)):
            together = self._together(layer, shapes)
            if together:
                return self._unite(*together)
        for other in before:
            self.fixed.update(other.tolist())
        made = self._new(layer.shape[1] if len(layer.shape) > 1 else 0)
        self.fixed.update(made.tolist())
        return made

    def _together(self, layer: Layer, shapes: Sequence[Shape]) -> list[Ints]:
        """The units of what a layer reads whose channels its own are, without what is the same for
        all channels; none where it has no such channels, or they lie along another axis."""
        rank, found = len(layer.shape), list[Ints]()
        if rank < 2:
            return []
        for j, shape in zip(layer.inputs, shapes, strict=True):
            if len(shape) == rank and len(self.own[j]) == layer.shape[1]:
                found.append(self.own[j])
            elif _aligned(shape, rank)[1] != 1:
                return []
        return found
