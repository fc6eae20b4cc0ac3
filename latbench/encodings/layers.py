"""The ``layers`` encoding: how often a network has each kind of layer, and what that is worth.

One slot for each kind of layer, and in it how often the network has it, its multiply-accumulates
and its bytes moved, how many of them a runtime may leave out (``latbench.networks.optimisation``),
and the number of the *group* that it belongs to: layers of one operator whatever their size
(``layer_group``), of which few measured networks teach more than of each kind alone.

In a space, the slots are the space's ``layer_kinds``, all that its networks can have: an op on
given input shapes. Where there is no space, slots are fixed by sizes (``size_slot``): the group and
the logarithm of its work, in steps of a factor of 4. Layers that share a slot have their mean work
there, so that counts times work add up to the network's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latbench.encodings.base import Array, Encoding
from latbench.encodings.kind_numbers import KIND_NUMBERS, kind_number
from latbench.errors import UsageError
from latbench.networks.general.windows import RectConv
from latbench.networks.network import Kind, Network
from latbench.networks.ops import Conv
from latbench.networks.optimisation import savings
from latbench.spaces import AnySpace

Floats = npt.NDArray[np.float64]


class LayerTable(NamedTuple):
    """The ``layers`` encoding of n networks, each field ``(n, slots)``; a slot's ``group`` is the
    same in every row."""

    counts: Floats
    macs: Floats
    bytes_moved: Floats
    repeated: Floats
    fusible: Floats
    group: Floats

    def run(self, optimised: bool) -> Floats:
        """Returns how many of each layer run alone: all, or all that no optimiser can save."""
        return self.counts - self.repeated - self.fusible if optimised else self.counts


LAYER_FEATURES = LayerTable._fields

# Convolutions that runtimes have other kernels for, behind the kinds that have numbers: those of
# one pixel, depthwise ones of up to 3, 5 and more pixels, with stride 1 and more, and others of
# groups.
_POINTWISE, _DEPTHWISE, _GROUPED = KIND_NUMBERS, KIND_NUMBERS + 1, KIND_NUMBERS + 7
GROUPS = KIND_NUMBERS + 8
# Powers of 4: below 4^5 (1,024 multiply-accumulates, or bytes), and from there to 4^17 and above.
_FIRST, _SIZES = 5, 14
SIZE_SLOTS = GROUPS * _SIZES


class Slots(NamedTuple):
    """The slots of ``layers_of``: the number of each kind of layer, and the group of each slot."""

    numbers: Mapping[Kind, int]
    groups: Floats


def slots_of(kinds: Iterable[Kind]) -> Slots:
    """Numbers kinds of layers in their order."""
    numbers = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    return Slots(numbers, np.array([layer_group(kind) for kind in numbers], np.float64))


def layer_group(kind: Kind) -> int:
    """Returns the number of the group of a kind of layer, 1 to ``GROUPS - 1``: that of its op
    (``latbench.encodings.kind_numbers``), where convolutions of one pixel, depthwise ones by the
    size of their kernel and their stride, and others of groups are groups of their own."""
    op, shapes = kind
    if not isinstance(op, Conv | RectConv):
        return kind_number(op)
    kernel, stride = _largest(op.kernel), _largest(op.stride)
    if op.depthwise(shapes[0]):
        return _DEPTHWISE + (kernel > 3) + (kernel > 5) + 3 * (stride > 1)
    if op.groups > 1:
        return _GROUPED
    return _POINTWISE if kernel == 1 else kind_number(op)


def _largest(sizes: int | tuple[int, int]) -> int:
    return sizes if isinstance(sizes, int) else max(sizes)


_BY_SIZE = Slots({}, np.repeat(np.arange(GROUPS, dtype=np.float64), _SIZES))


def size_slot(kind: Kind, macs: int, bytes_moved: int) -> int:
    """Returns the slot of a kind of layer where no space numbers them, 0 to ``SIZE_SLOTS - 1``.

    Args:
        kind: An op, and the shapes of what it reads.
        macs: The layer's multiply-accumulates, by which it is sorted where it has any.
        bytes_moved: Its bytes moved, by which it is sorted otherwise.

    Returns:
        The slot.
    """
    power = ((macs or bytes_moved).bit_length() - 1) // 2  # of 4, rounded down
    return layer_group(kind) * _SIZES + min(max(power - _FIRST + 1, 0), _SIZES - 1)


def layers_of(network: Network, slots: Slots | None = None) -> Array:
    """Returns ``LAYER_FEATURES`` of each slot, flattened; those of absent kinds are 0.

    The work is that of one layer of the slot, their mean where they differ; of the count, so many
    are repeated and so many fusible.

    Args:
        network: The network.
        slots: The kinds of layers by their numbers from 0, see ``slots_of``; None sorts by size.

    Returns:
        A vector ``(slots * 6,)``, float32.

    Raises:
        UsageError: For a layer that no slot is for.
    """
    alike: dict[Kind, list[int]] = {}
    for i, layer in enumerate(network.layers):
        if layer.inputs:
            alike.setdefault(network.kind(layer), []).append(i)
    repeated, fusible = savings(network)
    groups = (slots or _BY_SIZE).groups
    out = np.zeros((len(groups), len(LAYER_FEATURES)))
    out[:, -1] = groups
    for kind, indices in alike.items():
        n, first = len(indices), indices[0]
        macs, moved = network.layer_macs(network.layers[first]), network.layer_bytes(first)
        slot = size_slot(kind, macs, moved) if slots is None else slots.numbers.get(kind)
        if slot is None:
            raise UsageError(
                f"{kind[0]} on {kind[1]} is none of the {len(groups)} kinds of layers that have a "
                "slot; give all that the space has (SearchSpace.layer_kinds), or none to sort by "
                "size"
            )
        saved = (len(repeated & {*indices}), len(fusible & {*indices}))
        out[slot, :-1] += (n, n * macs, n * moved, *saved)
    out[:, 1:3] /= np.maximum(out[:, :1], 1)
    return out.astype(np.float32).reshape(-1)


def unpack_layers(X: Floats) -> LayerTable:
    """Returns the ``layers`` encoding ``(n, d)`` by feature.

    Raises UsageError when d is no multiple of the number of features, and for a column of groups
    that holds something else than one group.
    """
    if X.shape[1] % len(LAYER_FEATURES):
        raise UsageError(
            f"X has {X.shape[1]} columns, not {len(LAYER_FEATURES)} for each layer; use the "
            "'layers' encoding"
        )
    table = LayerTable(*np.moveaxis(X.reshape(len(X), -1, len(LAYER_FEATURES)), -1, 0))
    _check_groups(table.group)
    return table


def _check_groups(group: Floats) -> None:
    first = group[:1]
    known = (first >= 0) & (first < GROUPS) & (first == np.floor(first))
    if not known.all():
        (slot, *_) = np.flatnonzero(~known)
        raise UsageError(
            f"X has the group {first[0, slot]:g} in its slot {slot} (counted from 0), not a whole "
            f"number from 0 to {GROUPS - 1}; use the 'layers' encoding"
        )
    if (unlike := group != first).any():
        row, slot = np.argwhere(unlike)[0].tolist()
        raise UsageError(
            f"X has the group {group[row, slot]:g} in its slot {slot} of row {row} (counted from "
            f"0), not the {first[0, slot]:g} of row 0; encode all rows in one space"
        )


@lru_cache(maxsize=8)
def space_slots(space: AnySpace) -> Slots:
    """Returns the slots of a space: its ``layer_kinds`` in their order."""
    return slots_of(space.layer_kinds())


class LayersEncoding(Encoding):
    """The encoding ``layers``."""

    name = "layers"
    # 1: slots in the order in which 64 samples of a space showed them. 2: the space's own order. 3:
    # with the groups.
    version = 3

    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Array:
        """Returns ``layers_of`` each, in the space's slots, or by size without a space."""
        slots = None if space is None else space_slots(space)
        return np.stack([layers_of(network, slots) for network in networks])
