"""The networks that the conformance suite runs: small, and of every search space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Conv, Flatten, GlobalAvgPool, Linear, Op
from latbench.spaces import SPACES, make_space

_ODD = {"resolution": 11, "batch": 4}  # odd sizes pad and crop unevenly


@lru_cache(maxsize=1)
def default_networks() -> tuple[tuple[str, Network], ...]:
    """Returns ``(label, network)`` of each space's reference at batch 1 and one sample at batch
    4."""
    networks = []
    for name in SPACES:
        small = dict(make_space(name).small)
        even, odd = make_space(name, small), make_space(name, small | _ODD)
        for space, architecture in ((even, even.reference()), (odd, odd.sample(seed=1, index=0))):
            networks.append((f"{architecture} of {space}", space.build(architecture)))
    return tuple(networks)


def conv_chain(layers: int, channels: int, resolution: int) -> Network:
    """Makes 3x3 convolutions with ReLU, one after another, and a classifier."""
    b = NetworkBuilder((1, 3, resolution, resolution))
    x = b.input
    for _ in range(layers):
        x = b.add(Activation("relu"), b.add(Conv(channels, kernel=3, padding=1), x))
    return b.build(b.add(Linear(10), b.add(Flatten(), b.add(GlobalAvgPool(), x))))


def short_chain() -> Network:
    """Makes a chain of 29 million multiply-accumulates in 4 convolutions."""
    return conv_chain(layers=4, channels=32, resolution=32)


def long_chain() -> Network:
    """Makes a chain of 28 times the work of ``short_chain``, in 10 times as many layers.

    So it takes longer also where launching a layer costs more than computing it.
    """
    return conv_chain(layers=40, channels=48, resolution=32)


def heavy_chain() -> Network:
    """Makes a chain of 2.4 MB of weights and next to no work: what it leaves behind shows in the
    memory."""
    return conv_chain(layers=5, channels=128, resolution=4)


@dataclass(frozen=True)
class UnknownOp(Op):
    """A layer kind that no exporter knows."""


def impossible_network() -> Network:
    """Makes a network that no backend can load."""
    b = NetworkBuilder((1, 3, 8, 8))
    return b.build(b.add(UnknownOp(), b.input))
