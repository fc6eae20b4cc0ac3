"""MSG-DAS (Tan et al., 2021, https://arxiv.org/abs/2107.04324).

Its constants were not available to us, nor is there code. The presets take those of the searches
that it stands on, and are marked: GDAS' for CIFAR-10 and for NAS-Bench-201 (see
``latbench.search.methods.sampled_operations``), PC-DARTS' learning rates and warm-up for ImageNet
(yuhuixu1993/PC-DARTS, train_search_imagenet.py), with what is ours: two sub-graphs, a guidance of 1
at the temperature 1, and Dropblock-Identity that falls from 0.3 in blocks of 5 x 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from latbench.errors import UsageError
from latbench.search.methods.base import Method, check_one_resolution
from latbench.search.methods.partial_channels import ONE_GPU
from latbench.search.methods.published_201 import KEY_201
from latbench.search.methods.sampled_operations import Gdas
from latbench.spaces.variables import One
from latbench.validation import Count, NotNegative, Temperature

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.config import SearchConfig
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace

_OURS: dict[str, Any] = {"dropblock": 0.3, "dropblock_size": 5}


@dataclass(frozen=True)
class MsgDas(Method):
    """A draw of several single paths a step, ``subgraphs`` of them, that exclude each other.

    The temperature falls linearly from ``temperature`` in the first epoch to ``final_temperature``
    in the last. ``guidance`` is the weight with which the paths imitate the whole supernet's
    logits, softened by ``guidance_temperature``, in every ``guidance_every``-th step of the
    weights, counted from the first of an epoch; 0 for none. The paths run one after another, or
    ``at_once``, which has the same gradient and takes the memory of all of them. One sub-graph
    without guidance is GDAS.
    """

    name: ClassVar[str] = "msg-das"
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {
            ("darts", "cifar10"): {**Gdas.presets["darts", "cifar10"], **_OURS},
            ("darts", "imagenet"): {**ONE_GPU, **_OURS},
            KEY_201: {**Gdas.presets[KEY_201], **_OURS},
        }
    )
    subgraphs: Count = 2
    temperature: Temperature = 10.0
    final_temperature: Temperature = 0.1
    guidance: NotNegative = 1.0
    guidance_temperature: Temperature = 1.0
    guidance_every: Count = 1
    at_once: bool = False

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of MSG-DAS."""
        from latbench.search.relaxations.msg_das import MsgDasRelaxation

        return MsgDasRelaxation(
            space, generator, self.subgraphs, self.temperature, self.final_temperature,
            self.guidance, self.guidance_temperature, self.guidance_every, self.at_once,
        )  # fmt: skip

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for more sub-graphs than an operation variable has options, and for
        guidance where the resolution is a variable."""
        forest = space.forest
        for i in forest.operations:
            v = forest.variables[i]
            options = len(v.options) + (forest.on_member(i) and config.topology is None)
            if isinstance(v, One) and self.subgraphs > options:
                raise UsageError(
                    f"msg-das draws {self.subgraphs} sub-graphs that exclude each other, and "
                    f"{v.name!r} has {options} operations; set subgraphs to at most {options}"
                )
        if self.guidance:
            check_one_resolution(self, space, "its guidance mixes several options", "guidance=0")
