"""GDAS (Dong and Yang, CVPR 2019, https://arxiv.org/abs/1910.04465).

Published settings: D-X-Y/AutoDL-Projects, configs/search-opts/GDAS-NASNet-CIFAR.config and
configs/search-archs/GDAS-NASNet-CIFAR.config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from latbench.search.methods.base import Method
from latbench.search.methods.published_201 import KEY_201, PUBLISHED_201
from latbench.validation import Temperature

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace

_CIFAR10: dict[str, Any] = {
    "epochs": 250, "batch": 256, "weight_decay": 5e-4, "nesterov": True,
}  # fmt: skip


@dataclass(frozen=True)
class Gdas(Method):
    """One sampled operation an edge, with the gradient of a softmax whose temperature falls
    linearly from ``temperature`` in the first epoch to ``final_temperature`` in the last."""

    name: ClassVar[str] = "gdas"
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {("darts", "cifar10"): _CIFAR10, KEY_201: _CIFAR10 | dict(PUBLISHED_201)}
    )
    temperature: Temperature = 10.0
    final_temperature: Temperature = 0.1

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of GDAS."""
        from latbench.search.relaxations.gdas import GdasRelaxation

        return GdasRelaxation(space, generator, self.temperature, self.final_temperature)
