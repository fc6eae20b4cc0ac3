"""The space of Single Path One-Shot (Guo et al., 2020, https://arxiv.org/abs/1904.00420).

Twenty ShuffleNetV2 units in four stages, each with one of four branches: 4^20, about 10^12. Layers,
widths and the released network are those of megvii-model/SinglePathOneShot.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from latbench.errors import UsageError
from latbench.networks.mobile_blocks import conv_bn_act, shuffle_unit
from latbench.networks.ops import Conv, Flatten, GlobalAvgPool
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace
from latbench.spaces.variables import One

# The order is that of the repository's lists of numbers.
CHOICES = ("k3", "k5", "k7", "xception")
_STEM, _STAGES, _HEAD = 16, (64, 160, 320, 640), 1024


@dataclass(frozen=True)
class SposConfig(ChainConfig):
    """The published network; ``blocks`` is the number of units in each of the four stages.

    Raises UsageError for a ``width`` at which two stages have as many channels: a unit of stride 2
    adds to them.
    """

    blocks: tuple[int, ...] = (4, 4, 8, 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.blocks) != len(_STAGES):
            raise UsageError(
                f"blocks must have one number for each of the {len(_STAGES)} stages, got "
                f"{len(self.blocks)}"
            )
        widths = [self.channels(c) for c in (_STEM, *_STAGES)]
        if any(before >= after for before, after in itertools.pairwise(widths)):
            raise UsageError(
                f"width={self.width:g} makes stem and stages {', '.join(map(str, widths))} "
                "channels wide, and each must be wider than the one before; use a width of 0.14 "
                "or more"
            )


def _named(numbers: str) -> str:
    """The text of an architecture of the default configuration from the repository's numbers."""
    places = [f"{i}.{j}" for i, n in enumerate(SposConfig().blocks, 1) for j in range(1, n + 1)]
    chosen = zip(places, numbers, strict=True)
    return ";".join(f"{place}={CHOICES[int(number)]}" for place, number in chosen)


class SposSpace(ChainSpace[SposConfig]):
    """The 4^20 networks; ``"3.1"`` is the branch of the first unit of stage 3.

    ``spos`` is the network that the authors released, of 3,558,464 parameters and 322.92 million
    multiply-adds ("3.5M" and "323M" in their table); ``spos_k3`` to ``spos_xception`` have one
    branch at all places.
    """

    name = "spos"
    published = MappingProxyType(
        {"spos": _named("21012020202300003233")}
        | {f"spos_{choice}": _named(str(k) * 20) for k, choice in enumerate(CHOICES)}
    )
    small = MappingProxyType(
        {"width": 0.14, "blocks": (1, 2, 1, 1), "classes": 10, "resolution": 18}
    )

    def __init__(self, config: SposConfig | None = None) -> None:
        self.config = config or SposConfig()

    def variables(self) -> Iterator[One]:
        """Yields the branch of each unit."""
        for i, n in enumerate(self.config.blocks, 1):
            for j in range(1, n + 1):
                yield One(f"{i}.{j}", CHOICES)

    def assemble(self, b: Assembler) -> int:
        """Appends the published network; as it is searched, its batch norms have no scale and
        shift.

        The last layer has no bias there, so that here it is a 1x1 convolution of the pooled pixel.
        """
        c, affine = self.config, not b.search
        x = conv_bn_act(b, b.input, c.channels(_STEM), 3, stride=2, affine=affine)
        for i, (width, n) in enumerate(zip(_STAGES, c.blocks, strict=True), 1):
            for j in range(1, n + 1):
                stride = 2 if j == 1 else 1
                options = {
                    choice: partial(_unit, choice, c.channels(width), stride) for choice in CHOICES
                }
                x = b.one(f"{i}.{j}", options, x)
                b.mark(f"{i}.{j}", x)
        x = conv_bn_act(b, x, c.channels(_HEAD), 1, affine=affine)
        return b.add(Flatten(), b.add(Conv(c.classes, 1), b.add(GlobalAvgPool(), x)))


def _unit(choice: str, channels: int, stride: int, b: Assembler, x: int) -> int:
    xception = choice == "xception"
    kernel = 3 if xception else int(choice[1:])
    return shuffle_unit(b, x, channels, kernel, stride, xception, affine=not b.search)
