"""The layer kinds of networks from outside: sizes, work and weights, and who looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from general_networks import (
    CASES,
    IMAGE,
    ROWS,
    Case,
    differs,
    encoder,
    integers,
    network_of,
    truths,
)

from latbench.encodings import encode_networks
from latbench.encodings.cost import cost_of
from latbench.encodings.graph import GRAPH_FEATURES, NODE_FEATURES, graph_of
from latbench.encodings.kind_numbers import OP_KINDS, SAME_KERNELS, kind_name, kind_number
from latbench.encodings.layers import LAYER_FEATURES, SIZE_SLOTS, layer_group
from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.models.network_json import network_from, network_values
from latbench.networks.channels import STAYS, channels_of, narrowed
from latbench.networks.general.arithmetic import Binary, Unary, Where
from latbench.networks.general.arrays import (
    Constant,
    Cut,
    Embedding,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
    Unread,
)
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import (
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Input,
    Linear,
    Op,
    Shape,
)
from latbench.networks.optimisation import savings
from latbench.networks.weights import make_inputs, make_weights

HALF_PRECISION_MAX = 65504
# An op, what it reads, its result's shape, its multiply-accumulates, its values, and the elements
# that it reads and writes.
WORK: list[tuple[Op, tuple[Input, ...], Shape, int, int, int]] = [
    (RectConv(6, (3, 2), (2, 1), (1, 0, 2, 3), (1, 2), 2, True), (IMAGE,), (2, 6, 4, 10),
     480 * 2 * 6, 6 * 2 * 6 + 6, 504 + 480 + 78),
    (TransposedConv(6, (3, 2), (2, 3), (1, 0, 0, 1), (1, 2), (1, 1), 2), (IMAGE,), (2, 6, 15, 27),
     504 * 3 * 6, 4 * 3 * 6, 504 + 4860 + 72),
    (RectPool("max", (3, 2), (2, 2), ceil=True), (IMAGE,), (2, 4, 3, 5), 0, 0, 504 + 120),
    (Resize(14, 3), (IMAGE,), (2, 4, 14, 3), 0, 0, 504 + 336),
    (PadAround((0, 0, 1, -1), (0, 1, 2, 3)), (IMAGE,), (2, 5, 10, 11), 0, 0, 504 + 1100),
    (MatMul(), (Input((2, 1, 3, 8)), Input((4, 8, 5))), (2, 4, 3, 5), 120 * 8, 0, 48 + 160 + 120),
    (Dense(5), (ROWS,), (2, 3, 5), 30 * 8, 45, 48 + 30 + 45),
    (Dense(5, bias=False), (ROWS,), (2, 3, 5), 30 * 8, 40, 48 + 30 + 40),
    (LayerNorm(2), (ROWS,), (2, 3, 8), 0, 48, 48 + 48 + 48),
    (LayerNorm(bias=False), (ROWS,), (2, 3, 8), 0, 8, 48 + 48 + 8),
    (GroupNorm(2), (IMAGE,), (2, 4, 7, 9), 0, 8, 504 + 504 + 8),
    (Softmax(1), (ROWS,), (2, 3, 8), 0, 0, 96),
    (Embedding(1000, 6), (integers(2, 5),), (2, 5, 6), 0, 6000, 10 + 60 + 60),
    (Gather(1), (ROWS, integers(2, 2, below=3)), (2, 2, 2, 8), 0, 0, 4 + 64 + 64),
    (Binary("add"), (ROWS, Input((4, 1, 1, 1))), (4, 2, 3, 8), 0, 0, 48 + 4 + 192),
    (Binary("less"), (ROWS, ROWS), (2, 3, 8), 0, 0, 144),
    (Where(), (truths(3, 8), ROWS, Input((2, 3, 1))), (2, 3, 8), 0, 0, 24 + 48 + 6 + 48),
    (Join(1), (ROWS, Input((2, 4, 8))), (2, 7, 8), 0, 0, 48 + 64 + 112),
    (Cut(2, 1, 7, 2), (ROWS,), (2, 3, 3), 0, 0, 48 + 18),
    (Reduce("mean", (0, 2), keep=False), (ROWS,), (3,), 0, 0, 48 + 3),
    (Expand((3, 2, 3, 8)), (ROWS,), (3, 2, 3, 8), 0, 0, 48 + 144),
    (Transpose((2, 0, 1)), (ROWS,), (8, 2, 3), 0, 0, 96),
    (Reshape((48,)), (ROWS,), (48,), 0, 0, 96),
    (Unary("gelu"), (ROWS,), (2, 3, 8), 0, 0, 96),
    (Unread("Odd", "here", (7,)), (ROWS,), (7,), 0, 0, 48 + 7),
]  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "shape", "macs", "values", "elements"), WORK, ids=str)
def test_shapes_and_work(
    op: Op, inputs: Any, shape: Shape, macs: int, values: int, elements: int
) -> None:
    network = network_of(op, *inputs)
    last = len(network.layers) - 1
    assert network.output_shape == shape
    assert (network.macs, network.parameters) == (macs, values)
    assert network.layer_bytes(last) == network.bytes_moved == 4 * elements


def test_a_constant_is_no_work_but_what_reads_it() -> None:
    b = NetworkBuilder.of_inputs(ROWS)
    network = b.build(b.add(Binary("mul"), 0, b.add(Constant((8,)))))
    assert network.parameters == 8
    assert network.layer_bytes(1) == 0
    assert network.bytes_moved == 4 * (48 + 8 + 48)


def test_reductions_count_the_steps_in_height() -> None:
    b = NetworkBuilder((1, 3, 16, 16))
    x = b.add(RectConv(4, (3, 3), (2, 1), (1, 1, 1, 1)), b.input)
    x = b.add(RectPool("max", (2, 2), (2, 2)), x)
    assert b.build(b.add(TransposedConv(2, (2, 2), (2, 2)), x)).reduction == 4


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
def test_a_network_of_any_kind_is_encoded_and_saved(case: Case) -> None:
    network = network_of(case[0], *case[1])
    assert network_from(network_values(network), "the model x") == network
    assert graph_of(network).shape[1] == len(GRAPH_FEATURES)
    layers = encode_networks([network], "layers").reshape(SIZE_SLOTS, len(LAYER_FEATURES))
    assert layers[:, 0].sum() == 1
    assert layers[:, 1] @ layers[:, 0] == network.macs
    assert np.isfinite(cost_of(network)).all()
    assert 0 < kind_number(case[0]) < 48
    channels_of(network)


def test_every_general_kind_has_a_number_that_stays() -> None:
    ops = [*(op for op, _ in CASES), Constant(()), Unread("Odd", "here", (1,))]
    numbers = {kind_name(op): kind_number(op) for op in ops}
    assert numbers["RectConv"] == kind_number(Conv(1, 1)) == 2
    assert numbers["Dense"] == kind_number(Linear(1))
    assert numbers["Binary add"] == kind_number(Elementwise("add"))
    assert numbers["Unary gelu"] == numbers["Unary gelu_tanh"] != numbers["Unary tanh"]
    assert [numbers[k] for k in ("MatMul", "LayerNorm", "Constant", "Unread")] == [25, 27, 41, 42]
    assert SAME_KERNELS.keys() <= numbers.keys() | {type(op).__name__ for op in ops}
    assert set(SAME_KERNELS.values()) <= set(OP_KINDS)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_is_in_one_group_however_it_is_stated(groups: int) -> None:
    for kernel, padding, stride in ((1, 0, 1), (3, 1, 2), (5, 2, 1), (7, 3, 2)):
        square = Conv(4, kernel, stride, padding, groups=groups)
        rect = RectConv(4, (kernel, kernel), (stride, 1), (padding,) * 4, groups=groups)
        assert layer_group((square, (IMAGE.shape,))) == layer_group((rect, (IMAGE.shape,)))


def test_an_encoder_is_encoded_as_a_graph() -> None:
    network = encoder()
    nodes = graph_of(network)
    assert nodes[:, 0].sum() == len(network.layers)
    places = {name: i for i, name in enumerate(NODE_FEATURES)}
    (embedding,) = nodes[nodes[:, places["kind"]] == kind_number(Embedding(1, 1))]
    assert np.expm1(embedding[places["log_channels"]]) == pytest.approx(8)
    assert np.expm1(embedding[places["log_pixels"]]) == pytest.approx(6)
    assert encode_networks([network, encoder(2, 3)], "layers").any(axis=1).all()
    assert network_from(network_values(network), "the model x") == network


def test_what_an_output_gives_is_not_fused_away() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(Conv(4, 3), b.input)
    y = b.add(Activation("relu"), x)
    assert savings(b.build(y)).fusible == {2}
    assert savings(b.build(y, x)).fusible == set()
    x = b.add(RectConv(4, (3, 1)), b.input)
    assert savings(b.build(b.add(Unary("gelu"), x))).fusible == {2}


def activations(network: Network) -> dict[int, torch.Tensor]:
    module, found = to_torch(network), dict[int, torch.Tensor]()
    for name, layer in module.layers.items():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: found.update({int(name): out.detach().float()})
        )
    with torch.no_grad():
        module(*map(torch.from_numpy, make_inputs(network)))
    return found


def moments(network: Network) -> dict[int, float]:
    return {i: float(x.square().mean()) for i, x in activations(network).items()}


def test_invented_weights_keep_a_deep_encoder_moderate() -> None:
    network = encoder(2, 16, 32, 4)
    found = moments(network)
    for i, moment in found.items():
        assert 1e-3 < moment < 30, network.layers[i].op
    normed = [i for i, layer in enumerate(network.layers) if isinstance(layer.op, LayerNorm)]
    assert all(found[i] == pytest.approx(1, rel=0.1) for i in normed)


def test_attention_looks_at_more_than_one_place() -> None:
    """Without the scale that its constant has, it would look at one."""
    network = encoder(1, 16, 64, 1)
    (i,) = (i for i, layer in enumerate(network.layers) if isinstance(layer.op, Softmax))
    assert float(activations(network)[i].max(-1).values.mean()) < 0.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
def test_matrices_are_scaled_by_what_they_sum(case: Case) -> None:
    network = network_of(case[0], *case[1])
    if any(len(shape) > 1 for _, shape, _ in network.tensors()):
        (moment,) = moments(network).values()
        assert moment == pytest.approx(1, rel=0.5)
    for array in make_weights(network).values():
        assert np.isfinite(array).all()


@pytest.mark.parametrize(
    ("reader", "shape"),
    [(Binary("mul"), ()), (Binary("div"), ()), (Binary("mul"), (3, 1)), (MatMul(), (8, 64)),
     (Binary("pow"), ()), (Binary("prelu"), (8,)), (Binary("add"), (3, 8)), (Join(0), (4, 3, 8))],
)  # fmt: skip
def test_a_constant_is_what_its_reader_needs(reader: Op, shape: Shape) -> None:
    b = NetworkBuilder.of_inputs(ROWS)
    x = b.add(Binary("add"), 0, 0)
    network = b.build(b.add(reader, x, b.add(Constant(shape))))
    found = moments(network)
    assert np.isfinite(found[3])
    scaled = isinstance(reader, MatMul) or getattr(reader, "kind", "") in ("mul", "div")
    assert found[3] < (1.5 if scaled else 200)
    assert found[3] > 0.5


def test_integers_that_choose_are_the_first() -> None:
    b = NetworkBuilder.of_inputs(ROWS)
    network = b.build(b.add(Gather(0), 0, b.add(Constant((2,), "int64"))))
    assert not make_weights(network)["1.value"].any()


def test_weights_come_in_the_order_of_the_tensors() -> None:
    network = encoder()
    assert list(make_weights(network)) == [name for name, _, _ in network.tensors()]


def mixed_network() -> Network:
    """What a file of a small convolutional network is read as: swish written out, a sum whose
    number is for all channels, slopes and shifts by channel, and convolutions one wide."""
    b = NetworkBuilder.of_inputs(Input((2, 3, 8, 8), "image"))
    x = b.add(BatchNorm(), b.add(RectConv(8, (3, 1), padding=(1, 0, 1, 0)), 0))
    shifted = b.add(Binary("add"), x, b.add(Constant(())))
    gate = b.add(Unary("clip", 0.0, 1.0), shifted)
    x = b.add(Binary("mul"), x, gate)
    x = b.add(RectConv(8, (1, 3), padding=(0, 1, 0, 1), groups=8), x)
    x = b.add(Resize(6, 6, "linear"), b.add(RectPool("avg", (3, 3), (2, 2), ceil=True), x))
    y = b.add(Conv(6, 3, padding=1), x)
    fixed = b.add(Binary("prelu"), y, b.add(Constant((6, 1, 1))))
    z = b.add(Conv(5, 1), fixed)
    flat = b.add(Flatten(), b.add(GlobalAvgPool(), z))
    return b.build(b.add(Linear(4), flat), b.add(Reduce("mean", (2, 3)), y))


def test_channels_are_removed_around_general_kinds() -> None:
    """What the channels of the first convolution go through has their number; slopes by channel,
    and what is an output, stay."""
    network = mixed_network()
    channels, weights = channels_of(network), make_weights(network)
    assert {group.name: group.size for group in channels.groups} == {"1": 8, "13": 5}
    kept = {"1": np.array([1, 0, 1, 1, 0, 1, 1, 0], bool), "13": np.array([1, 1, 0, 1, 0], bool)}
    for i, layer in enumerate(network.layers):
        if isinstance(layer.op, Conv | RectConv | Linear) and not channels.depthwise[i] and i > 1:
            weights[f"{i}.weight"][:, ~channels.mask(layer.inputs[0], kept)] = 0
    left, cut = narrowed(channels, weights, kept)
    assert [layer.op for layer in left.layers[:2]] == [
        Input((2, 3, 8, 8), "image"), RectConv(5, (3, 1), padding=(1, 0, 1, 0)),
    ]  # fmt: skip
    assert left.results == network.results
    x = torch.from_numpy(make_inputs(network)[0])
    with torch.no_grad():
        expected = [y.numpy() for y in to_torch(network, weights)(x)]
        assert not differs([y.numpy() for y in to_torch(left, cut)(x)], expected)


def test_nothing_is_removed_of_an_encoder() -> None:
    channels = channels_of(encoder())
    assert not channels.groups
    assert all((own == STAYS).all() for own in channels.group)


@pytest.mark.parametrize(
    ("op", "inputs", "says"),
    [
        (MatMul(), (ROWS, ROWS), "have no matrix product"),
        (Binary("add"), (ROWS, Input((5,))), "do not broadcast"),
        (Reshape((5, 5)), (ROWS,), r"has no shape \(5, 5\)"),
        (Transpose((0, 0, 1)), (ROWS,), "is no order of the axes"),
        (Cut(3, 0, 1), (ROWS,), "has no axis 3"),
        (Cut(2, 0, 9), (ROWS,), "does not lie in an input"),
        (Join(1), (ROWS, Input((3, 3, 8))), "cannot join"),
        (Expand((2, 3, 9)), (ROWS,), "do not broadcast"),
        (LayerNorm(4), (ROWS,), "has not so many axes"),
        (GroupNorm(3), (IMAGE,), "takes no input"),
        (RectConv(4, (8, 1)), (IMAGE,), "does not fit an input of size 7"),
        (RectPool("max", (2, 2), padding=(2, 0, 0, 0)), (IMAGE,), "must be less than its window"),
        (TransposedConv(4, (1, 1), padding=(4, 0, 4, 0)), (IMAGE,), "leaves nothing"),
        (PadAround((0, -1), (0, -1)), (Input((2, 2)),), "leaves nothing"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(op: Op, inputs: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        network_of(op, *inputs)
