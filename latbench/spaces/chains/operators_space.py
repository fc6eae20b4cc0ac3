"""The space of HURRICANE (Zhang et al., 2019, https://arxiv.org/abs/1910.11609): for each layer of
a mobile body a pool of operators.

The paper has a pool of 32 operators and takes of it, for each kind of hardware, those that suit it.
Its list and its body were not available to us. Ours is the decomposition that gives exactly 32:
separable convolutions of kernels 3, 5 and 7; inverted residuals of these kernels that expand 1, 3
or 6 times; ShuffleNetV2 units of these kernels and the Xception one; each with squeeze-and-excite
and without. The body has the blocks and strides of Single Path One-Shot and widths as of mobile
networks, at which an inverted residual of kernel 3 that expands 6 times costs 22 to 26 million
multiply-adds in every stage (at 224 pixels, where the stride is 1), and which rise only at strides
of 2, so that every operator fits every layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import MappingProxyType

from latbench.errors import UsageError, did_you_mean, quoted
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import (
    SqueezeExcite,
    conv_bn_act,
    divisible,
    inverted_residual,
    shuffle_unit,
)
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace
from latbench.spaces.variables import One
from latbench.text import JOINED


@dataclass(frozen=True)
class Operator:
    """An operator: its ``family``, kernel in pixels (0 for the Xception unit), how often it expands
    its input (inverted residuals), and whether it has a squeeze-and-excite."""

    family: str
    kernel: int
    expansion: int = 1
    se: bool = False


def _operators() -> Iterator[tuple[str, Operator]]:
    for kernel in (3, 5, 7):
        for se in (False, True):
            yield f"sep{kernel}{'se' * se}", Operator("sep", kernel, se=se)
    for kernel in (3, 5, 7):
        for expansion in (1, 3, 6):
            for se in (False, True):
                name = f"mb{kernel}e{expansion}{'se' * se}"
                yield name, Operator("mb", kernel, expansion, se)
    for text, kernel in (("3", 3), ("5", 5), ("7", 7), ("_x", 0)):
        for se in (False, True):
            yield f"shuffle{text}{'se' * se}", Operator("shuffle", kernel, se=se)


OPERATORS: Mapping[str, Operator] = MappingProxyType(dict(_operators()))
ALL = "all"


@dataclass(frozen=True)
class OperatorsConfig(ChainConfig):
    """The body, and the pool of each of its layers.

    ``pools`` are texts such as ``sep3+mb5e6se``, the names of ``OPERATORS``: one a layer, or one
    for all; ``all`` is all of them. ``widths`` are those of the stem, the four stages and the head,
    before ``width`` multiplies them, and ``blocks`` the layers of each stage. ``stem_stride`` is 2,
    or 1 for small images.
    """

    pools: tuple[str, ...] = (ALL,)
    widths: tuple[int, ...] = (16, 24, 48, 96, 192, 1024)
    blocks: tuple[int, ...] = (4, 4, 8, 4)
    stem_stride: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stem_stride not in (1, 2):
            raise UsageError(f"stem_stride must be 1 or 2, got {self.stem_stride}")
        if len(self.widths) != len(self.blocks) + 2:
            raise UsageError(
                f"widths must be {len(self.blocks) + 2} numbers (stem, {len(self.blocks)} stages, "
                f"head), got {len(self.widths)}"
            )
        body = [self.channels(c) for c in self.widths[:-1]]
        if any(a >= b for a, b in pairwise(body)):
            raise UsageError(
                f"stem and stages are {', '.join(map(str, body))} channels wide at width="
                f"{self.width:g}, and each must be wider than the one before: a shuffle unit of "
                "stride 2 adds to its channels"
            )
        if len(self.pools) not in (1, self.layers):
            raise UsageError(
                f"pools must be one text for all layers or one for each of the {self.layers}, got "
                f"{len(self.pools)}"
            )
        for text in self.pools:
            self._check(text)

    def _check(self, text: str) -> None:
        names = _names(text)
        for name in names:
            if name not in OPERATORS:
                raise UsageError(
                    f"{quoted(name)} is no operator{did_you_mean(name, OPERATORS)} known: "
                    f"{', '.join(OPERATORS)}"
                )
        if len(set(names)) < len(names):
            raise UsageError(f"the pool {quoted(text)} has an operator twice")

    def halvings(self) -> int:
        """Returns how often the networks halve an image: in every stage, and in a stem of stride
        2."""
        return len(self.blocks) + (self.stem_stride == 2)

    @property
    def layers(self) -> int:
        """Returns the number of layers that have a pool."""
        return sum(self.blocks)

    def pool(self, layer: int) -> tuple[str, ...]:
        """Returns the names of a layer's operators; layers count from 0."""
        return _names(self.pools[layer if len(self.pools) > 1 else 0])


