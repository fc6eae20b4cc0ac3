"""MobileNet in its three versions, at the widths that were published with an accuracy.

MobileNetV1 (Howard et al., 2017, https://arxiv.org/abs/1704.04861) was read in tensorflow/models
(research/slim/nets) and huggingface/pytorch-image-models, MobileNetV2 (Sandler et al., 2018,
https://arxiv.org/abs/1801.04381) in pytorch/vision, MobileNetV3 (Howard et al., 2019,
https://arxiv.org/abs/1905.02244) in pytorch/vision and d-li14/mobilenetv3.pytorch.

These repositories differ in three things. Padding is symmetric here, as in torch; tensorflow's has
its odd pixel below and to the right. Squeeze-and-excite stands behind the activation, as in
pytorch/vision; d-li14 has it before, with as many parameters and multiply-adds. At width 0.75 the
layer before the last is as wide as at 1, as tensorflow and d-li14 have it; pytorch/vision narrows
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import (
    HSWISH,
    RELU6,
    SqueezeExcite,
    conv_bn_act,
    divisible,
    separable,
)
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation, Flatten, GlobalAvgPool, Linear
from latbench.zoo.chain_rows import BlockRow, BlockRules, append_rows
from latbench.zoo.published_entry import Accuracy, PublishedNetwork

V1_ROWS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)) + ((512, 1),) * 5 + (
    (1024, 2), (1024, 1),
)  # fmt: skip
V2_ROWS = (
    BlockRow(3, 16),
    BlockRow(3, 24, 6, stride=2, blocks=2),
    BlockRow(3, 32, 6, stride=2, blocks=3),
    BlockRow(3, 64, 6, stride=2, blocks=4),
    BlockRow(3, 96, 6, blocks=3),
    BlockRow(3, 160, 6, stride=2, blocks=3),
    BlockRow(3, 320, 6),
)
V3_LARGE_ROWS = (
    BlockRow(3, 16, activation=RELU),
    BlockRow(3, 24, 4, stride=2, activation=RELU),
    BlockRow(3, 24, 3, activation=RELU),
    BlockRow(5, 40, 3, stride=2, blocks=3, se=True, activation=RELU),
    BlockRow(3, 80, 6, stride=2),
    BlockRow(3, 80, 2.5),
    BlockRow(3, 80, 2.3, blocks=2),
    BlockRow(3, 112, 6, blocks=2, se=True),
    BlockRow(5, 160, 6, stride=2, blocks=3, se=True),
)
V3_SMALL_ROWS = (
    BlockRow(3, 16, stride=2, se=True, activation=RELU),
    BlockRow(3, 24, 4.5, stride=2, activation=RELU),
    BlockRow(3, 24, 3.67, activation=RELU),
    BlockRow(5, 40, 4, stride=2, se=True),
    BlockRow(5, 40, 6, blocks=2, se=True),
    BlockRow(5, 48, 3, blocks=2, se=True),
    BlockRow(5, 96, 6, stride=2, blocks=3, se=True),
)


def append_mobilenet_v1(b: NetworkBuilder, classes: int) -> int:
    """Appends MobileNetV1 of width 1, and returns the index of its output."""
    x = conv_bn_act(b, b.input, 32, 3, 2, RELU6)
    for channels, stride in V1_ROWS:
        x = separable(b, x, channels, 3, stride, RELU6, last=RELU6)
    return classifier(b, x, classes)


def append_mobilenet_v2(b: NetworkBuilder, classes: int, width: float) -> int:
    """Appends MobileNetV2, and returns the index of its output. Its last convolution is widened
    with ``width``, but not narrowed."""
    x = conv_bn_act(b, b.input, divisible(32 * width), 3, 2, RELU6)
    x = append_rows(b, x, _widened(V2_ROWS, width), BlockRules(RELU6))
    x = conv_bn_act(b, x, divisible(1280 * max(1.0, width)), 1, activation=RELU6)
    return classifier(b, x, classes)


def _widened(rows: Sequence[BlockRow], width: float) -> list[BlockRow]:
    return [replace(row, channels=divisible(row.channels * width)) for row in rows]


def _v3_squeeze(channels: int, expanded: int, activation: Activation) -> SqueezeExcite:
    return SqueezeExcite(divisible(expanded // 4))


def append_mobilenet_v3(
    b: NetworkBuilder, classes: int, rows: Sequence[BlockRow], width: float, features: int
) -> int:
    """Appends MobileNetV3.

    Args:
        b: The builder of the network.
        classes: The number of classes.
        rows: The table of its blocks, at width 1.
        width: The factor of the blocks' widths.
        features: The number of features that the last layer reads, at any width.

    Returns:
        The index of the output.
    """
    x = conv_bn_act(b, b.input, divisible(16 * width), 3, 2, HSWISH)
    x = append_rows(b, x, _widened(rows, width), BlockRules(HSWISH, _v3_squeeze))
    x = conv_bn_act(b, x, divisible(b.shape(x)[1] * rows[-1].expansion), 1, activation=HSWISH)
    x = b.add(Flatten(), b.add(GlobalAvgPool(), x))
    return b.add(Linear(classes), b.add(HSWISH, b.add(Linear(features), x)))


_SLIM_V1 = "tensorflow/models, research/slim/nets/mobilenet_v1.md"
_SLIM_V2 = "tensorflow/models, research/slim/nets/mobilenet/README.md"
_VISION = "pytorch/vision, torchvision/models/{}.py"
_D_LI14 = "d-li14/mobilenetv3.pytorch, mobilenetv3.py"


def _timm(top1: float, model: str) -> Accuracy:
    return Accuracy(
        top1,
        f"huggingface/pytorch-image-models, results/results-imagenet.csv, {model}.in1k: the "
        "authors' weights, padded as tensorflow does",
    )


MOBILENETS = (
    PublishedNetwork(
        "mobilenet_v1", 224, _SLIM_V1.replace(".md", ".py"), append_mobilenet_v1,
        accuracy=Accuracy(70.9, _SLIM_V1),
    ),
    *(
        PublishedNetwork(
            name, 224, _VISION.format("mobilenetv2"), partial(append_mobilenet_v2, width=width),
            accuracy=Accuracy(top1, _SLIM_V2),
        )
        for name, width, top1 in (
            ("mobilenet_v2", 1.0, 71.8),
            ("mobilenet_v2_140", 1.4, 75.0),
            ("mobilenet_v2_050", 0.5, 65.4),
        )
    ),
    *(
        PublishedNetwork(
            name, 224, source,
            partial(append_mobilenet_v3, rows=rows, width=width, features=features),
            accuracy=accuracy,
        )
        for name, source, rows, width, features, accuracy in (
            (
                "mobilenet_v3_large", _VISION.format("mobilenetv3"), V3_LARGE_ROWS, 1.0, 1280,
                _timm(75.510, "tf_mobilenetv3_large_100"),
            ),
            (
                "mobilenet_v3_large_075", _D_LI14, V3_LARGE_ROWS, 0.75, 1280,
                _timm(73.442, "tf_mobilenetv3_large_075"),
            ),
            (
                "mobilenet_v3_small", _VISION.format("mobilenetv3"), V3_SMALL_ROWS, 1.0, 1024,
                _timm(67.922, "tf_mobilenetv3_small_100"),
            ),
            (
                "mobilenet_v3_small_075", _D_LI14, V3_SMALL_ROWS, 0.75, 1024,
                _timm(65.706, "tf_mobilenetv3_small_075"),
            ),
        )
    ),
)  # fmt: skip
