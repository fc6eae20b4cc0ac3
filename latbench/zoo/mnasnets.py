"""MnasNet and what was searched after it, with stages of its kind: MnasNet-A1 and -B1 (Tan et al.,
2019, https://arxiv.org/abs/1807.11626), Single-Path NAS (Stamoulis et al., 2019,
https://arxiv.org/abs/1904.02877), EfficientNet-B0 (Tan and Le, 2019,
https://arxiv.org/abs/1905.11946)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import SIGMOID, SILU, SqueezeExcite, conv_bn_act
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation
from latbench.zoo.chain_rows import BlockRow, BlockRules, append_rows
from latbench.zoo.published_entry import Accuracy, PublishedNetwork

MNASNET_A1_ROWS = (
    BlockRow(3, 16),
    BlockRow(3, 24, 6, stride=2, blocks=2),
    BlockRow(5, 40, 3, stride=2, blocks=3, se=True),
    BlockRow(3, 80, 6, stride=2, blocks=4),
    BlockRow(3, 112, 6, blocks=2, se=True),
    BlockRow(5, 160, 6, stride=2, blocks=3, se=True),
    BlockRow(3, 320, 6),
)
MNASNET_B1_ROWS = (
    BlockRow(3, 16),
    BlockRow(3, 24, 3, stride=2, blocks=3),
    BlockRow(5, 40, 3, stride=2, blocks=3),
    BlockRow(5, 80, 6, stride=2, blocks=3),
    BlockRow(3, 96, 6, blocks=2),
    BlockRow(5, 192, 6, stride=2, blocks=4),
    BlockRow(3, 320, 6),
)
SINGLE_PATH_ROWS = (
    BlockRow(3, 16),
    BlockRow(3, 24, 3, stride=2, blocks=3),
    BlockRow(5, 40, 6, stride=2),
    BlockRow(3, 40, 3, blocks=3),
    BlockRow(5, 80, 6, stride=2),
    BlockRow(3, 80, 3, blocks=3),
    BlockRow(5, 96, 6),
    BlockRow(5, 96, 3, blocks=3),
    BlockRow(5, 192, 6, stride=2, blocks=4),
    BlockRow(3, 320, 6),
)
EFFICIENTNET_B0_ROWS = (
    BlockRow(3, 16, se=True),
    BlockRow(3, 24, 6, stride=2, blocks=2, se=True),
    BlockRow(5, 40, 6, stride=2, blocks=2, se=True),
    BlockRow(3, 80, 6, stride=2, blocks=3, se=True),
    BlockRow(5, 112, 6, blocks=3, se=True),
    BlockRow(5, 192, 6, stride=2, blocks=4, se=True),
    BlockRow(3, 320, 6, se=True),
)


def _quarter_of_input(channels: int, expanded: int, activation: Activation) -> SqueezeExcite:
    return SqueezeExcite(channels // 4, activation, SIGMOID)


def append_stages(
    b: NetworkBuilder, classes: int, rows: Sequence[BlockRow], stem: int = 32, head: int = 1280,
    activation: Activation = RELU,
) -> int:  # fmt: skip
    """Appends a convolution of stride 2, the blocks of a table, a pointwise convolution and the
    classifier.

    Args:
        b: The builder of the network.
        classes: The number of classes.
        rows: The table of its blocks.
        stem: The number of channels of the first convolution.
        head: That of the last one.
        activation: The activation everywhere.

    Returns:
        The index of the output.
    """
    x = conv_bn_act(b, b.input, stem, 3, 2, activation)
    x = append_rows(b, x, rows, BlockRules(activation, _quarter_of_input))
    return classifier(b, conv_bn_act(b, x, head, 1, activation=activation), classes)


_TIMM = "huggingface/pytorch-image-models, timm/models/efficientnet.py"
_RESULTS = "huggingface/pytorch-image-models, results/results-imagenet.csv, {}.rmsp_in1k"

MNASNETS = (
    *(
        PublishedNetwork(
            name, 224, _TIMM, partial(append_stages, rows=rows),
            accuracy=Accuracy(top1, _RESULTS.format(model)),
        )
        for name, rows, top1, model in (
            ("mnasnet_a1", MNASNET_A1_ROWS, 75.452, "semnasnet_100"),
            ("mnasnet_b1", MNASNET_B1_ROWS, 74.672, "mnasnet_100"),
            ("single_path_nas", SINGLE_PATH_ROWS, 74.086, "spnasnet_100"),
        )
    ),
    PublishedNetwork(
        "efficientnet_b0", 224, "pytorch/vision, torchvision/models/efficientnet.py",
        partial(append_stages, rows=EFFICIENTNET_B0_ROWS, activation=SILU),
        accuracy=Accuracy(
            77.692, "pytorch/vision, torchvision/models/efficientnet.py, EfficientNet_B0_Weights"
        ),
    ),
)  # fmt: skip
