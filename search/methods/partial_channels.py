"""PC-DARTS (Xu et al., ICLR 2020, https://arxiv.org/abs/1907.05737).

Published settings: yuhuixu1993/PC-DARTS, train_search.py and train_search_imagenet.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from latbench.errors import UsageError
from latbench.search.methods.base import Method
from latbench.search.methods.topology_presets import (
    TOPONAS,
    TOPONAS_CIFAR10,
    TOPONAS_IMAGENET,
)
from latbench.validation import Count

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.config import SearchConfig
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace

_CIFAR10: dict[str, Any] = {
    "batch": 256, "learning_rate": 0.1, "final_learning_rate": 0.0, "alpha_learning_rate": 6e-4,
    "warmup_epochs": 15,
}  # fmt: skip
# On images of 224 x 224, 10 % of the training images for the weights and 2.5 % for alpha.
_IMAGENET = _CIFAR10 | {
    "batch": 1024, "learning_rate": 0.5, "rising_epochs": 5, "alpha_learning_rate": 6e-3,
    "warmup_epochs": 35, "method": {"partial_channels": 2},
}  # fmt: skip
# On ImageNet with a quarter of the batch and of the rates, which is ours, for any method.
ONE_GPU: Mapping[str, Any] = MappingProxyType(
    {key: value for key, value in _IMAGENET.items() if key != "method"}
    | {"batch": 256, "learning_rate": 0.125, "alpha_learning_rate": 1.5e-3}
)
_TOPONAS_IMAGENET = {
    **ONE_GPU, **TOPONAS, "topology_warmup_epochs": 35, "method": _IMAGENET["method"],
}  # fmt: skip


@dataclass(frozen=True)
class PcDarts(Method):
    """A softmax as in DARTS on one of ``partial_channels``, and one over a node's inputs."""

    name: ClassVar[str] = "pc-darts"
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {
            ("darts", "cifar10"): _CIFAR10,
            ("darts", "imagenet"): _IMAGENET,
            TOPONAS_CIFAR10: _CIFAR10 | dict(TOPONAS),
            TOPONAS_IMAGENET: _TOPONAS_IMAGENET,
        }
    )
    partial_channels: Count = 4

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of PC-DARTS."""
        from latbench.search.relaxations.pc_darts import PcDartsRelaxation

        return PcDartsRelaxation(space, generator, self.partial_channels)

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a space in which no node chooses what it reads."""
        if not space.forest.chooses_inputs:
            raise UsageError(
                f"the method 'pc-darts' cannot search the space {space.name!r}: it weighs inputs "
                "against each other, and no node of this space chooses its inputs; take 'darts' or "
                "'gdas'"
            )
