"""The space of ProxylessNAS (Cai et al., 2019, https://arxiv.org/abs/1812.00332).

A stem, a fixed separable convolution, six stages of inverted residuals and a head. Each block has a
kernel of 3, 5 or 7 pixels and expands its input by 3 or 6; behind the first one of a stage it may
be nothing: 6^6 * 7^15 architectures, about 2.2 * 10^17. Widths, strides and candidates are those of
mit-han-lab/proxylessnas (search/imagenet_arch_search.py), and the published networks those of its
model zoo, whose configurations are in han-cai/files (proxylessnas/*.config).

Batch norms have this library's epsilon, not the published 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from latbench.errors import UsageError
from latbench.networks.blocks import classifier
from latbench.networks.mobile_blocks import RELU6, conv_bn_act, inverted_residual, separable
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace
from latbench.spaces.variables import One

# Kernel and expansion, in the order of the published search.
BLOCKS = {f"k{k}e{e}": (k, e) for k in (3, 5, 7) for e in (3, 6)}
SKIP = "skip"
STRIDES = (2, 2, 2, 1, 2, 1)

# ProxylessConfig.widths of the published networks, each of which has its own: the stem, the first
# block, the stages and the head. proxyless_mobile_14 has the blocks of proxyless_mobile, and widths
# that are no multiple of the latter's.
WIDTHS: Mapping[str, tuple[int, ...]] = MappingProxyType({
    "proxyless_cpu": (40, 24, 32, 48, 88, 104, 216, 360, 1432),
    "proxyless_gpu": (40, 24, 32, 56, 112, 128, 256, 432, 1728),
    "proxyless_mobile": (32, 16, 32, 40, 80, 96, 192, 320, 1280),
    "proxyless_mobile_14": (48, 24, 40, 56, 112, 136, 256, 448, 1792),
})  # fmt: skip


@dataclass(frozen=True)
class ProxylessConfig(ChainConfig):
    """The settings of the space.

    ``widths`` are nine numbers of channels: of the stem, the first block, the six stages and the
    head, before ``width`` multiplies them. A ``width`` below 1 leaves the head as it is, as the
    published search does. ``blocks`` are the most blocks of each of the six stages.
    """

    widths: tuple[int, ...] = (32, 16, 24, 40, 80, 96, 192, 320, 1280)
    blocks: tuple[int, ...] = (4, 4, 4, 4, 4, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, values, most in (("widths", self.widths, 9), ("blocks", self.blocks, 6)):
            if len(values) != most:
                what = "stem, first block, six stages, head" if name == "widths" else "of a stage"
                raise UsageError(
                    f"{name} must be {most} numbers ({what}), got {len(values)}: "
                    f"({' '.join(map(str, values))})"
                )

    @property
    def rounded_widths(self) -> list[int]:
        """Returns the nine widths times ``width``."""
        *body, head = self.widths
        return [*map(self.channels, body), self.channels(head) if self.width > 1 else head]


def _published(stages: str) -> str:
    """The text of six stages such as ``53,33``, kernel and expansion of each block; what a stage
    lacks at its end is skipped."""
    found = []
    for i, (row, n) in enumerate(
        zip(stages.split(" | "), ProxylessConfig().blocks, strict=True), 1
    ):
        blocks = [f"k{block[0]}e{block[1]}" for block in row.split(",")]
        blocks += [SKIP] * (n - len(blocks))
        found += [f"{i}.{j}={block}" for j, block in enumerate(blocks, 1)]
    return ";".join(found)


class ProxylessSpace(ChainSpace[ProxylessConfig]):
    """The space of chains of inverted residuals, each with a kernel and an expansion or left out.

    A published network is its text at its widths: ``ProxylessConfig(widths=WIDTHS[name])``.
    """

    name = "proxyless"
    small = MappingProxyType({
        "widths": (8, 8, 8, 8, 8, 16, 16, 16, 32), "blocks": (3, 1, 1, 1, 1, 1), "classes": 10,
        "resolution": 18,
    })  # fmt: skip
    published = MappingProxyType({
        "proxyless_cpu": _published(
            "36,33,33,33 | 36,33,33,53 | 36,33 | 56,33,33,33 | 56,53,53,33 | 56"
        ),
        "proxyless_gpu": _published("53 | 73,33 | 76,53 | 56,33,53 | 76,76,76,56 | 76"),
        "proxyless_mobile": _published(
            "53,33 | 73,33,53,53 | 76,53,53,53 | 56,53,53,53 | 76,76,73,73 | 76"
        ),
    })  # fmt: skip

    published_settings = MappingProxyType(
        {name: MappingProxyType({"widths": widths}) for name, widths in WIDTHS.items()}
    )

    def __init__(self, config: ProxylessConfig | None = None) -> None:
        self.config = config or ProxylessConfig()

    def variables(self) -> Iterator[One]:
        """Yields the operation of each block, ``stage.block``.

        Behind the first one of a stage, which alone changes the width or the stride, it may be
        ``skip``; the published search calls that Zero, as the residual goes on beside it.
        """
        for i, n in enumerate(self.config.blocks, 1):
            for j in range(1, n + 1):
                yield One(f"{i}.{j}", tuple(BLOCKS) if j == 1 else (*BLOCKS, SKIP))

    def assemble(self, b: Assembler) -> int:
        """Appends the published network. The blocks behind a stage's first one have a residual; a
        first one has none, even at widths that are equal."""
        stem, first, *stages, head = self.config.rounded_widths
        x = conv_bn_act(b, b.input, stem, 3, 2, RELU6)
        x = separable(b, x, first, 3, activation=RELU6)
        for i, (width, n, stride) in enumerate(
            zip(stages, self.config.blocks, STRIDES, strict=True), 1
        ):
            for j in range(1, n + 1):
                options = {
                    o: partial(_block, kernel, expansion, width, 1 if j > 1 else stride, j > 1)
                    for o, (kernel, expansion) in BLOCKS.items()
                }
                x = b.one(f"{i}.{j}", options | ({SKIP: _skip} if j > 1 else {}), x)
                b.mark(f"{i}.{j}", x)
        x = conv_bn_act(b, x, head, 1, activation=RELU6)
        return classifier(b, x, self.config.classes)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the architecture with the skipped blocks at the end of their stages: all others
        of a stage are alike, so that it is the same network."""
        code, start = list[int](), 0
        for n in self.config.blocks:
            stage = architecture.code[start : start + n]
            kept = [value for value in stage if value < len(BLOCKS)]
            code += kept + [len(BLOCKS)] * (n - len(kept))
            start += n
        return self.of(tuple(code))


def _block(
    kernel: int, expansion: int, width: int, stride: int, residual: bool, b: Assembler, x: int
) -> int:
    expanded = b.shape(x)[1] * expansion
    return inverted_residual(b, x, width, kernel, stride, expanded, RELU6, residual=residual)


def _skip(b: Assembler, x: int) -> int:
    return x
