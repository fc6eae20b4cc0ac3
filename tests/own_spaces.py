"""Spaces that only tests have: ``from own_spaces import ...`` (see pyproject.toml)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from latbench.networks.blocks import RELU, classifier, conv_bn
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Shape,
    Slice,
)
from latbench.spaces import AnySpace
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.base import SearchSpace
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Some, Variable


@dataclass(frozen=True)
class BlocksConfig(SpaceConfig):
    """``widths`` are those of the first stage, those of the n-th n times as wide."""

    stages: int = 7
    widths: tuple[int, ...] = (8, 12, 16)
    depths: tuple[int, ...] = (2, 3, 4)
    blocks: tuple[str, ...] = ("k3e3", "k5e3", "k7e3", "k3e6", "k5e6", "k3e3se")
    resolutions: tuple[int, ...] = (24, 32)


class Blocks(SearchSpace[BlocksConfig]):
    """Stages of mobile blocks, the first three of stride 2: resolution, widths, depths and
    operations, 10^25 of them."""

    name = "blocks"

    def __init__(self, config: BlocksConfig | None = None) -> None:
        self.config = config or BlocksConfig()

    def variables(self) -> Iterator[Variable]:
        c = self.config
        yield One("resolution", tuple(map(str, c.resolutions)), kind="resolution")
        for i in range(c.stages):
            yield One(f"{i}.width", tuple(str(w * (i + 1)) for w in c.widths), kind="width")
            yield One(f"{i}.depth", tuple(map(str, c.depths)), kind="depth")
            for j in range(max(c.depths)):
                deep = tuple(str(d) for d in c.depths if d > j)
                options = (*c.blocks, "skip") if j else c.blocks
                yield One(f"{i}.{j}", options, given=(f"{i}.depth", deep))

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        size = number("resolution")
        return (self.config.batch, self.config.in_channels, size, size)

    def assemble(self, b: Assembler) -> int:
        c = self.config
        x = b.add(RELU, conv_bn(b, b.input, 8, 3, stride=2))
        for i in range(c.stages):
            width = b.number(f"{i}.width")
            steps = [partial(self._step, i, j, width) for j in range(max(c.depths))]
            x = b.first(f"{i}.depth", steps, x)
        return classifier(b, x, c.classes)

    def _step(self, i: int, j: int, width: int, b: Assembler, x: int) -> int:
        # The first block of a stage changes the width, so it has no residual.
        stride = 2 if j == 0 and i < 3 else 1
        options: dict[str, Callable[[Assembler, int], int]] = {
            o: partial(
                mobile, kernel=int(o[1]), expansion=int(o[3]), se=o.endswith("se"), width=width,
                stride=stride, residual=j > 0,
            )
            for o in self.config.blocks
        }  # fmt: skip
        return b.one(f"{i}.{j}", options | ({"skip": lambda b, x: x} if j else {}), x)


def mobile(
    b: NetworkBuilder, x: int, kernel: int, expansion: int, se: bool, width: int, stride: int,
    residual: bool,
) -> int:  # fmt: skip
    """An inverted residual."""
    y = b.add(Activation("hswish"), conv_bn(b, x, b.shape(x)[1] * expansion, 1))
    c = b.shape(y)[1]
    y = b.add(BatchNorm(), b.add(Conv(c, kernel, stride, kernel // 2, groups=c), y))
    y = b.add(Activation("hswish"), y)
    if se:
        s = b.add(RELU, b.add(Conv(c // 4, 1, bias=True), b.add(GlobalAvgPool(), y)))
        y = b.add(
            Elementwise("mul"), y, b.add(Activation("sigmoid"), b.add(Conv(c, 1, bias=True), s))
        )
    y = conv_bn(b, y, width, 1)
    return b.add(Elementwise("add"), x, y) if residual else y


def small_blocks(**settings: Any) -> Blocks:
    """A chain that a test can train."""
    small: dict[str, Any] = {
        "stages": 2, "depths": (1, 2), "blocks": ("k3e3", "k5e3", "k3e3se"), "widths": (4, 6),
    }  # fmt: skip
    return Blocks(BlocksConfig(**{**small, **settings}))


def replace_resolution(space: Blocks, size: int) -> Blocks:
    """The space for images of another size."""
    return Blocks(dataclasses.replace(space.config, resolution=size))


class Joined(SearchSpace[SpaceConfig]):
    """Two open widths, concatenated, and members on which no variable hangs."""

    name = "joined"

    def __init__(self, config: SpaceConfig | None = None) -> None:
        self.config = config or SpaceConfig()

    def variables(self) -> Iterator[Variable]:
        yield One("left", ("4", "6"), kind="width")
        yield One("right", ("2", "3", "5"), kind="width")
        yield One("expansion", ("2", "3"), kind="expansion")
        yield Some("in", ("a", "b", "c"), 1, 2)

    def assemble(self, b: Assembler) -> int:
        both = [conv_bn(b, b.input, b.number(name), 3) for name in ("left", "right")]
        x = b.add(RELU, b.add(Concat(), *both))
        x = b.add(RELU, conv_bn(b, x, b.shape(x)[1] * b.number("expansion"), 1))
        states = {name: conv_bn(b, x, 4, k) for name, k in (("a", 1), ("b", 3), ("c", 5))}
        kept = b.some("in", states)
        return classifier(b, b.total(list(kept.values())), self.config.classes)


class Cut(SearchSpace[SpaceConfig]):
    """A slice of channels that a batch norm reads, and a flattening of more than one pixel."""

    name = "cut"

    def __init__(self, config: SpaceConfig | None = None) -> None:
        self.config = config or SpaceConfig(resolution=4)

    def variables(self) -> Iterator[Variable]:
        yield One("kernel", ("1", "3"))

    def assemble(self, b: Assembler) -> int:
        kernels: dict[str, Step] = {
            k: partial(conv_bn, channels=5, kernel=int(k)) for k in ("1", "3")
        }
        x = b.add(Slice(1, 2), b.one("kernel", kernels, b.input))
        return b.add(Linear(self.config.classes), b.add(Flatten(), b.add(BatchNorm(), x)))


def one_hot_names(space: AnySpace) -> list[str]:
    """The names of the one-hot encoding's columns; empty for a column that is always 0."""
    names = space.forest.columns
    return [names[place] if place >= 0 else "" for place in space.columns.one_hot_places]


class Odd(SearchSpace[SpaceConfig]):
    """A space whose parts a test gives; ``shape`` is asked for the input's, where there is one."""

    name = "odd"

    def __init__(
        self, variables: Sequence[Variable], assemble: Callable[[Assembler], int],
        shape: Callable[[Callable[[str], int]], Shape] | None = None,
    ) -> None:  # fmt: skip
        self.config = SpaceConfig()
        self._variables, self._assemble, self._shape = variables, assemble, shape

    def variables(self) -> Sequence[Variable]:
        return self._variables

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        return self._shape(number) if self._shape else self.config.input_shape

    def assemble(self, b: Assembler) -> int:
        return classifier(b, self._assemble(b), self.config.classes)


def conv(channels: int, b: Assembler, x: int) -> int:
    """A step: a 3 x 3 convolution and a batch norm."""
    return conv_bn(b, x, channels, 3)
