"""The space of Once-for-all's MobileNetV3 (Cai et al., 2020, https://arxiv.org/abs/1908.09791).

A stem, a fixed block, five stages of two to four inverted residuals and a head of two pointwise
convolutions. Each block has a kernel of 3, 5 or 7 pixels and expands its input by 3, 4 or 6; the
input has 128 to 224 pixels. That is (9^2 + 9^3 + 9^4)^5, about 2.2 * 10^19, for each resolution.

Layers, widths and rounding are those of mit-han-lab/once-for-all (ofa/imagenet_classification/
elastic_nn/networks/ofa_mbv3.py). It trains at 128, 160, 192 and 224 pixels (train_ofa_net.py), and
takes its networks at any of "128, 132, ..., 224" (eval_ofa_net.py), which are the options here. Its
kernels of one block share weights and a batch norm; in the supernet here each has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from latbench.errors import ParseError, UsageError, quoted
from latbench.networks.blocks import RELU
from latbench.networks.mobile_blocks import (
    HSWISH,
    SqueezeExcite,
    conv_bn_act,
    depthwise,
    divisible,
    inverted_residual,
    squeeze_excite,
)
from latbench.networks.ops import (
    Activation,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
)
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.chains.chain import ChainConfig, ChainSpace, check_rising
from latbench.spaces.notation import whole_numbers
from latbench.spaces.open_number import of_each
from latbench.spaces.variables import One

STEM, HEAD = 16, (960, 1280)


@dataclass(frozen=True)
class Stage:
    """A stage of blocks: its width, the stride of its first block, its activation, and whether its
    blocks have a squeeze-and-excite."""

    width: int
    stride: int
    activation: Activation
    excite: bool


STAGES = (
    Stage(24, 2, RELU, False),
    Stage(40, 2, RELU, True),
    Stage(80, 2, HSWISH, False),
    Stage(112, 1, HSWISH, True),
    Stage(160, 2, HSWISH, True),
)


@dataclass(frozen=True)
class OfaConfig(ChainConfig):
    """The settings of the space: the options of its variables, each in rising order.

    A network's input has one of ``resolutions``; ``resolution`` is only the size of the images that
    a search reads, which it scales. The published supernets have a ``width`` of 1, and of 1.2 with
    resolutions from 160 on.
    """

    resolutions: tuple[int, ...] = tuple(range(128, 225, 4))
    depths: tuple[int, ...] = (2, 3, 4)
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (3, 4, 6)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising(self, "resolutions", "depths", "kernels", "expansions")
        for kernel in self.kernels:
            if kernel % 2 == 0:
                raise UsageError(
                    f"kernels must be odd, so that a block keeps its pixels, got {kernel}"
                )


def _published(text: str) -> str:
    """The text of ``220 33,33 74,53,33 ...``: the resolution, and kernel and expansion of each
    block of the five stages."""
    resolution, *stages = text.split()
    found = [f"resolution={resolution}"]
    for i, stage in enumerate(stages, 1):
        blocks = stage.split(",")
        found.append(f"{i}.depth={len(blocks)}")
        for j, block in enumerate(blocks, 1):
            found += [f"{i}.{j}.kernel={block[0]}", f"{i}.{j}.expansion={block[1]}"]
    return ";".join(found)


# The networks of once-for-all's README that were cut from its supernet of width 1, by their names
# there, as the configurations in han-cai/files have them (ofa/ofa_specialized/*/net.config and
# run.config). The others there are of width 1.2, some of more pixels than the space has, or of
# other supernets. ofa_lg_24 and ofa_pixel1_58 are one network with different weights.
# ofa_max and ofa_min are the largest and the smallest of the space, at 224 pixels.
_PUBLISHED = {
    "ofa_max": " ".join(["224", *["76,76,76,76"] * 5]),
    "ofa_min": " ".join(["224", *["33,33"] * 5]),
    "ofa_lg_24": "220 33,33 74,53,33 56,54,53 34,74,53 56,76,36,34",
    "ofa_lg_16": "176 33,33 74,53,33 56,54,53 34,74,53 56,76,36,34",
    "ofa_lg_11": "156 33,33 53,34,74 54,33 54,34,53 56,76,54",
    "ofa_lg_8": "144 33,33 54,53 53,33,33 36,74 36,74",
    "ofa_s7edge_88": "192 53,34 56,36,34 74,56,53 56,56,34,54 36,76,36,34",
    "ofa_s7edge_58": "192 33,33 53,34 74,53,34,33 34,34,33 36,54,54",
    "ofa_s7edge_41": "160 33,33 53,34 74,54 34,34,33 36,54,33,33",
    "ofa_s7edge_29": "144 33,33 53,34 54,34 54,54 36,53",
    "ofa_note8_65": "204 73,33 34,54,33 76,36,34 56,36,34 56,54,54,33",
    "ofa_note8_49": "176 53,34 54,34,74 74,73,34 34,36,34 36,56,36,54",
    "ofa_note8_31": "152 53,33 54,53 34,34,54 34,53,74 36,33,53,53",
    "ofa_note8_22": "140 33,33 53,53 74,33 53,34 36,76",
    "ofa_note10_22": "224 33,33 53,34,34 74,54,54 54,36,34 36,36,36,33",
    "ofa_note10_16": "192 33,33 53,54,34,33 54,54,33 54,54,33 36,74,54,33",
    "ofa_note10_11": "176 33,33 54,34 54,34 34,33,33 34,54,54",
    "ofa_note10_08": "160 33,33 33,34 34,33,33 33,34 34,54",
    "ofa_pixel1_58": "220 33,33 74,53,33 56,54,53 34,74,53 56,76,36,34",
    "ofa_pixel1_40": "172 53,34 54,34,74 74,73,34 34,36,34 36,56,36,54",
    "ofa_pixel1_28": "160 33,34 73,36,34 73,36 36,54 36,34,33,36",
    "ofa_pixel1_20": "152 33,33 53,53 74,33 53,34 36,76",
    "ofa_pixel2_62": "208 33,33 74,53,33 56,54,53 34,74,53 56,76,36,34",
    "ofa_pixel2_50": "208 33,34 33,33 33,56 56,74 36,53,74,53",
    "ofa_pixel2_35": "160 33,33 33,34,36 74,74 54,33,33,73 74,76,73,53",
    "ofa_pixel2_25": "144 33,33 56,54 74,33 74,73,34 56,34",
}


class OfaSpace(ChainSpace[OfaConfig]):
    """The space of chains of inverted residuals: a resolution, a depth for each stage, and a kernel
    and an expansion for each block."""

    name = "ofa"
    small = MappingProxyType({
        "resolutions": (17, 20), "depths": (1, 2), "width": 0.1, "classes": 10, "resolution": 18,
    })  # fmt: skip
    published = MappingProxyType({name: _published(text) for name, text in _PUBLISHED.items()})

    def __init__(self, config: OfaConfig | None = None) -> None:
        self.config = config or OfaConfig()

    def variables(self) -> Iterator[One]:
        """Yields the resolution, and for each stage its depth and, for each block of it, the kernel
        and the expansion."""
        c = self.config
        yield One("resolution", tuple(map(str, c.resolutions)), kind="resolution")
        for i in range(1, len(STAGES) + 1):
            depth = f"{i}.depth"
            yield One(depth, tuple(map(str, c.depths)), kind="depth")
            for j in range(1, max(c.depths) + 1):
                given = (depth, tuple(str(d) for d in c.depths if d >= j))
                for kind, values in (("kernel", c.kernels), ("expansion", c.expansions)):
                    yield One(f"{i}.{j}.{kind}", tuple(map(str, values)), kind, given)

    def from_values(self, values: Mapping[str, Any]) -> str:
        """Reads once-for-all's own dictionary: kernels ``ks`` and expansions ``e`` of all blocks,
        also of those beyond a stage's depth, the depths ``d``, the resolution ``r``, and ``wid``,
        the width."""
        if not {"ks", "e", "d"} <= values.keys():
            return super().from_values(values)
        stages, most = len(STAGES), max(self.config.depths)
        kernels, expansions = (whole_numbers(values, k, stages * most) for k in ("ks", "e"))
        width = values.get("wid", values.get("w"))
        if width not in (None, self.config.width):
            raise ParseError(
                f"the dictionary is of the width {width}, and this space has {self.config.width}; "
                f"name {self.name}(width={width})"
            )
        pixels = values.get("r", values.get("image_size"))
        pixels = pixels[0] if isinstance(pixels, list) and len(pixels) == 1 else pixels
        if type(pixels) is not int:
            raise ParseError(
                f"the dictionary has {quoted(str(pixels))} as 'r'; expected the resolution that "
                "its network is for, such as 'r': [224]"
            )
        found: dict[str, Any] = {"resolution": pixels}
        for i, depth in enumerate(whole_numbers(values, "d", stages), 1):
            found[f"{i}.depth"] = depth
            for j in range(1, min(depth, most) + 1):
                at = (i - 1) * most + j - 1
                found |= {f"{i}.{j}.kernel": kernels[at], f"{i}.{j}.expansion": expansions[at]}
        return super().from_values(found)

    def assemble(self, b: Assembler) -> int:
        """Appends the published network, whose last pointwise convolution stands behind the pooling
        and has neither bias nor batch norm."""
        c = self.config
        stem = c.channels(STEM)
        x = conv_bn_act(b, b.input, stem, 3, 2, HSWISH)
        x = inverted_residual(b, x, stem, 3, 1, None, RELU, residual=True)
        for i, stage in enumerate(STAGES, 1):
            steps = [partial(self._block, stage, i, j) for j in range(1, max(c.depths) + 1)]
            x = b.first(f"{i}.depth", steps, x)
        x = conv_bn_act(b, x, c.channels(HEAD[0]), 1, activation=HSWISH)
        x = b.add(HSWISH, b.add(Conv(c.channels(HEAD[1]), 1), b.add(GlobalAvgPool(), x)))
        return b.add(Linear(c.classes), b.add(Flatten(), x))

    def _block(self, stage: Stage, i: int, j: int, b: Assembler, x: int) -> int:
        """Appends block j of stage i; those behind the first one have a residual."""
        name, stride = f"{i}.{j}", stage.stride if j == 1 else 1
        expanded = of_each(divisible, b.shape(x)[1] * b.number(f"{name}.expansion"))
        y = conv_bn_act(b, x, expanded, 1, activation=stage.activation)
        kernels: dict[str, Step] = {
            str(k): partial(depthwise, kernel=k, stride=stride, activation=stage.activation)
            for k in self.config.kernels
        }
        y = b.one(f"{name}.kernel", kernels, y)
        if stage.excite:
            y = squeeze_excite(b, y, SqueezeExcite(of_each(divisible, b.shape(y)[1] // 4)))
        y = conv_bn_act(b, y, self.config.channels(stage.width), 1, activation=None)
        y = b.add(Elementwise("add"), x, y) if j > 1 else y
        b.mark(name, y)
        return y
