"""The engine against torch: every instruction set of this CPU, group, stride, dilation, odd width
and pattern of zeros."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latbench.errors import BackendError, UsageError
from latbench.export.rules import torch_rule
from latbench.export.torch import to_torch
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Slice,
    Zero,
)
from latbench.networks.weights import Weights, make_input, make_weights
from latbench.sparse.libraries import can_be_had, library, usable_sets
from latbench.sparse.program import program_of
from latbench.sparse.running import GROUPS, SparseNetwork

pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")
EVERYWHERE = [(s, g) for s in usable_sets() for g in GROUPS]


def error(network: Network, weights: Weights, **options: object) -> float:
    """The largest difference from torch, as a share of the largest output."""
    images = make_input(network)
    with torch.inference_mode():
        expected = to_torch(network, weights)(torch.from_numpy(images)).numpy()
    with SparseNetwork(network, weights, **options) as loaded:  # type: ignore[arg-type]
        worst = np.abs(loaded(images) - expected).max()
        loaded.tune()
        worst = max(worst, np.abs(loaded(images) - expected).max())
    return float(worst / max(np.abs(expected).max(), 1e-3))


def thinned(weights: Weights, density: float, seed: int) -> Weights:
    """Weights of which a share is left: single ones, groups of 4, 8 and 16, and whole filters."""
    rng = np.random.default_rng(seed)
    thin: Weights = {}
    for name, array in weights.items():
        keep = np.ones(array.shape, bool)
        if array.ndim == 4:
            together = int(rng.choice([1, 4, 8, 16, 64]))
            blocks = -(-len(array) // together)
            kept = rng.random((blocks, *array.shape[1:])) < density
            keep = np.repeat(kept, together, axis=0)[: len(array)]
        thin[name] = array * keep
    return thin


@pytest.mark.parametrize(("instructions", "group"), EVERYWHERE)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_convolutions_equal_torchs(instructions: str, group: int, data: st.DataObject) -> None:
    draw = data.draw
    groups = draw(st.sampled_from([1, 1, 1, 2, 5]))
    channels = groups * draw(st.integers(1, 21))
    out = groups * draw(st.integers(1, 37))
    kernel, stride = draw(st.sampled_from([1, 2, 3, 5, 7])), draw(st.integers(1, 3))
    dilation, padding = draw(st.integers(1, 2)), draw(st.integers(0, 3))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    rows, columns = (draw(st.integers(least, least + 18)) for _ in range(2))
    b = NetworkBuilder((draw(st.integers(1, 2)), channels, rows, columns))
    depthwise = draw(st.booleans())
    x = b.add(Conv(channels, 3, padding=1, groups=channels), b.input) if depthwise else b.input
    op = Conv(out, kernel, stride, padding, dilation, groups, bias=draw(st.booleans()))
    x = b.add(op, x)
    if draw(st.booleans()):
        x = b.add(BatchNorm(), x)
    if draw(st.booleans()):  # a residual
        x = b.add(Elementwise("add"), x, b.add(Conv(out, 1), x))
    kind = draw(st.sampled_from(["relu", "relu6", "hswish", "sigmoid", "silu", "hsigmoid"]))
    network = b.build(b.add(Activation(kind), x))  # type: ignore[arg-type]
    weights = thinned(make_weights(network), draw(st.sampled_from([1.0, 0.4, 0.0])), rows)
    threads = draw(st.integers(1, 2))
    assert error(network, weights, group=group, instructions=instructions, threads=threads) <= 1e-5


@pytest.mark.parametrize(("instructions", "group"), EVERYWHERE)
@pytest.mark.parametrize("kernel", [3, 4, 5, 7])
def test_depthwise_convolutions_equal_torchs(instructions: str, group: int, kernel: int) -> None:
    for channels, stride, dilation, size in [(19, 1, 1, 13), (32, 2, 1, 14), (5, 1, 2, 17)]:
        b = NetworkBuilder((1, 3, size, size + 3))
        x = b.add(Conv(channels, 1), b.input)
        x = b.add(Conv(channels, kernel, stride, kernel // 2, dilation, channels), x)
        network = b.build(b.add(Activation("hswish"), b.add(BatchNorm(), x)))
        assert error(network, make_weights(network), group=group, instructions=instructions) <= 1e-5


def test_every_other_step_equals_torchs() -> None:
    b = NetworkBuilder((2, 4, 13, 11))
    x = b.add(Conv(20, 3, padding=1), b.input)
    left, right = b.add(Slice(1, 0, 9), x), b.add(Slice(1, 9, None), x)
    x = b.add(Concat(), right, b.add(Zero(), left), left)
    x = b.add(Activation("relu6"), b.add(BatchNorm(), b.add(Pool("max", 3, 2, 1), x)))
    x = b.add(ChannelShuffle(29), b.add(Elementwise("add"), x, x, x))
    x = b.add(Activation("hsigmoid"), b.add(Pad(2, 1), b.add(Pool("avg", 3, 1, 1), x)))
    x = b.add(Slice(3, 1, None), b.add(Slice(2, 1, 7), x))
    gate = b.add(Activation("sigmoid"), b.add(Conv(29, 1, bias=True), b.add(GlobalAvgPool(), x)))
    x = b.add(Elementwise("mul"), x, gate)
    x = b.add(Elementwise("mul"), x, b.add(Activation("relu"), b.add(Zero(), x)), x)
    x = b.add(Elementwise("add"), x, b.add(Conv(29, 3, padding=1), x))
    network = b.build(b.add(Linear(7), b.add(Flatten(), x)))
    kinds = {step.kind for step in program_of(network, make_weights(network)).steps}
    assert kinds >= {"gather", "zero", "crop", "scale", "mean", "multiply", "flatten", "add"}
    for group in GROUPS:
        for threads in (1, 3):
            assert error(network, make_weights(network), group=group, threads=threads) <= 1e-5


@pytest.mark.parametrize("group", GROUPS)
def test_maps_of_one_pixel_and_of_padded_ones(group: int) -> None:
    b = NetworkBuilder((2, 5, 2, 2))
    x = b.add(GlobalAvgPool(), b.add(Conv(21, 2, padding=1), b.input))
    for padded in (0, 1):  # their layout may depend on it
        x = b.add(Activation("silu"), b.add(Conv(21, 1 + 2 * padded, padding=padded), x))
        x = b.add(Elementwise("add"), x, b.add(Conv(21, 1 + 2 * padded, padding=padded), x))
        y = b.add(Conv(21, 1 + 2 * padded, padding=padded, groups=21), x)
        x = b.add(Elementwise("mul"), b.add(Activation("sigmoid"), b.add(BatchNorm(), y)), x)
        x = b.add(GlobalAvgPool(), b.add(Elementwise("mul"), b.add(Pool("avg", 1, 1, 0), x), x))
        network = b.build(b.add(Linear(7), b.add(Flatten(), b.add(Slice(1, 3, 20), x))))
        assert error(network, make_weights(network), group=group, threads=2) <= 1e-5


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_pools_equal_torchs(group: int, kernel: int) -> None:
    for kind in ("max", "avg"):
        for stride, padding, rows, columns in [(1, kernel // 2, 5, 33), (2, 0, 9, 8), (3, 1, 7, 7)]:
            b = NetworkBuilder((1, 7, rows, columns))
            x = b.add(Pool(kind, kernel, stride, padding), b.add(Conv(18, 1), b.input))
            network = b.build(b.add(Activation("relu6"), x))
            assert error(network, make_weights(network), group=group, threads=3) <= 1e-5


@pytest.mark.parametrize("group", [16, 1])
@pytest.mark.parametrize("empty", [False, True])
def test_the_output_may_be_any_layer(empty: bool, group: int) -> None:
    b = NetworkBuilder((2, 3, 5, 5))
    x = b.input if empty else b.add(Elementwise("add"), b.add(Activation("relu"), b.input))
    network = b.build(x)
    assert error(network, make_weights(network), group=group) <= 1e-7


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("channels", [3, 5])
def test_the_image_may_be_a_residual(group: int, channels: int) -> None:
    b = NetworkBuilder((1, channels, 8, 8))
    x = b.add(Elementwise("add"), b.add(Conv(channels, 3, padding=1), b.input), b.input)
    network = b.build(b.add(Activation("relu"), x))
    assert error(network, make_weights(network), group=group) <= 1e-5


@pytest.mark.parametrize("group", GROUPS)
def test_a_vector_is_taken_too(group: int) -> None:
    b = NetworkBuilder((3, 50))
    x = b.add(Linear(40), b.input)
    network = b.build(b.add(Elementwise("add"), x, b.add(Linear(40), x)))
    assert error(network, make_weights(network), group=group) <= 1e-5


def test_groups_are_skipped_where_all_of_them_is_zero() -> None:
    b = NetworkBuilder((1, 8, 6, 6))
    network = b.build(b.add(Conv(24, 3, padding=1), b.input))
    weights = make_weights(network)
    weights["1.weight"][:16, 2] = 0  # nine groups of sixteen
    weights["1.weight"][16:20, 3, 1] = 0  # half of three groups of the last eight filters
    single = 24 * 72 - 16 * 9 - 4 * 3
    for group, kept in [
        (16, 2 * 72 - 9), (8, 3 * 72 - 2 * 9), (4, 6 * 72 - 4 * 9 - 3), (1, single)
    ]:  # fmt: skip
        with SparseNetwork(network, weights, group=group) as loaded:
            assert loaded.groups().tolist() == [[kept, -(-24 // group) * 72]]


def test_tiles_are_kept_and_those_of_others_refused() -> None:
    b = NetworkBuilder((1, 3, 24, 24))
    network = b.build(b.add(GlobalAvgPool(), b.add(Conv(32, 3, padding=1), b.input)))
    weights = make_weights(network)
    images = make_input(network)
    with SparseNetwork(network, weights) as first, SparseNetwork(network, weights) as second:
        expected = first(images)
        for rows, columns, order in [(1, 1, 0), (2, 2, 1), (1, 2, 0)]:
            chosen = np.array([[rows, columns, order], [0, 0, 0]])
            second.tiles = chosen
            assert second.tiles.tolist() == chosen.tolist()
            assert np.allclose(second(images), expected, rtol=1e-5, atol=1e-6)
        for wrong in (
            [[3, 1, 0], [0, 0, 0]],
            [[4, 28, 0], [0, 0, 0]],
            [[1, 1, 0]],
            [[1, 1, 0]] * 2,
        ):
            with pytest.raises(BackendError, match="tune it again"):
                second.tiles = np.array(wrong)
        with pytest.raises(BackendError, match="tune it again"):
            second.tiles = np.array([[1, 1], [0, 0]])
        assert second.tiles.tolist() == [[1, 2, 0], [0, 0, 0]]


def test_tiles_of_single_weights_are_runs_of_vectors() -> None:
    b = NetworkBuilder((1, 3, 24, 24))
    x = b.add(Conv(6, 3, padding=1, groups=6), b.add(Conv(6, 3, stride=2), b.input))
    network = b.build(b.add(GlobalAvgPool(), x))
    images = make_input(network)
    with SparseNetwork(network, make_weights(network), group=1) as loaded:
        expected = loaded(images)
        for columns, order in [(1, 0), (2, 1), (8, 0)]:
            loaded.tiles = np.array([[1, columns, order]] * 2 + [[0, 0, 0]])
            assert np.allclose(loaded(images), expected, rtol=1e-5, atol=1e-6)
        with pytest.raises(BackendError, match="tune it again"):
            loaded.tiles = np.array([[2, 1, 0]] * 2 + [[0, 0, 0]])


def test_the_weights_of_one_pixels_outputs_are_counted_too() -> None:
    b = NetworkBuilder((1, 6, 1, 1))
    network = b.build(b.add(Conv(20, 1), b.input))
    weights = make_weights(network)
    weights["1.weight"][:5, 2] = 0
    with SparseNetwork(network, weights, group=1) as loaded:
        assert loaded.groups().tolist() == [[6 * 20 - 5, 6 * 20]]


def test_a_profile_has_every_step_of_every_run() -> None:
    b = NetworkBuilder((1, 3, 24, 24))
    network = b.build(b.add(GlobalAvgPool(), b.add(Conv(32, 3, padding=1), b.input)))
    with SparseNetwork(network, make_weights(network), threads=2) as loaded:
        ns = loaded.profile(make_input(network)[0], repeats=5)
        with pytest.raises(BackendError, match=r"the image has shape \(1, 3, 24, 24\)"):
            loaded.profile(make_input(network), repeats=5)
    assert ns.shape == (5, 4)
    assert (ns >= 0).all()
    assert (ns.sum(axis=1) > 0).all()


@dataclass(frozen=True)
class Swapped(Op):
    """A layer kind that the engine knows nothing of: the first input less the second one."""

    arity: ClassVar[int | None] = 2


class _Difference(torch.nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        if left.amax() > 1e3:
            raise ValueError("too bright")
        return left - right


@torch_rule(Swapped)
def _(op: Swapped, shapes: Sequence[Shape]) -> torch.nn.Module:
    return _Difference()


@dataclass(frozen=True)
class Odd(Op):
    """A layer kind of unusual results: of double precision and in another order of memory, or of a
    shape that it does not state."""

    whole: bool = True


class _Odd(torch.nn.Module):
    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = 2 * x.double().transpose(2, 3).contiguous().transpose(2, 3)
        return x if self.whole else torch.cat([x, x])


@torch_rule(Odd)
def _(op: Odd, shapes: Sequence[Shape]) -> torch.nn.Module:
    return _Odd(op.whole)


def test_results_of_other_layers_are_brought_into_order_or_refused() -> None:
    for whole in (True, False):
        b = NetworkBuilder((1, 3, 9, 7))
        network = b.build(b.add(Odd(whole), b.add(Conv(18, 3), b.input)))
        weights, images = make_weights(network), make_input(network)
        with SparseNetwork(network, weights) as loaded:
            if not whole:
                with pytest.raises(BackendError, match=r"result has shape \(2, 18, 7, 5\), not"):
                    loaded.tune()
                continue
            with torch.inference_mode():
                expected = to_torch(network, weights)(torch.from_numpy(images)).float().numpy()
            assert np.abs(loaded(images) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("group", [16, 1])
def test_layers_of_others_are_computed_by_torch_and_their_errors_come_through(group: int) -> None:
    b = NetworkBuilder((2, 3, 9, 7))
    x = b.add(Conv(18, 3, padding=1), b.input)
    x = b.add(Activation("relu"), b.add(Swapped(), b.add(Conv(18, 1), x), x))
    network = b.build(b.add(Conv(5, 3), x))
    weights = make_weights(network)
    assert error(network, weights, threads=2, group=group) <= 1e-5
    with SparseNetwork(network, weights, group=group) as loaded:
        assert loaded.program.foreign == (2,)
        images = make_input(network)
        right = loaded(images)
        with pytest.raises(BackendError, match="a layer failed that torch computes: too bright"):
            loaded(images * 1e6)
        assert np.array_equal(loaded(images), right)


def test_images_of_another_shape_and_a_closed_network_are_refused() -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    network = b.build(b.add(Conv(8, 3), b.input))
    loaded = SparseNetwork(network, make_weights(network))
    with pytest.raises(BackendError, match=r"shape \(1, 3, 9, 9\), the network takes \(N, 3, 8, 8"):
        loaded(np.zeros((1, 3, 9, 9), np.float32))
    assert loaded(np.zeros((5, 3, 8, 8), np.float32)).shape == (5, 8, 6, 6)
    loaded.close()
    loaded.close()
    with pytest.raises(BackendError, match="is closed"):
        loaded(np.zeros((1, 3, 8, 8), np.float32))


def test_weights_that_lack_a_tensor_are_refused() -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    with pytest.raises(UsageError, match=r"the weights lack '1.weight'"):
        SparseNetwork(b.build(b.add(Conv(8, 3), b.input)), {})


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_and_crashes_nothing(data: st.DataObject) -> None:
    content = bytearray(_file())
    for _ in range(data.draw(st.integers(1, 4))):
        end = data.draw(st.booleans())  # the tiles are there, the steps at the beginning
        at = data.draw(st.integers(0, 699)) if not end else -data.draw(st.integers(1, 100))
        content[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    lib = _library()
    handle = lib.lb_read(bytes(content), len(content), data.draw(st.sampled_from([16, 1])), 1)
    if not handle:
        assert lib.lb_error()
        return
    images = np.zeros(lib.lb_input_size(handle), np.float32)
    outputs = np.zeros(lib.lb_output_size(handle), np.float32)
    if images.size < 1 << 20 and outputs.size < 1 << 20:
        lib.lb_run(handle, images.ctypes.data, outputs.ctypes.data, 1)
        lib.lb_tune(handle)
    lib.lb_close(handle)


def _file() -> bytes:
    b = NetworkBuilder((1, 3, 6, 6))
    x = b.add(Conv(6, 3, padding=1), b.input)
    x = b.add(Concat(), b.add(Conv(6, 3, padding=1, groups=6), x), b.add(Pool("max", 3, 1, 1), x))
    x = b.add(Elementwise("mul"), x, b.add(GlobalAvgPool(), x))
    network = b.build(b.add(Linear(3), b.add(Flatten(), x)))
    program = program_of(network, make_weights(network))
    register = {"avx512": 16, "avx2": 8}.get(usable_sets()[0], 4)
    tilings = ((register, 16, 1, 0, *([1, 1, 0] + [0] * 3 * (len(program.steps) - 1))),)
    return program.to_bytes(tilings=tilings)


def _library() -> ctypes.CDLL:
    from latbench.sparse.running import opened_library

    opened: ctypes.CDLL = opened_library(str(library(usable_sets()[0])))
    return opened
