"""The FBNet space (Wu et al., 2019, https://arxiv.org/abs/1812.03443, tables 1 and 2).

22 layers, each one of nine operations: inverted residuals of kernel 3 or 5 that expand by 1 (also
with pointwise convolutions in two groups and a shuffle), 3 or 6, and a skip. Blocks are built as in
facebookresearch/mobile-vision (mobile_cv/arch/fbnet_v2), whose FBNet-A, -B and -C are inside:
nothing is expanded where the expansion is 1, and a skip that changes channels or size is a 1x1
convolution with batch norm and ReLU. That repository's biases before batch norms, which compute
nothing that the norm does not, are left out.

The names of the operations, and their order, are those of the latency tables of HayeonLee/HELP,
where a skip may stand at all 22 layers; the size of the images that those were timed on is not
recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from latbench.errors import ParseError, quoted
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import conv_bn_act, inverted_residual
from latbench.networks.network import NetworkBuilder
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.chains.chain import ChainConfig, ChainSpace
from latbench.spaces.notation import whole_numbers
from latbench.spaces.variables import One

# Kernel, expansion and groups of each operation; None of the skip.
OPERATIONS: dict[str, tuple[int, int, int] | None] = {
    "k3_e1": (3, 1, 1), "k3_e1_g2": (3, 1, 2), "k3_e3": (3, 3, 1), "k3_e6": (3, 6, 1),
    "k5_e1": (5, 1, 1), "k5_e1_g2": (5, 1, 2), "k5_e3": (5, 3, 1), "k5_e6": (5, 6, 1),
    "skip": None,
}  # fmt: skip
STEM = 16
# Channels, layers and the first one's stride of each stage.
STAGES = (
    (16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1),
)  # fmt: skip


def named(*stages: str) -> str:
    """Returns the canonical text of an architecture that is written stage by stage, a word a
    layer."""
    layers = [
        f"{i}.{j}={operation}"
        for i, stage in enumerate(stages, 1)
        for j, operation in enumerate(stage.split(), 1)
    ]
    return ";".join(layers)


@dataclass(frozen=True)
class FBNetConfig(ChainConfig):
    """The settings of the space; the defaults are those of FBNet-B and FBNet-C.

    ``head`` is the number of channels of the last convolution (FBNet-A has 1504), multiplied by
    ``width`` like all others. ``most_layers`` leaves out what a stage has beyond so many layers.
    """

    head: int = 1984
    most_layers: int = 4


class FBNetSpace(ChainSpace[FBNetConfig]):
    """The 9^22 architectures of the FBNet space; layer ``"3.1"`` is the first one of stage 3."""

    name = "fbnet"
    small = MappingProxyType(
        {"width": 0.5, "head": 32, "most_layers": 2, "classes": 10, "resolution": 18}
    )
    published = MappingProxyType(
        {
            "fbnet_a": named(
                "skip",
                "k3_e3 k3_e1 skip skip",
                "k5_e6 k3_e3 k5_e1 k3_e3",
                "k5_e6 k5_e3 k5_e1_g2 k5_e6",
                "k3_e6 k5_e1_g2 k5_e3 k3_e1_g2",
                "k5_e6 k5_e6 k5_e3 k5_e6",
                "k5_e6",
            ),
            "fbnet_b": named(
                "k3_e1",
                "k3_e6 k5_e1 k3_e1 k3_e1",
                "k5_e6 k5_e3 k3_e6 k5_e6",
                "k5_e6 k5_e6 skip k5_e3",
                "k5_e6 k3_e1 k5_e1 k5_e3",
                "k5_e6 k5_e1 k5_e6 k5_e6",
                "k3_e6",
            ),
            "fbnet_c": named(
                "k3_e1",
                "k3_e6 skip k3_e1 k3_e1",
                "k5_e6 k5_e3 k5_e6 k3_e6",
                "k5_e6 k5_e3 k5_e6 k5_e6",
                "k5_e6 k5_e6 k5_e6 k5_e3",
                "k5_e6 k5_e6 k5_e6 k5_e6",
                "k3_e6",
            ),
        }
    )

    published_settings = MappingProxyType(
        {
            name: MappingProxyType({"head": head})
            for name, head in (("fbnet_a", 1504), ("fbnet_b", 1984), ("fbnet_c", 1984))
        }
    )

    def __init__(self, config: FBNetConfig | None = None) -> None:
        self.config = config or FBNetConfig()

    def _layers(self) -> Iterator[tuple[str, int, int]]:
        """The name, the channels and the stride of each layer that is chosen."""
        for i, (channels, layers, stride) in enumerate(STAGES, 1):
            for j in range(1, min(layers, self.config.most_layers) + 1):
                yield f"{i}.{j}", self.config.channels(channels), stride if j == 1 else 1

    def variables(self) -> Iterator[One]:
        """Yields the operation of each layer."""
        for name, _, _ in self._layers():
            yield One(name, tuple(OPERATIONS))

    def from_values(self, values: Mapping[str, Any]) -> str:
        """Reads HW-NAS-Bench's dictionary: the operation of each layer by its number,
        ``op_idx_list``, with ``dataset`` and ``num_classes``."""
        if "op_idx_list" not in values:
            return super().from_values(values)
        names = [name for name, _, _ in self._layers()]
        dataset, classes = values.get("dataset", "ImageNet"), values.get("num_classes")
        if dataset != "ImageNet":
            raise ParseError(
                f"HW-NAS-Bench's networks for {quoted(str(dataset))} have other strides than "
                f"those of {self.name!r}, which are for ImageNet; there is no space of them"
            )
        if classes not in (None, self.config.classes):
            raise ParseError(
                f"the dictionary is of {quoted(str(classes))} classes, and this space has "
                f"{self.config.classes}; name {self.name}(classes={classes})"
            )
        found, known = whole_numbers(values, "op_idx_list", len(names)), list(OPERATIONS)
        strange = [k for k in found if not 0 <= k < len(known)]
        if strange:
            raise ParseError(f"'op_idx_list' has {strange[0]}; expected 0 to {len(known) - 1}")
        return super().from_values({n: known[k] for n, k in zip(names, found, strict=True)})

    def assemble(self, b: Assembler) -> int:
        """Appends a 3x3 convolution of stride 2, the layers, a 1x1 convolution and the
        classifier."""
        x = conv_bn_act(b, b.input, self.config.channels(STEM), 3, 2)
        for name, channels, stride in self._layers():
            steps = {o: partial(_layer, o, channels, stride) for o in OPERATIONS}
            x = b.one(name, steps, x)
            b.mark(name, x)
        x = conv_bn_act(b, x, self.config.channels(self.config.head), 1)
        return classifier(b, x, self.config.classes)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the architecture with the skips last of every run of layers that keep channels
        and size: such a skip does nothing, and the others are alike, so that it is the same
        network."""
        code, moved, before = list[int](), 0, self.config.channels(STEM)
        skip = list(OPERATIONS).index("skip")
        for operation, (_, channels, stride) in zip(architecture.code, self._layers(), strict=True):
            if channels != before or stride != 1:  # ends a run, and stands by itself
                code += [skip] * moved + [operation]
                moved = 0
            elif operation == skip:
                moved += 1
            else:
                code.append(operation)
            before = channels
        return self.of((*code, *[skip] * moved))


def _layer(operation: str, channels: int, stride: int, b: NetworkBuilder, x: int) -> int:
    """Appends one operation. Where stride and channels allow it, a block adds what it reads, and a
    skip does nothing."""
    c, block = b.shape(x)[1], OPERATIONS[operation]
    same = c == channels and stride == 1
    if block is None:
        return x if same else conv_bn_act(b, x, channels, 1, stride)
    kernel, expansion, groups = block
    expanded = None if expansion == 1 else c * expansion
    return inverted_residual(
        b, x, channels, kernel, stride, expanded, RELU, residual=same, groups=groups
    )
