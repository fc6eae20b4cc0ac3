"""The canaries: fixed networks that are timed again and again beside those of a campaign.

Each feels another part of the machine. ``compute`` keeps its weights and activations in a core's
own cache (1 MiB on today's servers): it shows the clock, and all latencies are in its units.
``weights`` reads 12 MiB of weights in a run, and ``activations`` moves 18 MiB of tensors that fit
no private cache: they show who else uses the shared cache and the memory. ``layers`` has many
layers of next to no work: it shows what a runtime spends per layer. Their fastest runs in a block
say in which state of the machine it was measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from latbench.networks.blocks import RELU, classifier
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import BatchNorm, Conv

UNIT = "compute"  # the canary that all latencies are relative to


def _chain(resolution: int, channels: int, convolutions: list[Conv]) -> Network:
    b = NetworkBuilder((1, channels, resolution, resolution))
    x = b.input
    for conv in convolutions:
        x = b.add(RELU, b.add(BatchNorm(), b.add(conv, x)))
    return b.build(classifier(b, x, 10))


def compute() -> Network:
    """Makes 3x3 convolutions of 16 channels on 32x32: 64 KiB a tensor, 28 M
    multiply-accumulates."""
    return _chain(32, 16, [Conv(16, 3, padding=1)] * 12)


def weights() -> Network:
    """Makes twelve 1x1 convolutions of 512 channels on 4x4, of 1 MiB of weights each."""
    return _chain(4, 512, [Conv(512, 1)] * 12)


def activations() -> Network:
    """Makes depthwise and 1x1 convolutions of 64 channels on 56x56: 0.8 MiB a tensor."""
    pair = [Conv(64, 3, padding=1, groups=64), Conv(64, 1)]
    return _chain(56, 64, pair * 6)


def layers() -> Network:
    """Makes 1x1 convolutions of 8 channels on 4x4, 48 of them."""
    return _chain(4, 8, [Conv(8, 1)] * 48)


CANARIES: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {"compute": compute, "weights": weights, "activations": activations, "layers": layers}
)


def canary_key() -> str:
    """Returns the canaries' name in a set's conditions: other canaries would make other units."""
    text = "; ".join(f"{name} {make().layers!r}" for name, make in CANARIES.items())
    return f"{UNIT} ({hashlib.sha256(text.encode()).hexdigest()[:8]})"


def turn(number: int) -> str:
    """Returns the name of the canary of the ``number``-th canary visit: every other one is
    ``UNIT``."""
    others = [name for name in CANARIES if name != UNIT]
    return UNIT if number % 2 == 0 else others[number // 2 % len(others)]
