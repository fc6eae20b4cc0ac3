"""Random attributes and shapes of the general kinds: torch computes what ONNX Runtime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from general_networks import Case, differs, integers, network_of, onnx_arrays, torch_arrays
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.export.onnx import to_onnx
from latbench.networks.general.arithmetic import Binary
from latbench.networks.general.arrays import (
    ArgMax,
    Cut,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
)
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import PadAround, RectConv, RectPool, Resize, TransposedConv
from latbench.networks.network import Network
from latbench.networks.ops import Input

torch.set_num_threads(1)

Draw = Callable[[st.SearchStrategy[Any]], Any]
SMALL = st.integers(1, 3)


def assert_agrees(network: Network) -> None:
    assert not differs(onnx_arrays(network), torch_arrays(network))
    onnx.checker.check_model(to_onnx(network), full_check=True)


def fitting(case: Case) -> Network | None:
    try:
        return network_of(case[0], *case[1])
    except UsageError:
        return None


def _of_both(draw: Draw, values: st.SearchStrategy[int]) -> tuple[int, int]:
    return draw(values), draw(values)


def _image(draw: Draw, channels: st.SearchStrategy[int] = SMALL) -> Input:
    sizes = st.integers(1, 8)
    return Input((draw(st.integers(1, 2)), draw(channels), draw(sizes), draw(sizes)))


def _window(draw: Draw) -> dict[str, Any]:
    sides = st.integers(0, 2)
    return {
        "kernel": _of_both(draw, SMALL),
        "stride": _of_both(draw, SMALL),
        "padding": (*_of_both(draw, sides), *_of_both(draw, sides)),
        "dilation": _of_both(draw, st.sampled_from([1, 1, 2])),
    }


@st.composite
def convolutions(draw: Draw) -> Case:
    groups = draw(st.integers(1, 2))
    shape = _image(draw, st.integers(1, 2).map(lambda c: c * groups))
    channels = groups * draw(st.integers(1, 2))
    return RectConv(channels, **_window(draw), groups=groups, bias=draw(st.booleans())), (shape,)


@st.composite
def transposed_convolutions(draw: Draw) -> Case:
    groups = draw(st.integers(1, 2))
    shape = _image(draw, st.integers(1, 2).map(lambda c: c * groups))
    window = _window(draw)
    down, across = window["stride"]  # a runtime refuses more
    extra = draw(st.integers(0, down - 1)), draw(st.integers(0, across - 1))
    channels, bias = groups * draw(st.integers(1, 2)), draw(st.booleans())
    return TransposedConv(channels, **window, extra=extra, groups=groups, bias=bias), (shape,)


@st.composite
def pools(draw: Draw) -> Case:
    kind = draw(st.sampled_from(["max", "avg"]))
    counted, window = kind == "avg" and draw(st.booleans()), _window(draw)
    # Runtimes refuse padding as wide as the window.
    around = window["padding"]
    window["padding"] = tuple(min(p, window["kernel"][i % 2] - 1) for i, p in enumerate(around))
    return RectPool(kind, **window, ceil=draw(st.booleans()), counted=counted), (_image(draw),)


@st.composite
def resizings(draw: Draw) -> Case:
    shape = _image(draw).shape
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    sizes: tuple[int, ...] = _of_both(draw, st.integers(1, 12))
    scales = None
    if draw(st.booleans()):
        factors = _of_both(draw, st.sampled_from([1.0, 2.0, 3.0, 1.5, 0.5, 0.7, 1.3, 2.7]))
        found = tuple(int(size * factor) for size, factor in zip(shape[2:], factors, strict=True))
        # ONNX Runtime copies what keeps its size, whatever the scales say.
        if found != shape[2:] and min(found) > 0:
            sizes, scales = found, factors
    op = Resize(
        sizes[0], sizes[1], draw(st.sampled_from(["nearest", "linear", "cubic"])),
        draw(st.sampled_from(places)), draw(st.sampled_from(nearest)), scales,
        draw(st.sampled_from([-0.75, -0.5])),
    )  # fmt: skip
    return op, (Input(shape),)


@st.composite
def paddings(draw: Draw) -> Case:
    shape = draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))
    kind = draw(st.sampled_from(["constant", "reflect", "edge"]))
    # Runtimes do not say what a side mirrors that is cut on the other side.
    sides = st.tuples(st.integers(0, 1), st.integers(0, 1)) | st.tuples(
        st.integers(-1, 0), st.just(0)
    )
    before, after = zip(*(draw(sides) for _ in shape), strict=True)
    op = PadAround(before, after, kind, draw(st.floats(-2, 2, width=16)))
    return op, (Input(tuple(shape)),)


@settings(deadline=None, max_examples=40)
@given(st.one_of(convolutions(), transposed_convolutions()))
def test_convolutions(case: Case) -> None:
    if network := fitting(case):
        assert_agrees(network)


@settings(deadline=None, max_examples=60)
@given(pools())
def test_pools(case: Case) -> None:
    """A dilated window may see nothing but padding, of which everyone makes something else; and
    ONNX' shape inference may see one window more of them."""
    network = fitting(case)
    if network and np.isfinite(torch_arrays(network)[0]).all():
        assert not differs(onnx_arrays(network), torch_arrays(network))
        if getattr(case[0], "dilation", None) == (1, 1):
            onnx.checker.check_model(to_onnx(network), full_check=True)


