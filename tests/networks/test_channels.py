"""Removing channels: what must go together, and that what is left computes what it did."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.networks.blocks import RELU, classifier
from latbench.networks.channels import STAYS, Channels, channels_of, narrowed
from latbench.networks.mobile_blocks import SqueezeExcite, conv_bn_act, inverted_residual
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import (
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Pool,
    Slice,
)
from latbench.networks.weights import Weights, make_input, make_weights
from latbench.spaces import SPACES, make_space

Kept = dict[str, npt.NDArray[np.bool_]]


def drawn(channels: Channels, seed: int) -> Kept:
    rng, kept = np.random.default_rng(seed), Kept()
    for group in channels.groups:
        kept[group.name] = rng.random(group.size) < rng.random()
        kept[group.name][rng.integers(group.size)] = True
    return kept


def unread(channels: Channels, weights: Weights, kept: Kept) -> Weights:
    """The network's own weights, but nothing reads what is removed."""
    found = dict(weights)
    for i, layer in enumerate(channels.network.layers):
        if isinstance(layer.op, Conv | Linear) and not channels.depthwise[i]:
            if getattr(layer.op, "groups", 1) > 1:
                continue
            read = channels.mask(layer.inputs[0], kept)
            found[f"{i}.weight"] = found[f"{i}.weight"].copy()
            found[f"{i}.weight"][:, ~read] = 0
    return found


def outputs(network: Network, weights: Weights) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        found: npt.NDArray[np.float32] = to_torch(network, weights)(
            torch.from_numpy(make_input(network))
        ).numpy()
    return found


def check(network: Network, seed: int) -> Channels:
    """What is left is what the whole network computes where nothing reads what is removed."""
    channels, weights = channels_of(network), make_weights(network)
    kept = drawn(channels, seed)
    found = narrowed(channels, weights, kept)
    expected = outputs(network, unread(channels, weights, kept))
    scale = float(np.abs(expected).max())
    assert outputs(*found) == pytest.approx(expected, abs=1e-5 * scale + 1e-7)
    again, weights = channels.left(found[0], kept), found[1]
    kept = drawn(again, seed + 1)
    expected = outputs(found[0], unread(again, weights, kept))
    found = narrowed(again, weights, kept)
    scale = float(np.abs(expected).max())
    assert outputs(*found) == pytest.approx(expected, abs=1e-5 * scale + 1e-7)
    widths = {name: int(units.sum()) for name, units in kept.items()}
    for i, layer in enumerate(found[0].layers):
        assert layer.shape[1] == channels.width(i, widths) == again.mask(i, kept).sum()
    return channels


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(SPACES), st.integers(0, 2**32 - 1))
def test_a_narrower_network_computes_what_is_left(name: str, seed: int) -> None:
    space = make_space(name, dict(make_space(name).small))
    channels = check(space.build(space.sample(seed, 0)), seed)
    assert channels.groups


def sizes(network: Network) -> dict[str, int]:
    return {group.name: group.size for group in channels_of(network).groups}


def test_both_sides_of_a_residual_sum_go_together() -> None:
    b = NetworkBuilder((2, 3, 6, 6))
    x = conv_bn_act(b, b.input, 8, 3)
    y = conv_bn_act(b, x, 5, 3)
    y = b.add(Elementwise("add"), conv_bn_act(b, y, 8, 3), x)
    network = b.build(classifier(b, y, 4))
    assert sizes(network) == {"1": 8, "4": 5}
    channels = check(network, 0)
    assert set(channels.group[0]) == set(channels.group[-1]) == {STAYS}


def test_a_depthwise_convolution_and_a_gate_go_with_their_channels() -> None:
    b = NetworkBuilder((1, 3, 6, 6))
    x = conv_bn_act(b, b.input, 6, 3)
    x = inverted_residual(b, x, 6, 3, 1, 12, RELU, SqueezeExcite(3), residual=True)
    network = b.build(classifier(b, x, 4))
    assert sizes(network) == {"1": 6, "4": 12, "11": 3}
    check(network, 1)


def test_parts_that_are_joined_and_cut_apart_again() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    x, y = b.add(Conv(4, 1), b.input), b.add(Conv(6, 1), b.input)
    both = b.add(Concat(), x, y)
    assert b.shape(both)[1] == 10
    first, rest = b.add(Slice(1, 0, 4), both), b.add(Slice(1, 4), both)
    z = b.add(Elementwise("add"), b.add(Conv(2, 1), first), b.add(Conv(2, 1), rest))
    network = b.build(b.add(Linear(3), b.add(Flatten(), z)))
    assert sizes(network) == {"1": 4, "2": 6, "6": 2}
    check(network, 2)


def test_units_that_are_cut_apart_are_groups_apart() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    x = b.add(Conv(8, 1), b.input)
    y = b.add(Concat(), b.add(Slice(1, 0, 3), x), b.add(Pool("max", 3, 1, 1), x))
    network = b.build(b.add(Linear(3), b.add(Flatten(), b.add(GlobalAvgPool(), y))))
    assert sizes(network) == {"1.0": 3, "1.1": 5}
    check(network, 3)


@pytest.mark.parametrize(("n", "groups", "units"), [(8, 2, 4), (8, 4, 4), (12, 3, 4), (16, 8, 8)])
def test_a_shuffle_keeps_its_rows_or_columns(n: int, groups: int, units: int) -> None:
    """Those of which there are more."""
    b = NetworkBuilder((1, 3, 4, 4))
    x = b.add(ChannelShuffle(groups), b.add(BatchNorm(), b.add(Conv(n, 1), b.input)))
    network = b.build(b.add(Linear(3), b.add(Flatten(), b.add(GlobalAvgPool(), x))))
    assert sizes(network) == {"1": units}
    for seed in range(4):
        check(network, seed)


def test_what_groups_of_a_convolution_read_and_make_stays() -> None:
    b = NetworkBuilder((1, 4, 4, 4))
    x = b.add(Conv(8, 1), b.input)
    x = b.add(Conv(8, 3, padding=1, groups=2), x)
    x = b.add(Conv(5, 1), x)
    network = b.build(b.add(Linear(3), b.add(Flatten(), x)))
    assert sizes(network) == {"3": 5}
    check(network, 0)


def test_impossible_removals_are_refused() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    network = b.build(classifier(b, conv_bn_act(b, b.input, 4, 3), 2))
    channels, weights = channels_of(network), make_weights(network)
    for kept, why in (
        ({"1": np.zeros(4, np.bool_)}, "'1' has 4 channels, of which one must stay, got 0 of 4"),
        ({"1": np.ones(3, np.bool_)}, "got 3 of 3"),
        ({}, "must be said of the groups 1; see '1'"),
        ({"1": np.ones(4, np.bool_), "7": np.ones(1, np.bool_)}, "see '7'"),
    ):
        with pytest.raises(UsageError, match=why):
            narrowed(channels, weights, kept)
