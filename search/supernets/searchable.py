"""The tables of what a search needs of a space and of a method, in which a new one is entered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, nn

from latbench.search.config import SearchConfig, check_searchable
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.search.relaxations.pc_darts import PcDartsRelaxation
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.supernets.choices import Choices
from latbench.search.supernets.darts_choices import DARTS
from latbench.search.supernets.darts_supernet import Supernet
from latbench.search.supernets.mixed_edge import EdgeFactory
from latbench.search.supernets.nasbench201_supernet import NASBENCH201, Supernet201
from latbench.spaces import AnySpace


@dataclass(frozen=True)
class Searchable:
    """A space's part in a search.

    ``supernet`` makes, from the space's configuration and the maker of edges, a module that maps
    images ``(N, C, H, W)`` and mixture weights of ``choices.shape`` to logits ``(N, classes)``.
    """

    choices: Choices
    supernet: Callable[[Any, EdgeFactory], nn.Module]


_SPACES = {
    "darts": Searchable(DARTS, Supernet),
    "nasbench201": Searchable(NASBENCH201, Supernet201),
}


def _darts(generator: Generator, choices: Choices, config: SearchConfig) -> Relaxation:
    return DartsRelaxation(generator, choices)


def _pc_darts(generator: Generator, choices: Choices, config: SearchConfig) -> Relaxation:
    return PcDartsRelaxation(generator, config.partial_channels)


def _gdas(generator: Generator, choices: Choices, config: SearchConfig) -> Relaxation:
    return GdasRelaxation(generator, choices, config.temperature, config.final_temperature)


_METHODS: dict[str, Callable[[Generator, Choices, SearchConfig], Relaxation]] = {
    "darts": _darts,
    "darts-2nd": _darts,
    "pc-darts": _pc_darts,
    "gdas": _gdas,
}


def make_relaxation(space: AnySpace, config: SearchConfig, generator: Generator) -> Relaxation:
    """Makes the relaxation of ``config.method`` over the choices of ``space``.

    Raises UsageError when the method cannot search the space.
    """
    check_searchable(space.name, config.method)
    return _METHODS[config.method](generator, _SPACES[space.name].choices, config)


def single_operations(space: AnySpace) -> list[Any]:
    """Returns the architectures that take the same operation everywhere, as far as the space allows
    it.

    Raises UsageError when the space cannot be searched.
    """
    check_searchable(space.name)
    choices = _SPACES[space.name].choices
    wishes = torch.eye(choices.shape[-1])
    found = [choices.derive(wish.expand(choices.shape)) for wish in wishes]
    return list({str(architecture): architecture for architecture in found}.values())


def make_supernet(space: AnySpace, config: SearchConfig, edge: EdgeFactory) -> nn.Module:
    """Makes the supernet of a search: ``config``'s size, and input, classes and stem of ``space``.

    Its weights are fresh, from torch's global generator. Raises UsageError when the space cannot
    be searched.
    """
    check_searchable(space.name)
    proxy = replace(space.config, channels=config.channels, cells=config.cells, batch=1)
    return _SPACES[space.name].supernet(proxy, edge)
