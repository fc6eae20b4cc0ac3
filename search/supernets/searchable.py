"""The supernet of a search, made of what a space states."""

from __future__ import annotations

from latbench.search.config import SearchConfig
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.searchability import proxy
from latbench.search.supernets.supernet_module import Supernet
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import One


def make_supernet(space: AnySpace, config: SearchConfig, relaxation: Relaxation) -> Supernet:
    """Makes the supernet of a search: ``config``'s size, and all else of ``space``.

    Its weights are fresh, from torch's global generator. Raises UsageError when the space cannot be
    searched.
    """
    sized = proxy(space, config)
    return Supernet(sized.supernet(), sized.forest, relaxation.mixed)


def single_operations(space: AnySpace) -> list[Architecture]:
    """Returns the architectures that take the same operation everywhere, as far as the space allows
    it, and the first option or members of everything else; of a space without operations, its
    reference."""
    forest = space.forest
    names = dict.fromkeys(o for i in forest.operations for o in forest.variables[i].options)
    if not names:
        return [space.reference()]

    def with_(name: str) -> Architecture:
        def choose(i: int) -> int:
            v = forest.variables[i]
            if isinstance(v, One):
                return v.options.index(name) if name in v.options else 0
            return (1 << v.least) - 1

        return space.of(forest.grow(choose))

    return list(dict.fromkeys(map(with_, names)))
