"""A space of the kind that FBNetV2 searches with DMaskingNAS (Wan et al., 2020,
https://arxiv.org/abs/2004.05565): widths in steps, expansions, kernels, squeeze-and-excite,
activations, depths and the resolution, 1.5 * 10^35 networks at the default settings.

The paper prints its table of stages, and no code for its search was published. The table here is
ours where it is from memory: the largest widths, and one 1x1 convolution as the head, where the
published networks have a cheaper one behind the pooling. The smallest widths, their steps, the
numbers of blocks and the stem's widths are those of UpStride/classification-api; expansions of 0.75
to 4.5 in steps of 0.75 and images of up to 288 pixels come from notes about the paper. Blocks are
rounded as in facebookresearch/mobile-vision. The networks that it publishes lie outside, since
their expansions (5.4566, say) are off the grid.

One width a stage, not a block: a residual adds what a block reads to what it gives, so both need
the same channels, and a supernet that masks channels may not ask whether two widths are equal. The
first block of a stage, which takes the channels from one stage's to the next's, has no residual.
The pointwise convolution that expands is always there, even where it gives no more channels than it
reads, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import (
    HSWISH,
    MOBILE_VISION_LEAST,
    SqueezeExcite,
    conv_bn_act,
    depthwise,
    divisible,
    mobile_vision_squeeze,
    squeeze_excite,
)
from latbench.networks.ops import Activation, Elementwise
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace, check_rising
from latbench.spaces.open_number import of_each
from latbench.spaces.variables import Condition, One

STEM_WIDTHS = range(8, 17, 4)
KERNELS = {"3": 3, "5": 5}
ACTIVATIONS = {"relu": RELU, "hswish": HSWISH}
SQUEEZE_EXCITE = ("off", "on")
EXPANSIONS = ("75", "150", "225", "300", "375", "450")  # hundredths of what a block reads


@dataclass(frozen=True)
class MaskedStage:
    """A stage of blocks: the widths that it may have, its largest depth, the stride of its first
    block, and whether its blocks expand."""

    widths: range
    depth: int
    stride: int
    expands: bool = True


STAGES = (
    MaskedStage(range(12, 17, 4), 1, 1, expands=False),
    MaskedStage(range(16, 29, 4), 3, 2),
    MaskedStage(range(16, 41, 8), 3, 2),
    MaskedStage(range(48, 97, 8), 3, 2),
    MaskedStage(range(72, 129, 8), 4, 1),
    MaskedStage(range(112, 217, 8), 4, 2),
)


@dataclass(frozen=True)
class FBNetV2Config(ChainConfig):
    """The settings of the space.

    ``resolutions`` are the sizes in pixels that an architecture chooses among; ``resolution`` is
    that of the images that a search reads, which it resizes to them. ``head`` is the number of
    channels of the last convolution. ``most_blocks`` leaves out what a stage has beyond so many
    blocks. ``width`` multiplies the widths that are chosen among, too; those that it makes equal
    are one. At a ``width`` that leaves a stage 8 channels, which 1 does not, the block behind it is
    one network with an expansion of 225 and of 300, and yet counts as two.
    """

    head: int = 1984
    most_blocks: int = 4
    resolutions: tuple[int, ...] = (128, 160, 192, 224, 256, 288)
    resolution: int = 288

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising(self, "resolutions")


class FBNetV2Space(ChainSpace[FBNetV2Config]):
    """The networks of six stages: each stage has a width and a depth, each block a kernel, an
    expansion, squeeze-and-excite or none, and an activation; the images have a resolution, and the
    stem (stage 0) a width."""

    name = "fbnetv2"
    small = MappingProxyType(
        {
            "width": 0.25, "head": 32, "most_blocks": 2, "resolutions": (17, 20), "classes": 10,
            "resolution": 18,
        }
    )  # fmt: skip

    def __init__(self, config: FBNetV2Config | None = None) -> None:
        self.config = config or FBNetV2Config()

    def _depth(self, stage: MaskedStage) -> int:
        return min(stage.depth, self.config.most_blocks)

    def _width(self, name: str, widths: range) -> One:
        options = dict.fromkeys(str(self.config.channels(w)) for w in widths)
        return One(f"{name}.width", tuple(options), kind="width")

    def variables(self) -> Iterator[One]:
        """Yields the resolution, the stem's width, and for each stage its width, its depth, and the
        choices of each block."""
        yield One("resolution", tuple(map(str, self.config.resolutions)), kind="resolution")
        yield self._width("0", STEM_WIDTHS)
        for i, stage in enumerate(STAGES, 1):
            yield self._width(str(i), stage.widths)
            depths = tuple(str(d) for d in range(1, self._depth(stage) + 1))
            if len(depths) > 1:
                yield One(f"{i}.depth", depths, kind="depth")
            for j in range(1, len(depths) + 1):
                given = (f"{i}.depth", depths[j - 1 :]) if j > 1 else None
                yield from _choices(f"{i}.{j}", stage, given)

    def assemble(self, b: Assembler) -> int:
        """Appends a 3x3 convolution of stride 2, the stages, a 1x1 convolution and the
        classifier."""
        x = conv_bn_act(b, b.input, b.number("0.width"), 3, 2, HSWISH)
        for i, stage in enumerate(STAGES, 1):
            width = b.number(f"{i}.width")
            steps = [
                partial(_block, f"{i}.{j}", stage, width, j > 1)
                for j in range(1, self._depth(stage) + 1)
            ]
            x = b.first(f"{i}.depth", steps, x) if len(steps) > 1 else steps[0](b, x)
        x = conv_bn_act(b, x, self.config.channels(self.config.head), 1, activation=HSWISH)
        return classifier(b, x, self.config.classes)


def _choices(name: str, stage: MaskedStage, given: Condition | None) -> Iterator[One]:
    """Yields the variables of one block."""
    yield One(f"{name}.kernel", tuple(KERNELS), kind="kernel", given=given)
    if stage.expands:
        yield One(f"{name}.expansion", EXPANSIONS, kind="expansion", given=given)
    yield One(f"{name}.se", SQUEEZE_EXCITE, kind="se", given=given)
    yield One(f"{name}.activation", tuple(ACTIVATIONS), kind="activation", given=given)


def _block(name: str, stage: MaskedStage, width: int, residual: bool, b: Assembler, x: int) -> int:
    """Appends one inverted residual, asking for each choice where it has an effect."""
    activation = f"{name}.activation"
    activated = {o: partial(_activation, kind) for o, kind in ACTIVATIONS.items()}
    y, stride = x, 1 if residual else stage.stride
    if stage.expands:
        hidden = of_each(_expanded, b.shape(x)[1], b.number(f"{name}.expansion"))
        y = b.one(activation, activated, conv_bn_act(b, y, hidden, 1, activation=None))
    kernels = {o: partial(_depthwise, kernel, stride) for o, kernel in KERNELS.items()}
    y = b.one(activation, activated, b.one(f"{name}.kernel", kernels, y))
    excited = {o: partial(_excited, kind) for o, kind in ACTIVATIONS.items()}
    off, on = SQUEEZE_EXCITE
    y = b.one(
        f"{name}.se",
        {off: lambda _, x: x, on: lambda b, x: b.one(activation, excited, x)},
        y,
    )
    y = conv_bn_act(b, y, width, 1, activation=None)
    y = b.add(Elementwise("add"), x, y) if residual else y
    b.mark(name, y)
    return y


def _expanded(channels: int, hundredths: int) -> int:
    return divisible(channels * hundredths / 100, least=MOBILE_VISION_LEAST)


def _activation(kind: Activation, b: Assembler, x: int) -> int:
    return b.add(kind, x)


def _depthwise(kernel: int, stride: int, b: Assembler, x: int) -> int:
    return depthwise(b, x, kernel, stride, None)


def _excited(kind: Activation, b: Assembler, x: int) -> int:
    """Squeeze-and-excite with the block's own activation inside and a hard sigmoid as its gate."""
    return squeeze_excite(b, x, SqueezeExcite(of_each(mobile_vision_squeeze, b.shape(x)[1]), kind))
