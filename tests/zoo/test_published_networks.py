"""The published networks have the parameters and multiply-adds that were published, and compute
the same on a runtime as in torch."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
from loading import as_model
from own_spaces import Blocks

from latbench.errors import UsageError
from latbench.export.onnx import INPUT, OUTPUT, to_onnx
from latbench.export.parity import parity, reference_outputs
from latbench.models import Model
from latbench.networks.mobile_blocks import HSWISH
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, GlobalAvgPool, Linear
from latbench.networks.weights import make_input
from latbench.spaces import darts, make_space, parse_space
from latbench.zoo.chain_rows import BlockRow, BlockRules, SkipRow, append_rows
from latbench.zoo.published_entry import PublishedNetwork
from latbench.zoo.published_networks import (
    network_names,
    published_entry,
    published_model,
    published_network,
)

# Parameters with batch norms and biases, and millions of multiply-adds of convolutions and linear
# layers, at the resolution of the entry. 3,504,872, 5,483,032, 2,542,856, 5,288,548 and 4,383,312
# parameters are those that torchvision states for its own.
COUNTS = {
    "mobilenet_v1": (4_231_976, "568.74"),
    "mobilenet_v2": (3_504_872, "300.774"),
    "mobilenet_v2_140": (6_108_776, "582.20"),
    "mobilenet_v2_050": (1_968_680, "97.13"),
    "mobilenet_v3_large": (5_483_032, "216.59"),
    "mobilenet_v3_large_075": (3_993_528, "154.56"),
    "mobilenet_v3_small": (2_542_856, "56.51"),
    "mobilenet_v3_small_075": (2_041_872, "43.40"),
    "mnasnet_a1": (3_887_038, "311.6"),
    "mnasnet_b1": (4_383_312, "314.4"),
    "single_path_nas": (4_421_616, "333.5"),
    "efficientnet_b0": (5_288_548, "385.8"),
    "proxyless_cpu": (4_361_648, "439.24"),
    "proxyless_gpu": (7_119_848, "465.26"),
    "proxyless_mobile": (4_080_512, "320.43"),
    "proxyless_mobile_14": (6_857_568, "581"),  # its authors print 581 M
    "spos": (3_558_464, "322.92"),
    "spos_k3": (3_154_880, "295.84"),
    "spos_k5": (3_211_968, "313.65"),  # papers-depth.md prints 313.66; 313,654,976
    "spos_k7": (3_297_600, "340.37"),
    "spos_xception": (3_870_816, "358.83"),
    "ofa_max": (7_664_760, "566.17"),
    "ofa_min": (3_410_792, "121.28"),
    "ofa_max_12": (10_701_632, "843.10"),
    "resnet18": (11_689_512, "1814.07"),
    "resnet34": (21_797_672, "3663.76"),
    "resnet50": (25_557_032, "4089.18"),
    "resnet20_cifar": (1_084_586, "162.37"),  # ours
    "fbnet_a": (4_304_584, "244.453"),
    "fbnet_b": (4_801_368, "291.004"),
    "fbnet_c": (5_570_664, "378.136"),
    "fbnetv2_f0": (2_822_360, "66.28"),
    "fbnetv2_f1": (6_024_736, "56.232"),
    "fbnetv2_f2": (6_024_736, "85.163"),
    "fbnetv2_f3": (6_924_832, "121.424"),
    "fbnetv2_f4": (7_022_864, "237.606"),
    "fbnetv2_l1": (8_538_776, "325.025"),
    "fbnetv2_l2": (8_538_776, "422.610"),
}
# mobile-vision's model_info: "params_m" are the weights of convolutions and linear layers, and
# "flops_m" their multiply-adds, with one more for each element that an average pooling reads.
MODEL_INFO = {
    "fbnet_a": ("4.27029", "244.52636"),
    "fbnet_b": ("4.76667", "291.10164"),
    "fbnet_c": ("5.52542", "378.23344"),
    "fbnetv2_f1": ("5.999408", "56.410560"),
    "fbnetv2_f2": ("5.999408", "85.441392"),
    "fbnetv2_f3": ("6.899504", "121.824000"),
    "fbnetv2_f4": ("6.994824", "238.351984"),
    "fbnetv2_l1": ("8.496520", "326.023008"),
    "fbnetv2_l2": ("8.496520", "423.912768"),
}
# README of d-li14/mobilenetv3.pytorch, which counts a bias as one multiply-add.
D_LI14 = {
    "mobilenet_v3_large": ("5.483", "216.60"),
    "mobilenet_v3_large_075": ("3.994", "154.57"),
    "mobilenet_v3_small": ("2.543", "56.52"),
    "mobilenet_v3_small_075": ("2.042", "43.40"),
}


def assert_prints(count: int, millions: str) -> None:
    """Rounded to as many digits as were printed."""
    digits = len(millions.partition(".")[2])
    assert f"{count / 1e6:.{digits}f}" == millions


def tensor_sizes(network: Network, name: str) -> int:
    """The values in the tensors of this name, those of batch norms aside."""
    return sum(
        math.prod(layer.op.parameters(*network.input_shapes(layer)).get(name, (0,)))
        for layer in network.layers
        if isinstance(layer.op, Conv | Linear)
    )


def test_every_network_is_counted() -> None:
    # Those that were cut from the supernet of Once-for-all are in the tests of its space.
    specialised = set(make_space("ofa").published) - {"ofa_max", "ofa_min"}
    assert set(network_names()) - specialised == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_those_published(name: str) -> None:
    network = published_network(name)
    parameters, macs = COUNTS[name]
    assert network.parameters == parameters
    assert_prints(network.macs, macs)
    assert network.output_shape == (1, published_entry(name).classes)


@pytest.mark.parametrize("name", MODEL_INFO)
def test_fbnets_are_what_their_repository_counts(name: str) -> None:
    network = published_network(name)
    weights, flops = MODEL_INFO[name]
    assert_prints(tensor_sizes(network, "weight"), weights)
    pooled = sum(
        math.prod(network.input_shapes(layer)[0])
        for layer in network.layers
        if isinstance(layer.op, GlobalAvgPool)
    )
    assert_prints(network.macs + pooled, flops)


@pytest.mark.parametrize("name", D_LI14)
def test_mobilenet_v3_is_what_its_repository_counts(name: str) -> None:
    network = published_network(name)
    parameters, macs = D_LI14[name]
    assert_prints(network.parameters, parameters)
    assert_prints(network.macs + tensor_sizes(network, "bias"), macs)


@pytest.mark.parametrize("name", network_names())
def test_an_entry_says_where_it_is_from(name: str) -> None:
    entry = published_entry(name)
    assert entry.name == name == name.lower()
    assert "/" in entry.source
    if entry.accuracy is not None:
        assert 60 < entry.accuracy.top1 < 85
        assert "/" in entry.accuracy.source


def test_activations_are_the_published_ones() -> None:
    """Counts do not tell them apart."""

    def kinds(name: str) -> list[str]:
        ops = [layer.op for layer in published_network(name).layers]
        return [op.kind for op in ops if isinstance(op, Activation)]

    assert set(kinds("mobilenet_v1")) == set(kinds("mobilenet_v2")) == {"relu6"}
    assert set(kinds("proxyless_mobile_14")) == {"relu6"}
    assert set(kinds("mnasnet_b1")) == set(kinds("fbnet_c")) == {"relu"}
    assert set(kinds("efficientnet_b0")) == {"silu", "sigmoid"}
    # Three blocks come before the first squeeze-and-excite, and the first of them expands nothing.
    large = kinds("mobilenet_v3_large")
    assert large[0] == "hswish"
    assert large[1:6] == ["relu"] * 5
    assert large.count("hsigmoid") == 8
    assert large.count("hswish") == 1 + 2 * 9 + 1 + 1
    # The block of FBNetV2 behind its first three: ReLU everywhere, in its squeeze-and-excite too.
    assert kinds("fbnetv2_f1")[6:10] == ["relu", "relu", "relu", "hsigmoid"]


def test_squeeze_and_excite_stands_behind_the_activation() -> None:
    network = published_network("mobilenet_v3_large")
    products = [la for la in network.layers if la.op == Elementwise("mul")]
    assert {type(network.layers[la.inputs[0]].op) for la in products} == {Activation}


def test_a_block_that_is_left_out() -> None:
    """It is nothing where the channels stay, else a pointwise convolution with an activation."""
    b = NetworkBuilder((1, 8, 4, 4))
    rules = BlockRules(HSWISH)
    assert append_rows(b, b.input, [SkipRow(8)], rules) == b.input
    network = b.build(append_rows(b, b.input, [SkipRow(16)], rules))
    assert [layer.op for layer in network.layers[1:]] == [Conv(16, 1), BatchNorm(), HSWISH]


def test_only_the_first_block_of_a_row_has_the_stride() -> None:
    b = NetworkBuilder((1, 8, 8, 8))
    network = b.build(append_rows(b, b.input, [BlockRow(3, 8, 2, 2, blocks=3)], BlockRules()))
    assert network.output_shape == (1, 8, 4, 4)
    assert sum(layer.op == Elementwise("add") for layer in network.layers) == 2


def test_sizes_are_the_callers() -> None:
    network = published_network("fbnetv2_f1", resolution=96, classes=7, batch=3)
    assert network.input_shape == (3, 3, 96, 96)
    assert network.output_shape == (3, 7)
    assert published_network("fbnetv2_f1").input_shape == (1, 3, 128, 128)


def test_a_model_is_called_by_the_networks_name() -> None:
    """And by its resolution, where that is another one than the published."""
    model = published_model("mobilenet_v2", 32, 10)
    assert model == Model("mobilenet_v2@32", published_network("mobilenet_v2", 32, 10))
    assert published_model("mobilenet_v2").name == "mobilenet_v2"
    assert published_model("mobilenet_v2", 224).name == "mobilenet_v2"


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'mobilenet_v3_larg'; did you mean 'mobilenet_v3_large'"):
        published_network("mobilenet_v3_larg")
    with pytest.raises(UsageError, match=r"unknown published network 'fbnetv3'"):
        published_model("fbnetv3")


def test_a_resolution_that_is_too_small_is_refused() -> None:
    """Halved five times, 17 pixels become 9, 5, 3, 2 and 1, and 16 are one pixel too early."""
    assert published_network("mobilenet_v2").reduction == 32
    assert published_network("mobilenet_v2", 17).output_shape == (1, 1000)
    with pytest.raises(UsageError, match=r"mobilenet_v2 reduces .* at least 17 pixels, got 16"):
        published_network("mobilenet_v2", 16)


@pytest.mark.parametrize("sizes", [(0,), (-8,), (32, 0), (32, 10, 0)])
def test_what_is_no_size_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"(resolution|classes|batch) must be 1 to 1,000,000, got"):
        published_network("mobilenet_v1", *sizes)


def test_a_network_of_a_space() -> None:
    entry = PublishedNetwork(
        "darts_v2", 32, "quark0/darts, cnn/genotypes.py",
        space="darts(cells=20, channels=36)", architecture="DARTS_V2", classes=10,
    )  # fmt: skip
    space = darts(cells=20, channels=36)
    assert entry.network() == space.build(space.parse("DARTS_V2"))
    space = darts(cells=20, channels=36, resolution=40, classes=100, batch=2)
    assert entry.network(40, 100, 2) == space.build(space.parse("DARTS_V2"))


def test_a_network_of_a_space_that_chooses_the_resolution() -> None:
    """The caller's resolution takes the place of the published one, where the space has it."""
    space = parse_space("own_spaces:Blocks(stages=4, resolutions=(24 32 40))")
    assert isinstance(space, Blocks)
    architecture = space.reference()
    assert architecture["resolution"] == "32"
    entry = PublishedNetwork("ours", 32, "-", space=str(space), architecture=str(architecture))
    assert entry.network(classes=10) == space.build(architecture)
    larger = entry.network(40)
    assert larger.input_shape == (1, 3, 40, 40)
    assert larger.parameters == entry.network().parameters
    with pytest.raises(UsageError, match=r"whose resolutions are 24, 32, 40; got 48"):
        entry.network(48)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "fbnet_a", "fbnetv2_f1"])
def test_a_runtime_computes_what_torch_does(name: str) -> None:
    network = published_network(name, resolution=32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        to_onnx(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (got,) = session.run([OUTPUT], {INPUT: make_input(network)})
    assert np.ptp(reference_outputs(network)) > 0
    error, allowed = parity(as_model(network), np.asarray(got), 1e-4)
    assert error <= allowed


def test_the_onnx_model_of_a_whole_network() -> None:
    network = published_network("mobilenet_v3_large")
    model = to_onnx(network)
    assert len(model.graph.node) == len(network.layers) - 1
    stored = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    assert stored == sum(math.prod(shape) for _, shape, _ in network.tensors())
