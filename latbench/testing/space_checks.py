"""The checks that every space must pass, as one call: ``check_space(mine)``."""

from __future__ import annotations

import json

import numpy as np

from latbench.errors import LatbenchError
from latbench.networks.supernet_ops import Blend, Mask, Mixed, Sum
from latbench.spaces import AnySpace, parse_space, space_from_identity
from latbench.spaces.architecture import Architecture
from latbench.spaces.derived import specialise


def check_space(space: AnySpace, samples: int = 30) -> None:
    """Tries on a space what it must keep: its text, numbers and vectors, that its supernet at an
    architecture is the architecture's network, and that all layers are listed.

    Args:
        space: The space, at a configuration whose networks are quick to build.
        samples: The number of architectures to try.

    Raises:
        AssertionError: Naming the space and what does not hold.
        LatbenchError: As the space's own methods raise it; UsageError for a wrong assembly.
    """
    _check_identity(space)
    supernet = space.supernet(search=False)
    space.supernet(search=True)
    kinds = set(space.layer_kinds())
    rng = np.random.default_rng(0)
    drawn = [space.sample(0, i) for i in range(samples)]
    _check_vectors(space, drawn)
    for i, (a, other) in enumerate(zip(drawn, [*drawn[1:], space.reference()], strict=True)):
        _require(space.sample(0, i) == a, space, f"draws another sample {i} the second time")
        for b in (a, space.mutate(a, rng), space.crossover(a, other, rng), space.canonical(a)):
            _check_one(space, b)
        network = space.build(a)
        derived = specialise(supernet, space, a).network
        _require(derived == network, space, f"has a supernet that gives another network for {a}")
        built = {(la.op, network.input_shapes(la)) for la in network.layers if la.inputs}
        _require(built <= kinds, space, f"builds a layer that it does not list, in {a}")
        plain = not any(isinstance(la.op, Mixed | Blend | Mask | Sum) for la in network.layers)
        _require(plain, space, f"builds a layer of a supernet for {a}")
        graphs = space.drawing(a)
        _require(bool(graphs), space, f"draws nothing for {a}")


def _require(condition: bool, space: AnySpace, what: str) -> None:
    if not condition:
        raise AssertionError(f"space {space} {what}")


def _check_identity(space: AnySpace) -> None:
    written = json.loads(json.dumps(space.identity()))
    again = space_from_identity(written, source=None)
    _require(again == space, space, "is not made again from its identity")
    _require(parse_space(str(space)) == space, space, "is not what its text says")
    forest = again.forest.variables
    _require(forest == space.forest.variables, space, "has other variables when it is made again")


def _check_one(space: AnySpace, a: Architecture) -> None:
    try:
        parsed = space.parse(str(a))
    except LatbenchError as error:
        raise AssertionError(f"space {space} does not parse {a}: {error}") from error
    _require(parsed == a, space, f"does not parse {a} as itself")
    rank = space.rank(a)
    _require(0 <= rank < space.size, space, f"numbers {a} {rank}")
    _require(space.unrank(rank) == a, space, f"has another architecture than {a} at {rank}")


def _check_vectors(space: AnySpace, drawn: list[Architecture]) -> None:
    one_hot, counts = space.one_hot_all(drawn), space.counts_all(drawn)
    for name, matrix in (("one_hot", one_hot), ("counts", counts)):
        right = matrix.dtype == np.float32 and matrix.shape[0] == len(drawn)
        _require(right, space, f"encodes {name} as {matrix.dtype} {matrix.shape}")
    same = np.array_equal(one_hot @ space.counts_matrix(), counts)
    _require(same, space, "counts something else than its one-hot columns")
    apart = len({row.tobytes() for row in one_hot}) == len(set(drawn))
    _require(apart, space, "gives two architectures one vector")
