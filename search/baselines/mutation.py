"""One change to an architecture, for evolution: an edge's operation, or what it reads.

The two mutations of Real et al. (2019, https://arxiv.org/abs/1802.01548, section 3), at equal odds,
where the space has both. NAS-Bench-201 has a fixed wiring, so there it is the operation alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from latbench.errors import UsageError
from latbench.spaces import AnySpace
from latbench.spaces.darts_space import DartsSpace
from latbench.spaces.genotypes import NODES, Edge, Genotype
from latbench.spaces.genotypes import OPERATIONS as DARTS_OPERATIONS
from latbench.spaces.nasbench201_space import EDGES as EDGES_201
from latbench.spaces.nasbench201_space import OPERATIONS as OPERATIONS_201
from latbench.spaces.nasbench201_space import Cell201, NasBench201Space

# Gives a neighbour of an architecture of the space; the random numbers are the generator's.
Mutation = Callable[[AnySpace, Any, np.random.Generator], Any]


def mutate(space: AnySpace, architecture: Any, rng: np.random.Generator) -> Any:
    """Returns another architecture of ``space`` that differs from ``architecture`` in one edge.

    Raises UsageError for a space whose edges it does not know; give a mutation of your own then.
    """
    if isinstance(space, NasBench201Space):
        return _mutate_201(architecture, rng)
    if isinstance(space, DartsSpace):
        return _mutate_darts(architecture, rng)
    raise UsageError(
        f"there is no mutation for the space {space.name!r}; pass one, a function of the space, "
        "an architecture and a numpy Generator"
    )


def _other(options: tuple[str, ...], now: str, rng: np.random.Generator) -> str:
    """One of the options that is not ``now``."""
    rest = [option for option in options if option != now]
    return rest[rng.integers(len(rest))]


def _mutate_201(cell: Cell201, rng: np.random.Generator) -> Cell201:
    operations = list(cell.operations)
    edge = int(rng.integers(len(EDGES_201)))
    operations[edge] = _other(OPERATIONS_201, operations[edge], rng)
    return Cell201(tuple(operations))


def _mutate_darts(genotype: Genotype, rng: np.random.Generator) -> Genotype:
    kind = ("normal", "reduce")[rng.integers(2)]
    nodes = list(getattr(genotype, kind))
    i, edge = int(rng.integers(NODES)), int(rng.integers(2))
    changed, kept = nodes[i][edge], nodes[i][1 - edge]
    nodes[i] = (kept, _mutate_edge(changed, kept[1], i, rng))
    return replace(genotype, **{kind: tuple(nodes)})


def _mutate_edge(edge: Edge, taken: int, node: int, rng: np.random.Generator) -> Edge:
    """Another operation, or another input than ``taken``. Node 0 has no third input to read."""
    operation, source = edge
    inputs = [s for s in range(node + 2) if s not in (source, taken)]
    if inputs and rng.random() < 0.5:
        return operation, inputs[rng.integers(len(inputs))]
    return _other(DARTS_OPERATIONS[1:], operation, rng), source
