"""The cheapest network that a space has, as predicted."""

from __future__ import annotations

import numpy as np

from latbench.search.baselines.searches import Cost, Projection
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import One


def cheapest(
    space: AnySpace, cost: Cost, project: Projection = lambda architecture: architecture
) -> tuple[Architecture, float]:
    """Returns the cheapest architecture to which one variable after another leads, and its cost.

    Each variable in turn takes the value at which the network costs least, the others being as they
    are and those that come to be with it at their own cheapest, until none has a better one. Where
    a cost is a sum over variables that are in every network, nothing is cheaper.

    Args:
        space: The space.
        cost: The predicted costs of architectures.
        project: Makes of every architecture the one that is meant.

    Returns:
        The architecture and its cost.
    """
    found = project(space.reference())
    least = float(cost([found])[0])
    while True:
        before = least
        for i in range(len(space.forest.variables)):
            if found.code[i] < 0:
                continue  # not in this network
            others = [_settled(space, cost, one, found) for one in _others(space, found, i)]
            others = [project(one) for one in others]
            costs = cost(others)
            best = int(np.argmin(costs))
            if costs[best] < least:
                found, least = others[best], float(costs[best])
        if least >= before:
            return found, least


def _settled(space: AnySpace, cost: Cost, other: Architecture, found: Architecture) -> Architecture:
    """An architecture whose variables that another one has not are at their cheapest, one after the
    other."""
    for i, own in enumerate(found.code):
        if own < 0 <= other.code[i]:
            each = _others(space, other, i)
            other = each[int(np.argmin(cost(each)))]
    return other


def _others(space: AnySpace, found: Architecture, i: int) -> list[Architecture]:
    """An architecture with every value of one variable; what comes to be with it has its first."""
    v = space.forest.variables[i]
    values = range(len(v.options)) if isinstance(v, One) else v.sets

    def with_(value: int) -> Architecture:
        def choose(j: int) -> int:
            if j == i:
                return value
            if found.code[j] >= 0:
                return found.code[j]
            other = space.forest.variables[j]
            return 0 if isinstance(other, One) else other.sets[0]

        return space.of(space.forest.grow(choose))

    return [with_(value) for value in values]
