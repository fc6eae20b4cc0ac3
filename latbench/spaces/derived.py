"""The layers of a supernet, and the network of an architecture as the supernet has it.

``specialise(supernet, space, a)`` is ``space.build(a)`` for every architecture of every space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latbench.networks.network import Kind, Network
from latbench.networks.ops import Elementwise, Op
from latbench.networks.supernet_ops import Blend, Mask, Mixed, Sum
from latbench.spaces.architecture import Architecture, StatedSpace
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.forest import Forest
from latbench.spaces.open_number import at, open_names, settled
from latbench.spaces.variables import One


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
        # Also what is as wide as a variable says that does not exist, in a block beyond a depth.
        if _GONE in read or any(answers[name] < 0 for name in open_names(op)):
            return _GONE
        return placed(b.add(at(op, answers), *read), place)

    def walk(network: Network, x: int, before: tuple[int, ...]) -> int:
        results = [x]
        for i, layer in enumerate(network.layers[1:], 1):
            results.append(layer_of(layer.op, [results[j] for j in layer.inputs], (*before, i)))
        return results[-1]

    output = walk(supernet, 0, ())
    return Derived(b.build(output), tuple(places[i] for i in b.needed(output)))
