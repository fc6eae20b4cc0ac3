"""The supernet of a search, made of what a space states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Generator

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.search.relaxations.pc_darts import PcDartsRelaxation
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.supernets.supernet_module import Supernet
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import One


def proxy(space: AnySpace, config: SearchConfig) -> AnySpace:
    """Returns the space at the size of a search's supernet: ``config``'s channels and cells, where
    the space has such settings, and a batch of 1.

    Raises UsageError where another size has other variables, so that what is searched would not be
    what is derived.
    """
    known = {field.name for field in dataclasses.fields(space.config)}
    wanted = {"channels": config.channels, "cells": config.cells, "batch": 1}
    sized = {name: value for name, value in wanted.items() if name in known}
    found: AnySpace = type(space)(dataclasses.replace(space.config, **sized))  # type: ignore[call-arg]
    if found.forest.variables != space.forest.variables:
        raise UsageError(
            f"{found} has other variables than {space}, so that the one cannot be searched for the "
            "other; let no variable depend on channels and cells"
        )
    return found


def make_supernet(space: AnySpace, config: SearchConfig, relaxation: Relaxation) -> Supernet:
    """Makes the supernet of a search: ``config``'s size, and all else of ``space``.

    Its weights are fresh, from torch's global generator. Raises UsageError when the space cannot be
    searched.
    """
    sized = proxy(space, config)
    return Supernet(sized.supernet(), sized.forest, relaxation.mixed)


_METHODS: dict[str, Callable[[AnySpace, Generator, SearchConfig], Relaxation]] = {
    "darts": lambda s, g, c: DartsRelaxation(s, g),
    "darts-2nd": lambda s, g, c: DartsRelaxation(s, g),
    "pc-darts": lambda s, g, c: PcDartsRelaxation(s, g, c.partial_channels),
    "gdas": lambda s, g, c: GdasRelaxation(s, g, c.temperature, c.final_temperature),
}


def make_relaxation(space: AnySpace, config: SearchConfig, generator: Generator) -> Relaxation:
    """Makes the relaxation of ``config.method``."""
    return _METHODS[config.method](space, generator, config)


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
