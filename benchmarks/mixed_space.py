"""Networks of five kinds and of all sizes: what the noise floor of a measurement is tried on.

DARTS and NAS-Bench-201 networks, and plain, residual and depthwise chains, ``STEPS`` of each kind,
whose work grows by the same factor from step to step: 0.1 to 30 ms on ONNX Runtime with one thread
of an AMD EPYC (Zen 4). It is a space, so that campaigns measure it like any other; a worker finds
it as ``mixed_space:Mixed`` beside the benchmark that is run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from latbench.errors import ParseError, UsageError, quoted
from latbench.networks.blocks import add_all, classifier, conv_bn
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Pool
from latbench.spaces import darts, nasbench201
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import SearchSpace
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One, Variable

STEPS = 22
# Multiply-accumulates of the first and the last step of a kind.
WORK = {
    "darts": (1.5e6, 1100e6), "nb201": (4e6, 1500e6), "plain": (6e6, 1700e6),
    "residual": (6e6, 1700e6), "depthwise": (2e6, 1100e6),
}  # fmt: skip
KINDS = tuple(WORK)
RELU = Activation("relu")


def _plain(b: NetworkBuilder, rng: np.random.Generator, width: int) -> int:
    """3x3 convolutions that grow wider where the image is pooled."""
    x = b.input
    for stage in range(3):
        for _ in range(int(rng.integers(1, 4))):
            x = b.add(RELU, conv_bn(b, x, width << stage, 3))
        x = b.add(Pool("max", 2, 2), x)
    return x


def _residual(b: NetworkBuilder, rng: np.random.Generator, width: int) -> int:
    """Basic blocks of ResNet (He et al., 2016), ReLUs after the sums."""
    x = b.add(RELU, conv_bn(b, b.input, width, 3))
    for stage in range(3):
        for block in range(int(rng.integers(1, 4))):
            stride = 2 if stage and not block else 1
            y = b.add(RELU, conv_bn(b, x, width << stage, 3, stride))
            y = conv_bn(b, y, width << stage, 3)
            if stride == 2:
                x = conv_bn(b, x, width << stage, 1, stride)
            x = b.add(RELU, add_all(b, [x, y]))
    return x


def _depthwise(b: NetworkBuilder, rng: np.random.Generator, width: int) -> int:
    """Inverted residuals of MobileNetV2 (Sandler et al., 2018), expansion 4."""
    x = b.add(RELU, conv_bn(b, b.input, width, 3))
    for stage in range(4):
        for block in range(int(rng.integers(1, 4))):
            kernel, stride = int(rng.choice([3, 5])), 2 if stage and not block else 1
            wide = 4 * b.shape(x)[1]
            y = b.add(RELU, conv_bn(b, x, wide, 1))
            y = b.add(Conv(wide, kernel, stride, kernel // 2, groups=wide), y)
            y = conv_bn(b, b.add(RELU, b.add(BatchNorm(), y)), width * (stage + 1), 1)
            x = add_all(b, [x, y]) if b.shape(x) == b.shape(y) else y
    return x


CHAINS = {"plain": _plain, "residual": _residual, "depthwise": _depthwise}


def _chain(kind: str, seed: list[int], width: int, resolution: int) -> Network:
    b = NetworkBuilder((1, 3, resolution, resolution))
    return b.build(classifier(b, CHAINS[kind](b, np.random.default_rng(seed), width), 10))


def _cells(kind: str, seed: list[int], width: int, resolution: int) -> Network:
    rng = np.random.default_rng(seed)
    settings = {"channels": width, "resolution": resolution}
    if kind == "darts":
        space = darts(cells=int(rng.integers(4, 12)), **settings)
    else:
        space = nasbench201(cells=int(rng.integers(1, 4)), **settings)
    return space.build(space.unrank(int(rng.integers(space.size))))


class Mixed(SearchSpace[SpaceConfig]):
    """The ``STEPS`` networks of each of ``KINDS``, by number; nothing is configurable."""

    name = "mixed"

    def __init__(self, config: SpaceConfig | None = None) -> None:
        self.config = config or SpaceConfig()

    def variables(self) -> Iterator[Variable]:
        """A kind and a step of its work."""
        yield One("kind", KINDS, kind="kind")
        yield One("step", tuple(map(str, range(STEPS))), kind="step")

    def assemble(self, b: Assembler) -> int:
        """Raises UsageError: chains and cells have no supernet in common."""
        raise UsageError("mixed networks have no supernet")

    def text(self, architecture: Architecture) -> str:
        """``kind-step``."""
        kind, step = architecture.code
        return f"{KINDS[kind]}-{step}"

    def parse(self, text: str) -> Architecture:
        """``kind-step``. Raises ParseError for anything else."""
        match = re.fullmatch(rf"({'|'.join(KINDS)})-(\d+)", text.strip(), re.ASCII)
        if match is None or int(match[2]) >= STEPS:
            raise ParseError(f"{quoted(text)} is not a kind and a step, such as {KINDS[0]}-0")
        return self.of((KINDS.index(match[1]), int(match[2])))

    def sample(self, seed: int, index: int) -> Architecture:
        """Uniform."""
        return self.unrank(int(self.generator(seed, index).integers(self.size)))

    def build(self, architecture: Architecture) -> Network:
        """Of some widths, the one whose image is nearest to a size at the step's work: few pixels
        and many weights, or the other way round."""
        kind, step = KINDS[architecture.code[0]], architecture.code[1]
        least, most = WORK[kind]
        work = least * (most / least) ** (step / (STEPS - 1))
        make = _cells if kind in ("darts", "nb201") else _chain
        seed = [KINDS.index(kind), step]
        pixels = int(np.random.default_rng(seed).choice([20, 40, 72]))
        sizes = []
        for width in (8, 12, 16, 24, 32, 48, 64, 96, 128):
            resolution = 32 * math.sqrt(work / make(kind, seed, width, 32).macs)
            sizes.append((abs(math.log(resolution / pixels)), width, resolution))
        _, width, resolution = min(sizes)
        return make(kind, seed, width, max(8, 4 * round(resolution / 4)))

    def reference(self) -> Architecture:
        """A residual chain of about half a millisecond."""
        return self.parse("residual-5")

    def rank(self, architecture: Architecture) -> int:
        """Kind after kind."""
        return STEPS * architecture.code[0] + architecture.code[1]

    def unrank(self, rank: int) -> Architecture:
        """The network with a number. Raises UsageError outside 0 to size - 1."""
        return self.of(divmod(self.check_rank(rank), STEPS))
