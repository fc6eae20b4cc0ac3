"""The size search space of NATS-Bench (Dong et al., 2021, https://arxiv.org/abs/2009.00437).

Five layers of one fixed kind each, which are 8 to 64 channels wide: 8^5 = 32,768 networks. Layers
and cell are those of D-X-Y/AutoDL-Projects (``xautodl/models/shape_infers/InferTinyCellNet.py``),
texts and numbers those of D-X-Y/NATS-Bench.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from latbench.errors import ParseError, quoted
from latbench.networks.blocks import RELU, add_all, classifier
from latbench.networks.ops import BatchNorm, Conv
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.cells.nasbench201_space import operation, residual_block
from latbench.spaces.chains.chain import ChainSpace, check_pixels, check_rising
from latbench.spaces.notation import tight
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One

_LAYERS = 5


@dataclass(frozen=True)
class NatsSizeConfig(SpaceConfig):
    """The benchmark's network for CIFAR-10; ``widths`` are those among which each layer chooses.

    ImageNet-16-120 is ``classes=120, resolution=16``.
    """

    widths: tuple[int, ...] = (8, 16, 24, 32, 40, 48, 56, 64)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pixels(self, halvings=2)
        check_rising(self, "widths")


class NatsSizeSpace(ChainSpace[NatsSizeConfig]):
    """The 32,768 sizes of one network: ``"3.width"`` is that of the third layer.

    The layers are a cell, a residual block of stride 2, a cell, such a block, and a cell; the stem
    before them is as wide as the first. Every cell is the same one of NAS-Bench-201:
    ``|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|``.

    Its skip connection is a 1x1 convolution and a batch norm where the cell's input is of another
    width, and the benchmark makes it an identity where the widths are equal. A supernet of open
    widths cannot decide that, so that here the second and the third cell always have the
    convolution: of two layers of ``c`` channels it is ``c * c + 2 * c`` parameters more than the
    benchmark counts. Where layers 2 and 3 differ in width, and 4 and 5 (25,088 of the 32,768
    sizes), the layers are the benchmark's, and the counts are exact: ``8:8:40:32:40`` has 144,834
    parameters and 21,827,984 multiply-adds, which the file of that size in its repository
    (``fake_torch_dir``) states as 0.144834 M and, with the ten biases, 21.827994 M.
    """

    name = "nats-size"
    small = MappingProxyType({"widths": (4, 6, 8), "resolution": 18})

    def __init__(self, config: NatsSizeConfig | None = None) -> None:
        self.config = config or NatsSizeConfig()

    def variables(self) -> Iterator[One]:
        """Yields the width of each layer."""
        for i in range(1, _LAYERS + 1):
            yield One(f"{i}.width", tuple(map(str, self.config.widths)), kind="width")

    def assemble(self, b: Assembler) -> int:
        """Appends the benchmark's network.

        As it is searched (``search-size.py`` there, by its defaults), batch norms outside the
        residual blocks have no scale and shift and always normalise by the batch. That all skip
        connections are identities there, of layers as wide as the widest, is left out.
        """
        width = b.number("1.width")
        x = _norm(b, b.add(Conv(width, 3, padding=1), b.input))
        for i in range(1, _LAYERS + 1):
            width = b.number(f"{i}.width")
            x = _cell(b, x, width, projected=i > 1) if i % 2 else residual_block(b, x, width)
            b.mark(str(i), x)
        return classifier(b, b.add(RELU, _norm(b, x)), self.config.classes)

    def text(self, architecture: Architecture) -> str:
        """Returns the benchmark's own text, the five widths: ``64:32:8:48:16``."""
        return ":".join(str(self.config.widths[k]) for k in architecture.code)

    def parse(self, text: str) -> Architecture:
        """Parses the benchmark's own texts: ``64:32:8:48:16``.

        White space around the colons is ignored. Raises ParseError for anything else.
        """
        options = [str(width) for width in self.config.widths]
        found = tight(text[:1000]).split(":")
        if len(found) != _LAYERS or not set(found) <= set(options) or len(text) > 1000:
            raise ParseError(
                f"{quoted(text)} is not a size of NATS-Bench; expected {_LAYERS} widths with "
                f"colons between them, as '{':'.join(options[:1] * _LAYERS)}', each of "
                f"{', '.join(options)}"
            )
        return self.of(tuple(map(options.index, found)))

    def rank(self, architecture: Architecture) -> int:
        """Returns the benchmark's number: the widths' numbers as digits, the first layer's the
        highest."""
        total = 0
        for k in architecture.code:
            total = total * len(self.config.widths) + k
        return total

    def unrank(self, rank: int) -> Architecture:
        """Returns the size with a number; see ``rank``. Raises UsageError outside 0 to
        ``size - 1``."""
        rank, base = self.check_rank(rank), len(self.config.widths)
        return self.of(tuple(rank // base**i % base for i in reversed(range(_LAYERS))))


def _norm(b: Assembler, x: int) -> int:
    return b.add(BatchNorm(affine=not b.search, running=not b.search), x)


def _cell(b: Assembler, x: int, channels: int, projected: bool) -> int:
    """The fixed cell; ``projected`` says that its input is of another width."""

    def conv(y: int) -> int:
        return operation(b, y, "nor_conv_3x3", channels, b.search)

    first = conv(x)
    second = add_all(b, [conv(x), conv(first)])
    skip = _norm(b, b.add(Conv(channels, 1), x)) if projected else x
    return add_all(b, [skip, conv(first), conv(second)])