def _names(text: str) -> tuple[str, ...]:
    return tuple(OPERATORS) if text == ALL else tuple(text.split(JOINED))


class OperatorsSpace(ChainSpace[OperatorsConfig]):
    """The chains of one operator a layer; ``"3.1"`` is that of the first layer of stage 3.

    At the default settings there are 32^20, about 10^30.
    """

    name = "operators"
    small = MappingProxyType({
        "widths": (8, 16, 24, 32), "blocks": (2, 1), "classes": 10, "resolution": 18,
        "pools": (
            "sep3+mb3e6+mb5e3se+shuffle3", "sep5se+mb3e1+mb7e3+shuffle_xse", "sep7+mb3e3+shuffle5"
        ),
    })  # fmt: skip

    def __init__(self, config: OperatorsConfig | None = None) -> None:
        self.config = config or OperatorsConfig()

    def family(self, option: str) -> str:
        """Returns the operator's family."""
        return OPERATORS[option].family

    def places(self) -> list[tuple[str, int]]:
        """Returns each layer's name and stride."""
        return [
            (f"{i}.{j}", 2 if j == 1 else 1)
            for i, n in enumerate(self.config.blocks, 1)
            for j in range(1, n + 1)
        ]

    def variables(self) -> Iterator[One]:
        """Yields the operator of each layer."""
        for layer, (name, _) in enumerate(self.places()):
            yield One(name, self.config.pool(layer))

    def assemble(self, b: Assembler) -> int:
        """Appends a 3x3 convolution, the layers, a 1x1 convolution and the
        classifier."""
        c = self.config
        x = conv_bn_act(b, b.input, c.channels(c.widths[0]), 3, stride=c.stem_stride)
        for layer, (name, stride) in enumerate(self.places()):
            width = c.channels(c.widths[int(name.partition(".")[0])])
            options = {
                operator: partial(append, OPERATORS[operator], width, stride)
                for operator in c.pool(layer)
            }
            x = b.one(name, options, x)
            b.mark(name, x)
        x = conv_bn_act(b, x, c.channels(c.widths[-1]), 1)
        return classifier(b, x, c.classes)


def append(operator: Operator, width: int, stride: int, b: Assembler, x: int) -> int:
    """Appends an operator with so many output channels, with a residual where the stride is 1.

    Args:
        operator: The operator.
        width: The number of output channels; with stride 1 that of the input as well.
        stride: The stride in pixels.
        b: The builder.
        x: The index of the layer that is read.

    Returns:
        The index of the last layer.
    """
    c = b.shape(x)[1]
    if operator.family == "shuffle":
        se = SqueezeExcite(divisible(width / 8)) if operator.se else None
        return shuffle_unit(
            b, x, width, operator.kernel or 3, stride, xception=operator.kernel == 0, se=se
        )
    inside = c * operator.expansion
    se = SqueezeExcite(divisible(inside / 4)) if operator.se else None
    expanded = inside if operator.family == "mb" else None
    return inverted_residual(
        b, x, width, operator.kernel, stride, expanded, RELU, se, residual=stride == 1
    )
