"""DARTS (Liu et al., 2019, https://arxiv.org/abs/1806.09055), first and second order.

Published settings: quark0/darts, cnn/train_search.py, which are the defaults of ``SearchConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from latbench.errors import UsageError
from latbench.search.methods.base import Method, check_one_resolution
from latbench.search.methods.published_201 import KEY_201, PUBLISHED_201
from latbench.search.methods.topology_presets import TOPONAS, TOPONAS_CIFAR10

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.config import SearchConfig
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class Darts(Method):
    """A softmax over the operations of every edge, all of which run; it has no settings."""

    name: ClassVar[str] = "darts"
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {("darts", "cifar10"): {}, KEY_201: PUBLISHED_201, TOPONAS_CIFAR10: TOPONAS}
    )

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of DARTS."""
        from latbench.search.relaxations.darts_relaxation import DartsRelaxation

        return DartsRelaxation(space, generator)

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a space whose resolution is a variable."""
        check_one_resolution(self, space)


@dataclass(frozen=True)
class SecondOrderDarts(Darts):
    """The second order of DARTS: its gradient is that at the weights one step ahead."""

    name: ClassVar[str] = "darts-2nd"
    order: ClassVar[Literal[0, 1, 2]] = 2

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError as DARTS does, and for another precision than float32."""
        super().check(space, config)
        if config.precision != "float32":
            raise UsageError(
                "the method 'darts-2nd' takes differences of gradients and needs the precision "
                f"'float32', got {config.precision!r}"
            )
