"""DMaskingNAS (Wan et al., FBNetV2, 2020, https://arxiv.org/abs/2004.05565).

The authors' search code was not published. The temperature begins at 5 and falls by 0.956 an epoch
as in UpStride/classification-api, whose comment cites section 4.1 of the paper; that a search which
does not have 90 epochs ends as cold is ours. The preset has what a re-implementation of FBNet has:
the architecture parameters rest for 10 of 90 epochs and are trained by Adam with a learning rate of
0.01 and a weight decay of 5e-4, the weights with a learning rate of 0.1, momentum 0.9 and a weight
decay of 1e-4. All else is as for every method here: Adam's betas and the first parameters as DARTS
published them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from latbench.errors import UsageError
from latbench.search.methods.base import Method
from latbench.search.methods.gumbel_mixture import Decay, check_coldest
from latbench.spaces.supernet import open_channels, resolution_of, widths_of
from latbench.text import listing
from latbench.validation import Count, Temperature

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.config import SearchConfig
    from latbench.search.penalty import LatencyPenalty
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class DMasking(Method):
    """A search of widths as masks, and of resolutions, that weighs the options of every variable by
    a Gumbel-softmax.

    ``temperature`` and ``decay`` are those of ``fbnet``. ``resolutions`` says whether a pass draws
    one, or mixes all of them as in the paper, which takes the memory and time of all. ``multiple``
    is what a backend needs numbers of channels to be multiples of, which the user knows and no
    backend says; a space in which a searched one is none is refused.
    """

    name: ClassVar[str] = "dmasking"
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {
            # One half of the images trains the architecture parameters here, a fifth there. Batch,
            # final rate and precision are ours.
            ("fbnetv2", "imagenet"): {
                "epochs": 90, "warmup_epochs": 10, "batch": 256, "learning_rate": 0.1,
                "final_learning_rate": 0.0, "weight_decay": 1e-4, "alpha_learning_rate": 0.01,
                "alpha_weight_decay": 5e-4, "precision": "bfloat16",
            },
        }
    )  # fmt: skip
    temperature: Temperature = 5.0
    decay: Decay | None = None
    resolutions: Literal["drawn", "mixed"] = "drawn"
    multiple: Count = 1

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation of DMaskingNAS."""
        from latbench.search.relaxations.dmasking import DMaskingRelaxation

        drawn = self.resolutions == "drawn"
        return DMaskingRelaxation(space, generator, self.temperature, self.decay, drawn)

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a space without widths or resolutions, for options that are out of
        order or no multiples, and for a temperature that falls too low."""
        supernet = space.supernet()
        resolution, widths = resolution_of(supernet, space.name), widths_of(supernet)
        if not widths and resolution is None:
            raise UsageError(
                f"the space {space.name!r} has no widths and no resolutions, which the method "
                "'dmasking' searches; take another method, such as 'fbnet'"
            )
        for name in filter(None, (resolution, *widths)):
            options = [int(option) for option in space.forest[name].options]
            if any(a >= b for a, b in pairwise(options)):
                raise UsageError(
                    f"the options of {name!r} in the space {space.name!r} are "
                    f"{listing(list(map(str, options)))}; the method 'dmasking' needs widths and "
                    "resolutions in rising order, each once"
                )
        for channels in open_channels(supernet):
            for value in sorted(set(channels.table.values())):
                if value % self.multiple:
                    raise UsageError(
                        f"{listing(list(channels.names))} can give a layer of the space "
                        f"{space.name!r} {value} channels, and multiple = {self.multiple}; change "
                        "the options to multiples of it, or the setting"
                    )
        check_coldest(self.name, self.temperature, self.decay, config.epochs)

    def check_penalty(self, space: AnySpace, penalty: LatencyPenalty) -> None:
        """Raises UsageError for a predictor that gives all options of a width one cost; a count of
        parameters rightly does so with the resolution."""
        for name in widths_of(space.supernet()):
            penalty.check_sees(space, name)
