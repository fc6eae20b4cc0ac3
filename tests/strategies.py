"""Hypothesis strategies that tests share: ``from strategies import ...`` (see pyproject.toml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from hypothesis import strategies as st

from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import (
    Activation,
    ActivationKind,
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
    Slice,
    Zero,
)
from latbench.spaces import SPACES, AnySpace, make_space

Draw = Callable[[st.SearchStrategy[Any]], Any]

ACTIVATIONS: tuple[ActivationKind, ...] = get_args(ActivationKind)


def _darts() -> st.SearchStrategy[dict[str, Any]]:
    stem = st.sampled_from(["cifar", "imagenet"])
    return st.fixed_dictionaries(
        {"channels": st.integers(2, 6), "cells": st.integers(3, 4), "stem": stem}
        | _shared_settings()
    )


def _nasbench201() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"channels": st.integers(1, 6), "cells": st.integers(1, 2)} | _shared_settings()
    )


def _shared_settings() -> dict[str, st.SearchStrategy[int]]:
    return {
        "classes": st.integers(1, 12),
        "resolution": st.integers(5, 20),
        "in_channels": st.integers(1, 4),
        "batch": st.integers(1, 3),
    }


def spaces() -> st.SearchStrategy[AnySpace]:
    """Every space, at small configurations: odd resolutions, odd channels, batches of 1 to 3."""
    own = {"darts": _darts(), "nasbench201": _nasbench201()}
    return st.sampled_from(SPACES).flatmap(
        lambda name: own.get(name, _small(name)).map(lambda c: make_space(name, c))
    )


def _small(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """A space's small settings, with others of what all have; a chain halves an image of 17 pixels
    and more as often as it does."""
    small, shared = make_space(name).small, _shared_settings() | {"resolution": st.integers(17, 22)}
    return st.fixed_dictionaries(shared).map(lambda c: {**small, **c})


def architectures(space: AnySpace) -> st.SearchStrategy[Any]:
    """Samples of a space."""
    numbers = st.integers(0, 2**32 - 1)
    return st.builds(space.sample, numbers, numbers)


@st.composite
def spaces_and_architectures(draw: Draw) -> tuple[AnySpace, Any]:
    """A space and one of its architectures."""
    space = draw(spaces())
    return space, draw(architectures(space))


def _conv(draw: Draw, c: int, h: int, w: int) -> Op:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    reach = dilation * (kernel - 1)
    lacking = max(0, reach + 1 - min(h, w))  # what padding must add for the window to fit
    padding = draw(st.integers(-(-lacking // 2), -(-lacking // 2) + 2))
    groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0]))
    return Conv(
        out_channels=groups * draw(st.integers(1, 3)),
        kernel=kernel,
        stride=draw(st.integers(1, 3)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )


def _pool(draw: Draw, c: int, h: int, w: int) -> Op:
    kernel = draw(st.integers(1, min(h, w, 3)))
    padding = draw(st.integers(0, kernel // 2))
    return Pool(draw(st.sampled_from(["max", "avg"])), kernel, draw(st.integers(1, 3)), padding)


def _slice(draw: Draw, c: int, h: int, w: int) -> Op:
    axis = draw(st.integers(1, 3))
    size = (c, h, w)[axis - 1]
    start = draw(st.integers(0, size - 1))
    end = draw(st.none() | st.integers(start + 1, size + 2))
    if draw(st.booleans()):  # the same part, counted from the end
        return Slice(axis, start - size, end)
    return Slice(axis, start, end)


_UNARY: dict[str, Callable[[Draw, int, int, int], Op]] = {
    "conv": _conv,
    "pool": _pool,
    "slice": _slice,
    "batch_norm": lambda draw, *_: BatchNorm(draw(st.booleans()), draw(st.sampled_from([1e-5, 1]))),
    "activation": lambda draw, *_: Activation(draw(st.sampled_from(ACTIVATIONS))),
    "shuffle": lambda draw, c, *_: ChannelShuffle(
        draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0]))
    ),
    "pad": lambda draw, *_: Pad(draw(st.integers(0, 2)), draw(st.integers(0, 2))),
    "zero": lambda draw, *_: Zero(draw(st.integers(1, 3))),
    "global": lambda draw, *_: GlobalAvgPool(),
}


def _join(draw: Draw, b: NetworkBuilder, layers: list[int], x: int, kind: str) -> int:
    """Adds a layer of several inputs: ``x`` and earlier layers that fit it."""
    _, c, h, w = b.shape(x)
    if kind == "scale":
        return b.add(Elementwise("mul"), x, b.add(GlobalAvgPool(), x))
    any_channels = kind == "concat"
    fits = [i for i in layers if b.shape(i)[2:] == (h, w) and (any_channels or b.shape(i)[1] == c)]
    others = draw(st.lists(st.sampled_from(fits), min_size=1, max_size=2))
    op = Concat() if kind == "concat" else Elementwise(kind)  # type: ignore[arg-type]
    return b.add(op, x, *others)


@st.composite
def networks(draw: Draw, max_layers: int = 8, classifier: bool | None = None) -> Network:
    """Random networks of every layer kind, with shared, dead and repeated inputs.

    ``classifier`` says whether they end in flatten and linear; None is either.
    """
    sizes = st.integers(1, 9)
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(sizes), draw(sizes))
    b = NetworkBuilder(shape)
    layers = [b.input]
    kinds = st.sampled_from([*_UNARY, "add", "mul", "scale", "concat"])
    for _ in range(draw(st.integers(0, max_layers))):
        x = layers[-1] if draw(st.booleans()) else draw(st.sampled_from(layers))
        kind = draw(kinds)
        if kind in _UNARY:
            layers.append(b.add(_UNARY[kind](draw, *b.shape(x)[1:]), x))
        else:
            layers.append(_join(draw, b, layers, x, kind))
    x = layers[-1]
    if draw(st.booleans()) if classifier is None else classifier:
        x = b.add(Linear(draw(st.integers(1, 5))), b.add(Flatten(), x))
    return b.build(x)


# One of every kind of layer, for an input of 4 channels and 7 by 6 pixels.
OPS = [
    *[Pool(kind, 3, stride, 1) for kind in ("max", "avg") for stride in (1, 2)],
    *[Pool(kind, 2, 2) for kind in ("max", "avg")],
    *[Activation(kind) for kind in ACTIVATIONS],
    *[Zero(stride) for stride in (1, 2, 3)],
    *[BatchNorm(affine, eps) for affine in (True, False) for eps in (1e-5, 0.5)],
    *[Slice(axis, start, end) for axis in (1, 2, 3) for start, end in ((1, None), (-3, -1))],
    Conv(6, 3, stride=2, padding=2, dilation=2, groups=2, bias=True),
    Conv(4, 3, padding=4, dilation=4, groups=4),
    Conv(4, 2, stride=3, padding=1),
    Conv(4, 3, padding=1, groups=2),
    ChannelShuffle(2),
    ChannelShuffle(4),
    Pad(1, 0),
    Pad(0, 2),
    GlobalAvgPool(),
    Flatten(),
]
