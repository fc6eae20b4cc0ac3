"""ProxylessNAS (Cai et al., 2019, https://arxiv.org/abs/1812.00332).

No preset: its published settings (mit-han-lab/proxylessnas, search/imagenet_arch_search.py) take an
architecture step every fifth step of the weights, and here the two alternate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from latbench.errors import UsageError
from latbench.search.methods.base import Method, check_one_resolution
from latbench.spaces.variables import Some

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.config import SearchConfig
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class ProxylessNas(Method):
    """A draw of two options of every variable, of which one counts; it has no settings.

    It was published with an ``alpha_beta1`` and an ``alpha_weight_decay`` of 0, which are not the
    defaults: with both, a parameter moves only when its option was drawn. With a penalty or a
    target all move.
    """

    name: ClassVar[str] = "proxylessnas"

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of ProxylessNAS."""
        from latbench.search.relaxations.proxyless_relaxation import ProxylessRelaxation

        return ProxylessRelaxation(space, generator)

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a space whose resolution is a variable, or that chooses inputs."""
        check_one_resolution(self, space)
        sets = [v.name for v in space.forest.variables if isinstance(v, Some)]
        if sets:
            raise UsageError(
                f"the method {self.name!r} cannot search the space {space.name!r}: it draws one of "
                f"some options, and {sets[0]!r} is a set; take 'gdas' or 'darts'"
            )
