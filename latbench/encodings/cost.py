"""The ``cost`` encoding: what a network is all together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from latbench.encodings.base import Array, Encoding
from latbench.networks.network import Network
from latbench.spaces import AnySpace

COST_FEATURES = ("macs", "parameters", "bytes_moved", "layers")


def cost_of(network: Network) -> Array:
    """Returns ``COST_FEATURES`` of a network, ``(4,)``: multiply-accumulates, trained values, bytes
    that unfused layers read and write, and layers with the input."""
    values = (network.macs, network.parameters, network.bytes_moved, len(network.layers))
    return np.array(values, np.float32)


class CostEncoding(Encoding):
    """The encoding ``cost``."""

    name = "cost"

    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Array:
        """Returns ``cost_of`` of each."""
        return np.stack([cost_of(network) for network in networks])
