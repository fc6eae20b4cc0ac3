"""The questions of methods and the loop to a space, until the core's forest answers them."""

from __future__ import annotations

from latbench.search.config import SearchConfig
from latbench.search.supernets.searchable import choices_of
from latbench.spaces import AnySpace
from latbench.spaces.darts_space import check_cells


def chooses_inputs(space: AnySpace) -> bool:
    """Returns whether a node of the space chooses what it reads (a ``Some`` variable)."""
    return space.name == "darts"


def check_supernet(space: AnySpace, config: SearchConfig) -> None:
    """Raises UsageError when the space has no supernet of that size."""
    choices_of(space)
    if space.name == "darts":
        check_cells(config.cells)
