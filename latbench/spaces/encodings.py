"""Architectures as vectors, by name. Every predictor says which of these it reads.

``one_hot``  one choice a row, what a search differentiates (the space defines it)
``counts``   how often each operation occurs in each kind of place (the space defines it)
``cost``     multiply-accumulates, parameters, bytes moved and layers of the built Network
``layers``   count, work and what an optimiser can save of each distinct layer of the space
``graph``    the Network's layers and what they read, padded (``latbench.spaces.layer_encodings``)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from latbench.errors import UsageError, unknown
from latbench.spaces import AnySpace
from latbench.spaces.base import Array
from latbench.spaces.layer_encodings import encode_graph, encode_layers

Encoding = Literal["one_hot", "counts", "cost", "layers", "graph"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)
COST_FEATURES = ("macs", "parameters", "bytes_moved", "layers")


def _cost(space: AnySpace, architecture: Any) -> Array:
    network = space.build(architecture)
    values = (network.macs, network.parameters, network.bytes_moved, len(network.layers))
    return np.array(values, np.float32)


def encode(space: AnySpace, architectures: Sequence[Any], encoding: str) -> Array:
    """Encodes architectures as vectors of the given kind, float32, shape ``(n, d)``.

    Raises UsageError for an unknown encoding.
    """
    if encoding not in ENCODINGS:
        raise UsageError(unknown("encoding", encoding, ENCODINGS))
    if not architectures:
        return encode(space, [space.reference()], encoding)[:0]
    if encoding == "one_hot":
        return space.one_hot_all(architectures)
    if encoding == "counts":
        return space.counts_all(architectures)
    one: dict[str, Callable[[AnySpace, Any], Array]] = {
        "cost": _cost,
        "layers": encode_layers,
        "graph": encode_graph,
    }
    return np.stack([one[encoding](space, a) for a in architectures])