@settings(deadline=None, max_examples=80)
@given(resizings())
def test_resizings(case: Case) -> None:
    if network := fitting(case):
        assert_agrees(network)


@settings(deadline=None, max_examples=40)
@given(paddings())
def test_paddings(case: Case) -> None:
    if network := fitting(case):
        assert_agrees(network)


@st.composite
def rearrangements(draw: Draw) -> Case:
    """Kinds that move or sum up what any tensor has."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis, rank = draw(st.integers(0, len(shape) - 1)), len(shape)
    start = draw(st.integers(0, shape[axis] - 1))
    other = (*shape[:axis], draw(SMALL), *shape[axis + 1 :])
    axes = tuple(sorted(draw(st.sets(st.sampled_from(range(rank)), min_size=1))))
    kind = draw(st.sampled_from(["mean", "sum", "max", "min", "prod", "l1", "l2"]))
    keep, flat = draw(st.booleans()), int(np.prod(shape))
    reshaped = [(flat,), (1, flat), (flat, 1, 1), shape[::-1]]
    wide = (draw(SMALL), *(draw(SMALL) if size == 1 else size for size in shape))
    places = integers(*draw(st.lists(SMALL, max_size=2)), below=shape[axis])
    choices: list[Case] = [
        (Transpose(tuple(draw(st.permutations(range(rank))))), (Input(shape),)),
        (Cut(axis, start, draw(st.integers(start + 1, shape[axis])), draw(SMALL)), (Input(shape),)),
        (Join(axis), (Input(shape), Input(other), Input(shape))),
        (Reduce(kind, axes, keep), (Input(shape),)),
        (ArgMax(axis, keep), (Input(shape),)),
        (Expand(wide), (Input(shape),)),
        (Reshape(draw(st.sampled_from(reshaped))), (Input(shape),)),
        (Gather(axis), (Input(shape), places)),
        (Softmax(axis, keep), (Input(shape),)),
        (Dense(draw(SMALL), keep), (Input(shape),)),
        (LayerNorm(draw(st.integers(1, rank)), 0.1, keep), (Input(shape),)),
    ]
    chosen: Case = draw(st.sampled_from(choices))
    return chosen


@settings(deadline=None, max_examples=80)
@given(rearrangements())
def test_what_moves_and_sums_up(case: Case) -> None:
    assert_agrees(network_of(case[0], *case[1]))


@settings(deadline=None, max_examples=40)
@given(st.lists(SMALL, max_size=2), st.lists(SMALL, max_size=2), st.booleans())
def test_what_broadcasts(first: list[int], second: list[int], product: bool) -> None:
    case: Case = (Binary("sub"), (Input((*first, 1)), Input((*second, 4))))
    if product:
        case = (MatMul(), (Input((*first, 2, 3)), Input((*second, 3, 4))))
    if network := fitting(case):
        assert_agrees(network)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("sizes", [(5,), (3, 4), (2, 3, 2)])
def test_norms_of_groups(groups: int, sizes: tuple[int, ...]) -> None:
    assert_agrees(network_of(GroupNorm(groups, 0.1), Input((2, 6, *sizes))))
