"""Importance against differences of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latbench.export.torch import NetworkModule, to_torch
from latbench.networks.blocks import classifier
from latbench.networks.channels import Channels, channels_of
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv, Linear, Slice
from latbench.networks.weights import make_weights
from latbench.search.images.images import ImageData
from latbench.search.pruning.importance import importance
from latbench.search.rng import generator
from latbench.spaces import make_space
from latbench.spaces.streams import Purpose


def network(name: str) -> Network:
    settings: dict[str, Any] = {"in_channels": 1, "resolution": 8}
    if name == "resnet":
        settings |= {"stem": "cifar", "widths": (8, 16), "depths": (1,), "classes": 10}
    else:
        settings |= {"channels": 4, "cells": 1}
    space = make_space(name, settings)
    return space.build(space.sample(0, 5))


def scale(net: NetworkModule, channels: Channels, name: str, unit: int, by: float) -> None:
    """Multiplies the weights that read a unit."""
    g = [group.name for group in channels.groups].index(name)
    for i, layer in enumerate(channels.network.layers):
        if isinstance(layer.op, Conv | Linear) and getattr(layer.op, "groups", 1) == 1:
            read = layer.inputs[0]
            own = (channels.group[read] == g) & (channels.unit[read] == unit)
            weight: Any = net.layers[str(i)].weight
            weight.data[:, torch.from_numpy(own)] *= by


@pytest.mark.parametrize("name", ["resnet", "nasbench201"])
def test_it_is_the_square_of_the_slope(name: str, digits: ImageData) -> None:
    channels = channels_of(network(name))
    weights = make_weights(channels.network)
    found = importance(channels, weights, digits, batches=1, batch=16, seed=3)
    stream = generator(Purpose.TRAINING, 3, 0, 2)
    some = torch.randint(len(digits.train_labels), (16,), generator=stream)

    def loss(name: str, unit: int, by: float) -> float:
        net = to_torch(channels.network, weights).double()
        scale(net, channels, name, unit, by)
        logits = net(digits.train_images[some].double())
        return float(F.cross_entropy(logits, digits.train_labels[some]))

    with torch.no_grad():
        for group in channels.groups[:4]:
            for unit in (0, group.size - 1):
                up, down = (loss(group.name, unit, 1 + sign * 1e-5) for sign in (1, -1))
                slope = (up - down) / 2e-5
                assert found[group.name][unit] == pytest.approx(slope**2, rel=1e-3, abs=1e-9)


def test_channels_that_are_cut_off_are_not_needed(digits: ImageData) -> None:
    b = NetworkBuilder((1, 1, 8, 8))
    x = b.add(Slice(1, 0, 4), b.add(Conv(6, 1), b.input))
    channels = channels_of(b.build(classifier(b, x, 10)))
    found = importance(channels, make_weights(channels.network), digits, batches=1, batch=8)
    assert {name: (of > 0).all() for name, of in found.items()} == {"1.0": True, "1.1": False}


def test_what_nobody_reads_is_not_needed(digits: ImageData) -> None:
    channels = channels_of(network("resnet"))
    group = channels.groups[0]
    net = to_torch(channels.network)
    scale(net, channels, group.name, 2, 0.0)
    found: Any = importance(channels, net.weights(), digits, batches=2, batch=8)
    assert found[group.name][2] == 0
    assert (np.delete(found[group.name], 2) > 0).all()
