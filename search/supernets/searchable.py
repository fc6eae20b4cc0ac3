"""The table of what a search needs of a space, in which a new one is entered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
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


def _of(space: AnySpace) -> Searchable:
    if space.name not in _SPACES:
        raise UsageError(
            f"a search needs one of the spaces {', '.join(map(repr, _SPACES))}, got "
            f"{space.name!r}; others can be measured and modelled only"
        )
    return _SPACES[space.name]


def choices_of(space: AnySpace) -> Choices:
    """Returns the choices of a space. Raises UsageError when the space cannot be searched."""
    return _of(space).choices


def single_operations(space: AnySpace) -> list[Any]:
    """Returns the architectures that take the same operation everywhere, as far as the space allows
    it.

    Raises UsageError when the space cannot be searched.
    """
    choices = choices_of(space)
    wishes = torch.eye(choices.shape[-1])
    found = [choices.derive(wish.expand(choices.shape)) for wish in wishes]
    return list({str(architecture): architecture for architecture in found}.values())


def make_supernet(space: AnySpace, config: SearchConfig, edge: EdgeFactory) -> nn.Module:
    """Makes the supernet of a search: ``config``'s size, and input, classes and stem of ``space``.

    Its weights are fresh, from torch's global generator. Raises UsageError when the space cannot
    be searched.
    """
    proxy = replace(space.config, channels=config.channels, cells=config.cells, batch=1)
    return _of(space).supernet(proxy, edge)
