"""Widths and depths of residual networks (He et al., 2016, https://arxiv.org/abs/1512.03385).

The paper has the networks, and the space around them is ours: each stage is a share of its
published width wide and some blocks deep. With the settings of the paper's Table 1, ResNet-18, 34
and 50 are inside it, layer by layer as torchvision builds them (pytorch/vision,
torchvision/models/resnet.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from latbench.errors import ParseError, quoted
from latbench.networks.blocks import classifier
from latbench.networks.mobile_blocks import conv_bn_act, divisible
from latbench.networks.ops import Pool
from latbench.networks.residual_blocks import basic_block, bottleneck
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace, check_rising
from latbench.spaces.notation import code_of, tight
from latbench.spaces.variables import One

_WIDTHS = (64, 128, 256, 512)
_OUTSIDE = 4  # a bottleneck's output, in multiples of the width inside it
_FIXED = ("block", "stem")  # the settings without which a text could be of two networks


@dataclass(frozen=True)
class ResNetConfig(ChainConfig):
    """The published networks; the defaults are those of ResNet-18 and 34.

    ``block`` says what a stage is made of, two 3x3 convolutions or a bottleneck; ``stem`` what
    stands before the stages: a 7x7 convolution and a pooling, both of stride 2, or one 3x3
    convolution that keeps the size, as for CIFAR. ``widths`` are those of the stages, one for each
    (of a bottleneck the width inside, a quarter of its output). A stage's variables are then
    ``shares`` of its width in percent, rounded to multiples of 8 and each number once, and
    ``depths`` in blocks.
    """

    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["imagenet", "cifar"] = "imagenet"
    widths: tuple[int, ...] = _WIDTHS
    shares: tuple[int, ...] = (25, 50, 75, 100)
    depths: tuple[int, ...] = (1, 2, 3, 4, 6)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising(self, "shares", "depths")

    def halvings(self) -> int:
        """Returns how often the networks halve an image: all stages but the first one, and twice
        the stem for ImageNet."""
        return len(self.widths) - 1 + (2 if self.stem == "imagenet" else 0)

    def options(self, stage: int) -> tuple[str, ...]:
        """Returns the widths among which a stage chooses, in channels; stages count from 1."""
        full = self.widths[stage - 1]
        factors = [self.width * share / 100 for share in self.shares]
        found = [full if factor == 1 else divisible(full * factor) for factor in factors]
        return tuple(dict.fromkeys(map(str, found)))


def _named(block: str, stem: str, widths: tuple[int, ...], depths: tuple[int, ...]) -> str:
    stages = enumerate(zip(widths, depths, strict=True), 1)
    chosen = [f"{i}.width={width};{i}.depth={depth}" for i, (width, depth) in stages]
    return ";".join((f"block={block}", f"stem={stem}", *chosen))


class ResNetSpace(ChainSpace[ResNetConfig]):
    """The residual networks of a few stages; ``"3.width"`` and ``"3.depth"`` are of stage 3.

    Inside the space are ``resnet18`` (11,689,512 parameters, 1,814,073,344 multiply-adds at 224
    pixels), ``resnet34`` (21,797,672 and 3,663,761,408), with ``block=bottleneck`` ``resnet50``
    (25,557,032 and 4,089,184,256), the parameters and, rounded, the giga-operations (1.814, 3.664
    and 4.089) that torchvision states for its own. With ``stem=cifar, widths=(32 64 128),
    classes=10, resolution=32`` it has ``resnet20_cifar``, twice as wide as the paper's and with
    projections for shortcuts: that one is ours, and so are its 1,084,586 parameters and 162,366,720
    multiply-adds.

    A text names the settings ``block`` and ``stem``, since ResNet-34 and 50 have the same widths
    and depths.
    """

    name = "resnet"
    published = MappingProxyType(
        {
            "resnet18": _named("basic", "imagenet", _WIDTHS, (2, 2, 2, 2)),
            "resnet34": _named("basic", "imagenet", _WIDTHS, (3, 4, 6, 3)),
            "resnet50": _named("bottleneck", "imagenet", _WIDTHS, (3, 4, 6, 3)),
            "resnet20_cifar": _named("basic", "cifar", (32, 64, 128), (3, 3, 3)),
        }
    )
    small = MappingProxyType(
        {"widths": (16, 32), "shares": (50, 100), "depths": (1, 2), "classes": 10, "resolution": 18}
    )

    @classmethod
    def settings_of(cls, name: str) -> Mapping[str, Any]:
        """Returns none, since the texts name block, stem and widths."""
        return {}

    def __init__(self, config: ResNetConfig | None = None) -> None:
        self.config = config or ResNetConfig()

    def variables(self) -> Iterator[One]:
        """Yields each stage's width and depth."""
        depths = tuple(map(str, self.config.depths))
        for i in range(1, len(self.config.widths) + 1):
            yield One(f"{i}.width", self.config.options(i), kind="width")
            yield One(f"{i}.depth", depths, kind="depth")

    def assemble(self, b: Assembler) -> int:
        """Appends the network. The stem is as wide as stage 1, so that a basic block there needs no
        projection; the first block of each further stage has stride 2."""
        c = self.config
        width = b.number("1.width")
        if c.stem == "imagenet":
            x = conv_bn_act(b, b.input, width, 7, stride=2)
            x = b.add(Pool("max", 3, stride=2, padding=1), x)
        else:
            x = conv_bn_act(b, b.input, width, 3)
        for i in range(1, len(c.widths) + 1):
            steps = [partial(self._block, i, j) for j in range(1, max(c.depths) + 1)]
            x = b.first(f"{i}.depth", steps, x)
        return classifier(b, x, c.classes)

    def _block(self, i: int, j: int, b: Assembler, x: int) -> int:
        width, stride = b.number(f"{i}.width"), 2 if i > 1 and j == 1 else 1
        if self.config.block == "basic":
            y = basic_block(b, x, width, stride, projected=i > 1 and j == 1)
        else:
            y = bottleneck(b, x, width, width * _OUTSIDE, stride, projected=j == 1)
        b.mark(f"{i}.{j}", y)
        return y

    def text(self, architecture: Architecture) -> str:
        """Returns the settings ``block`` and ``stem`` and the values of the variables:
        ``block=basic;stem=imagenet;1.width=64;1.depth=2;...``."""
        fixed = [f"{name}={getattr(self.config, name)}" for name in _FIXED]
        return ";".join((*fixed, super().text(architecture)))

    def parse(self, text: str) -> Architecture:
        """Parses a canonical text, or the name of a published network.

        Raises ParseError, naming what is wrong, also where it is of another ``block`` or ``stem``
        than this space.
        """
        text = text.strip()
        if text not in self.published and "=" not in text:
            return super().parse(text)  # which refuses it
        parts = tight(self.published.get(text, text)).split(";")
        given = [part.partition("=") for part in parts]
        for name in _FIXED:
            own, values = getattr(self.config, name), [v for key, _, v in given if key == name]
            if not values:
                raise ParseError(f"the text gives no {name!r}; expected {name}={own}")
            if len(values) > 1:
                raise ParseError(f"the text gives {name!r} twice; give it once")
            if values[0] != own:
                raise ParseError(
                    f"{quoted(text)} is of a space with {name}={quoted(values[0])}, and this one "
                    f"has {name}={own}; make the space with the text's {name}, or give another text"
                )
        kept = [part for part, (key, *_) in zip(parts, given, strict=True) if key not in _FIXED]
        return self.of(code_of(self.forest, ";".join(kept)))
