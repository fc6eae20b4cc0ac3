"""FBNetV2 (Wan et al., 2020, https://arxiv.org/abs/2004.05565), as facebookresearch/mobile-vision
builds it; the networks of its predecessor lie in the space ``fbnet``.

The repository's models end in an average pooling even where FBNetV2 has pooled already, and so do
these. FBNet-iPhoneX is left out: no list of its layers that was found has the published counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import (
    HSIGMOID,
    HSWISH,
    MOBILE_VISION_LEAST,
    SqueezeExcite,
    conv_bn_act,
    mobile_vision_squeeze,
)
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation, Conv, GlobalAvgPool
from latbench.zoo.chain_rows import BlockRow, BlockRules, SkipRow, append_rows
from latbench.zoo.published_entry import Accuracy, PublishedNetwork

Rows = Sequence[BlockRow | SkipRow]

# FBNetV2's rows have h-swish unless they say otherwise.
_RE = partial(BlockRow, activation=RELU)
_RE_SE = partial(BlockRow, se=True, activation=RELU)
_SE = partial(BlockRow, se=True)

V2_F0_ROWS = (
    BlockRow(5, 8),
    BlockRow(5, 16, 4, 2), BlockRow(5, 16, 3),
    _RE_SE(5, 24, 4, 2), _RE_SE(5, 24, 3),
    _SE(5, 48, 4, 2), _SE(3, 48, 3), _SE(5, 64, 3), _SE(5, 64, 2),
    _SE(3, 128, 3, 2), _SE(5, 160, 3), SkipRow(192),
)  # fmt: skip
V2_F1_ROWS = (
    _RE(5, 8),
    _RE(5, 24, 5.4566, 2), _RE(5, 24, 4.7912),
    _RE_SE(5, 32, 5.3501, 2), _RE_SE(5, 24, 4.5379),
    BlockRow(5, 56, 5.7133, 2), BlockRow(3, 56, 4.1212), _SE(3, 56, 5.1246), SkipRow(80),
    _SE(5, 80, 4.5070), _SE(5, 80, 1.7712),
    _SE(3, 144, 4.5685, 2), _SE(5, 144, 5.84), _SE(5, 144, 6.8754), SkipRow(224),
)  # fmt: skip
V2_F4_ROWS = (
    BlockRow(3, 16),
    BlockRow(5, 24, 5.4566, 2), BlockRow(5, 24, 1.7912, blocks=2),
    _RE_SE(5, 32, 5.3501, 2), _RE_SE(5, 32, 3.5379), _RE_SE(5, 32, 4.5379, blocks=2),
    BlockRow(5, 64, 5.7133, 2), BlockRow(3, 64, 2.1212), SkipRow(64), BlockRow(3, 104, 5.0333),
    _SE(5, 104, 2.5070), _SE(5, 104, 1.7712), _SE(5, 112, 3.7712),
    _SE(3, 184, 5.5685, 2), _SE(5, 184, 2.84), _SE(5, 184, 4.8754), SkipRow(224),
)  # fmt: skip
V2_L1_ROWS = (
    BlockRow(3, 16),
    BlockRow(5, 24, 5.4566, 2), BlockRow(5, 24, 1.7912), BlockRow(3, 24, 1.7912),
    BlockRow(5, 24, 1.7912),
    _SE(5, 40, 5.3501, 2), _SE(5, 32, 3.5379), _SE(5, 32, 4.5379, blocks=2),
    BlockRow(5, 64, 5.7133, 2), BlockRow(3, 64, 2.1212), SkipRow(64), BlockRow(3, 64, 3.1246),
    BlockRow(3, 112, 5.0333), _SE(5, 112, 2.5070), _SE(5, 112, 1.7712), _SE(5, 112, 2.7712),
    _SE(5, 112, 3.7712, blocks=2),
    _SE(3, 184, 5.5685, 2), _SE(5, 184, 2.84, blocks=2), _SE(5, 184, 4.8754, blocks=2),
    SkipRow(224),
)  # fmt: skip


def _v2_squeeze(channels: int, expanded: int, activation: Activation) -> SqueezeExcite:
    return SqueezeExcite(mobile_vision_squeeze(expanded), activation, HSIGMOID)


def append_fbnetv2(
    b: NetworkBuilder, classes: int, rows: Rows, head: int, stem: int, expansion: int = 6
) -> int:
    """Appends an FBNetV2. Its last convolutions are a pointwise one that expands, and behind the
    pooling one of one pixel, without a batch norm.

    Args:
        b: The builder of the network.
        classes: The number of classes.
        rows: The table of its blocks.
        head: The number of channels of the last convolution.
        stem: That of the first one.
        expansion: The factor of the channels before the pooling.

    Returns:
        The index of the output.
    """
    x = conv_bn_act(b, b.input, stem, 3, 2, HSWISH)
    x = append_rows(b, x, rows, _V2_RULES)
    x = conv_bn_act(b, x, expansion * b.shape(x)[1], 1, activation=HSWISH)
    x = b.add(HSWISH, b.add(Conv(head, 1), b.add(GlobalAvgPool(), x)))
    return classifier(b, x, classes)


_V2_RULES = BlockRules(HSWISH, _v2_squeeze, MOBILE_VISION_LEAST)
_MODEL_INFO = (
    "facebookresearch/mobile-vision, "
    "mobile_cv/model_zoo/models/model_info/fbnet_v2/model_info_fbnet_v2.json"
)
_DEFINED = "facebookresearch/mobile-vision, mobile_cv/arch/fbnet_v2/fbnet_modeldef_cls_fbnetv2.py"

FBNETS_V2 = (
    PublishedNetwork(
        "fbnetv2_f0", 224, _DEFINED,
        partial(append_fbnetv2, rows=V2_F0_ROWS, head=1280, stem=8, expansion=4),
    ),
    *(
        PublishedNetwork(
            name, resolution, _DEFINED,
            partial(append_fbnetv2, rows=rows, head=head, stem=stem),
            accuracy=Accuracy(top1, _MODEL_INFO),
        )
        for name, resolution, rows, head, stem, top1 in (
            ("fbnetv2_f1", 128, V2_F1_ROWS, 1600, 8, 68.278),
            ("fbnetv2_f2", 160, V2_F1_ROWS, 1600, 8, 70.9759),
            ("fbnetv2_f3", 192, V2_F1_ROWS, 1984, 8, 73.0319),
            ("fbnetv2_f4", 224, V2_F4_ROWS, 1984, 16, 75.818),
            ("fbnetv2_l1", 224, V2_L1_ROWS, 1984, 16, 77.038),
            ("fbnetv2_l2", 256, V2_L1_ROWS, 1984, 16, 78.243),
        )
    ),
)  # fmt: skip
