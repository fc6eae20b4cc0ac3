"""Equal networks are one network: the canonical form of an architecture, and what counts by it."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import spaces_and_architectures

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import SAMPLER, SearchSpace
from latbench.spaces.cells.nasbench201_space import OPERATIONS
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Variable
from latbench.store.dataset import network_numbers

SPACE = nasbench201(channels=4, cells=1, resolution=8)
NETWORKS = 8482


def colours(network: Network) -> tuple[int, ...]:
    """Of its layers, refined by what they read and by what reads them until nothing changes: equal
    for isomorphic graphs. It knows layers, and nothing of cells."""
    inputs = [layer.inputs for layer in network.layers]
    readers = defaultdict[int, list[int]](list)
    for i, j in ((i, j) for i, read in enumerate(inputs) for j in read):
        readers[j].append(i)
    found = [hash((layer.op, layer.shape)) for layer in network.layers]
    for _ in range(len(network.layers)):
        before = len(set(found))
        found = [
            hash((
                found[i], tuple(sorted(found[j] for j in inputs[i])),
                tuple(sorted(found[j] for j in readers[i])),
            ))
            for i in range(len(found))
        ]  # fmt: skip
        if len(set(found)) == before:
            break
    return tuple(sorted(found))


def cell(*operations: str) -> Architecture:
    """1 to 3 for the operations that have layers, in the order of the benchmark's edges."""
    names = dict(zip("0s13p", OPERATIONS, strict=True))
    return SPACE.of(tuple(OPERATIONS.index(names[o]) for o in "".join(operations)))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        # edges: 1<0, 2<0 2<1, 3<0 3<1 3<2
        (cell("3", "00", "100"), cell("p", "13", "100"), True),  # nothing reads nodes 1 and 2
        (cell("s", "03", "001"), cell("0", "30", "001"), True),  # a skip is its source
        (cell("3", "01", "00s"), cell("0", "30", "001"), True),  # at the end, too
        (cell("3", "10", "0pp"), cell("1", "30", "0pp"), True),  # nodes 1 and 2 change places
        (cell("3", "00", "1s0"), cell("0", "00", "000"), False),
        (cell("3", "00", "1s0"), cell("0", "30", "10s"), True),  # a term through a skip
        (cell("3", "0s", "0pp"), cell("3", "30", "0pp"), False),  # read twice, or two of them
        (cell("0", "00", "030"), cell("0", "00", "000"), False),  # it runs, if on zeros
        (cell("0", "00", "s30"), cell("0", "00", "s00"), False),
        (cell("3", "01", "003"), cell("3", "03", "001"), False),  # another order
    ],
)
def test_which_cells_are_one_network(one: Architecture, other: Architecture, equal: bool) -> None:
    assert (SPACE.canonical(one) == SPACE.canonical(other)) == equal
    assert (colours(SPACE.build(one)) == colours(SPACE.build(other))) == equal


def test_the_canonical_cell_is_the_lowest_of_equal_ones() -> None:
    ranks = np.arange(SPACE.size)
    canonical = SPACE.canonical_ranks(ranks)
    assert (canonical <= ranks).all()
    np.testing.assert_array_equal(SPACE.canonical_ranks(canonical), canonical)
    assert len(set(canonical.tolist())) == SPACE.networks == NETWORKS
    for rank in range(0, SPACE.size, 97):
        assert SPACE.rank(SPACE.canonical(SPACE.unrank(rank))) == canonical[rank]


def test_it_is_one_form_at_every_configuration() -> None:
    for config in ({"cells": 5}, {"channels": 32, "resolution": 11}):
        np.testing.assert_array_equal(
            nasbench201(**config).canonical_ranks(np.arange(SPACE.size)),
            SPACE.canonical_ranks(np.arange(SPACE.size)),
        )


