"""The layers of a space's networks as products of options: what each one needs to be there.

A layer depends on the options above it (of a Mixed layer), on the depths that keep it, and on the
widths and sizes in its shapes. In a space of chains all of these are options of variables, and the
supernet states them. Where sets of inputs, or options that vanish, decide how many terms a sum has,
a layer's odds are no product of those of options, and ``layer_terms`` refuses the space.

No torch here, so that predictors can be compared without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from latbench.encodings.layers import space_slots
from latbench.errors import UsageError
from latbench.networks.network import Kind, Layer, Network
from latbench.networks.ops import Elementwise
from latbench.networks.supernet_ops import Blend, Mask, Mixed, Sum
from latbench.spaces import AnySpace
from latbench.spaces.open_number import at, open_names
from latbench.spaces.variables import Some

# Of each variable that something depends on, the options with which it is there.
Needs = Mapping[int, frozenset[int]]
Place = tuple[int, ...]  # see ``latbench.spaces.derived.Derived``


@dataclass(frozen=True)
class LayerTerm:
    """A layer that may be there: its slot, what it needs, and where the supernet has it."""

    slot: int
    needs: Needs
    place: Place


class NotASum(UsageError):
    """An error for a space whose layers' odds are no products of those of options."""


def _narrowed(needs: Needs, i: int, options: frozenset[int]) -> Needs | None:
    """The needs with one more; None where nothing meets both."""
    both = needs.get(i, options) & options
    return {**needs, i: both} if both else None


def _either(a: Needs | None, b: Needs) -> Needs:
    """The needs of what is there where either is."""
    if a is None or a == b:
        return b
    keys = [i for i in {*a, *b} if a.get(i) != b.get(i)]
    for wider, narrower in ((a, b), (b, a)):
        if all(i not in wider or (i in narrower and narrower[i] <= wider[i]) for i in keys):
            return wider
    if len(keys) == 1 and keys[0] in a and keys[0] in b:
        return {**a, keys[0]: a[keys[0]] | b[keys[0]]}
    raise NotASum("a layer is there in cases that are no product of options")


def _check_terms(layer: Layer) -> None:
    assert isinstance(layer.op, Sum)
    if layer.op.terms != (len(layer.inputs),):
        raise NotASum("the number of terms of a sum depends on options")


class _Walk:
    """A walk over a supernet's layers and what they need."""

    def __init__(self, space: AnySpace) -> None:
        self.space, self.forest = space, space.forest
        if any(isinstance(v, Some) for v in self.forest.variables):
            raise NotASum("it chooses sets, which are no independent options")

    @cached_property
    def numbers(self) -> Mapping[Kind, int]:
        """The slots of the layers."""
        return space_slots(self.space).numbers

    def check(self, network: Network, whole: Needs) -> None:
        """Raises NotASum where a layer's odds are no product."""
        for i, needs in enumerate(self._needs(network, whole)):
            layer = network.layers[i]
            if needs is None:
                continue
            if isinstance(layer.op, Sum):
                _check_terms(layer)
            if isinstance(layer.op, Mixed):
                for one in layer.op.alternatives:
                    self.check(one, needs)

    def terms(self, network: Network, whole: Needs, before: Place = ()) -> Iterator[LayerTerm]:
        for i, needs in enumerate(self._needs(network, whole)):
            layer = network.layers[i]
            if needs is None or not layer.inputs or isinstance(layer.op, Blend | Mask):
                continue
            if isinstance(layer.op, Mixed):
                v = self.forest.index[layer.op.variable]
                for k, one in enumerate(layer.op.alternatives):
                    inner = _narrowed(needs, v, frozenset({k}))
                    if inner is not None:
                        yield from self.terms(one, inner, (*before, i, k))
                continue
            kind = network.kind(layer)
            if isinstance(layer.op, Sum):
                _check_terms(layer)
                kind = (Elementwise("add"), kind[1])
            yield from self._kinds(kind, needs, (*before, i))

    def _needs(self, network: Network, whole: Needs) -> list[Needs | None]:
        """What each layer needs to be read by the output, or by what is."""
        found: list[Needs | None] = [None] * len(network.layers)
        found[-1] = whole
        for i in reversed(range(1, len(network.layers))):
            own, layer = found[i], network.layers[i]
            if own is None:
                continue
            for place, j in enumerate(layer.inputs):
                read: Needs | None = own
                if isinstance(layer.op, Blend):
                    option = frozenset({layer.op.options[place]})
                    read = _narrowed(own, self.forest.index[layer.op.variable], option)
                if read is not None:
                    found[j] = _either(found[j], read)
        return found

    def _kinds(self, kind: Kind, needs: Needs, place: Place) -> Iterator[LayerTerm]:
        """The layer at every width and size that it may have."""
        names = open_names(kind)
        which = [self.forest.index[n] for n in names]
        every = [sorted(needs.get(i, range(len(self.forest.variables[i].options)))) for i in which]
        for options in itertools.product(*every):
            own = dict(needs) | {i: frozenset({k}) for i, k in zip(which, options, strict=True)}
            answers = dict(zip(names, options, strict=True))
            yield LayerTerm(self.numbers[at(kind, answers)], self._existing(own), place)

    def _existing(self, needs: dict[int, frozenset[int]]) -> Needs:
        """The needs with those by which their variables exist."""
        for i in sorted(needs, reverse=True):  # a parent stands before what hangs on it
            p, own = self.forest.parents[i], i
            while p >= 0:
                given = self.forest.variables[own].given
                assert given is not None
                options = self.forest.variables[p].options
                by = frozenset(options.index(value) for value in given[1])
                needs[p] = needs.get(p, by) & by
                p, own = self.forest.parents[p], p
        return needs


@lru_cache(maxsize=64)
def why_no_sum(space: AnySpace) -> str | None:
    """Returns why the layers of a space's networks have no odds that are products of those of
    options; None where they have."""
    try:
        _Walk(space).check(space.supernet(search=False), {})
    except UsageError as error:
        return str(error)
    return None


@lru_cache(maxsize=4)
def layer_terms(space: AnySpace) -> tuple[LayerTerm, ...]:
    """Returns the layers that networks of a space may have, each with what it needs.

    Raises UsageError for a space whose layers' odds are no products of those of options.
    """
    return tuple(_Walk(space).terms(space.supernet(search=False), {}))