@pytest.mark.parametrize("config", [{"cells": 1}, {"cells": 2}])
def test_networks_are_equal_where_canonical_cells_are(config: dict[str, int]) -> None:
    space = nasbench201(channels=4, resolution=8, **config)
    twins = np.flatnonzero(space.canonical_ranks(np.arange(space.size)) != np.arange(space.size))
    ranks = np.random.default_rng(config["cells"]).choice(twins, 40 // config["cells"])
    both = [*ranks.tolist(), *space.canonical_ranks(ranks).tolist()]
    seen = [colours(space.build(space.unrank(rank))) for rank in both]
    pairs = set(zip(seen, space.canonical_ranks(np.array(both)).tolist(), strict=True))
    assert len(pairs) == len(set(seen)) == len({key for _, key in pairs})


@pytest.mark.slow
def test_all_cells_are_told_apart_as_their_networks_are() -> None:
    """Different colours are different graphs; those of the same are shown to be isomorphic."""
    nx = pytest.importorskip("networkx")

    def graph(network: Network) -> Any:
        made = nx.DiGraph()
        for i, layer in enumerate(network.layers):
            made.add_node(i, op=(layer.op, layer.shape))
            made.add_edges_from((j, i, {"n": n}) for j, n in Counter(layer.inputs).items())
        return made

    def same(a: Any, b: Any) -> bool:
        return bool(a == b)

    canonical = SPACE.canonical_ranks(np.arange(SPACE.size)).tolist()
    networks = [SPACE.build(SPACE.unrank(rank)) for rank in range(SPACE.size)]
    seen = [colours(network) for network in networks]
    assert len(set(zip(seen, canonical, strict=True))) == len(set(seen)) == NETWORKS
    for rank, lowest in enumerate(canonical):
        assert rank == lowest or nx.is_isomorphic(
            graph(networks[rank]), graph(networks[lowest]), same, same
        )


@settings(deadline=None, max_examples=30)
@given(spaces_and_architectures())
def test_a_canonical_architecture_stands_for_itself(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    canonical = space.canonical(architecture)
    assert space.canonical(canonical) == canonical
    assert space.unrank(space.rank(canonical)) == canonical
    if not space.repeats_networks:
        assert canonical == architecture


def test_a_sample_has_every_network_once() -> None:
    drawn = list(SPACE.unique_samples(0, 800))
    networks = network_numbers(SPACE, [a for _, a in drawn])
    np.testing.assert_array_equal(networks, np.arange(800))
    cells = [a for _, a in SPACE.with_sampler(1).unique_samples(0, 800)]
    assert network_numbers(SPACE, cells).max() < 780  # it counted texts


def test_a_sample_of_all_networks_ends() -> None:
    with pytest.raises(UsageError, match="cannot sample 8483 of the 8,482 different networks"):
        SPACE.unique_samples(0, NETWORKS + 1)
    old = SPACE.with_sampler(1)
    assert (SPACE.distinct, old.distinct) == (NETWORKS, SPACE.size)
    assert old == SPACE


class _Pairs(SearchSpace[SpaceConfig]):
    """A space of others: two letters, in either order one network."""

    name = "pairs"

    def __init__(self, config: SpaceConfig | None = None) -> None:
        self.config = config or SpaceConfig()

    def variables(self) -> Iterator[Variable]:
        yield One("second", ("a", "b", "c"))
        yield One("first", ("a", "b", "c"))

    def assemble(self, b: Assembler) -> int:
        raise NotImplementedError

    def canonical(self, architecture: Architecture) -> Architecture:
        return self.of((max(architecture.code), min(architecture.code)))


def test_a_space_of_others_gives_one_method() -> None:
    space: AnySpace = _Pairs()
    assert space.networks == space.distinct == 6
    assert space.canonical_ranks(np.arange(9)).tolist() == [0, 1, 2, 1, 4, 5, 2, 5, 8]
    drawn = [a for _, a in space.unique_samples(3, 6)]
    assert {"".join(sorted(a.values().values())) for a in drawn} == {  # type: ignore[arg-type]
        "".join(pair) for pair in itertools.combinations_with_replacement("abc", 2)
    }
    assert len({str(a) for _, a in space.with_sampler(1).unique_samples(3, 9)}) == 9


@pytest.mark.parametrize("version", [0, SAMPLER + 1])
def test_a_sampler_that_there_is_not_is_refused(version: int) -> None:
    with pytest.raises(UsageError, match=f"samplers 1 to {SAMPLER}, got {version}"):
        darts().with_sampler(version)
