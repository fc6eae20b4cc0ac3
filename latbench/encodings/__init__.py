"""Encodings: architectures, and networks of no space, as vectors. Every predictor says which it
reads.

``one_hot``  one choice a row, what a search differentiates (the space defines it)
``counts``   how often each operation occurs in each kind of place (the space defines it)
``cost``     multiply-accumulates, parameters, bytes moved and layers of the network
``layers``   count, work and what an optimiser can save of each kind of layer of the space
``graph``    the network's layers and what they read; any number of layers, each of any in-degree

The last three are functions of a network (``cost_of``, ``layers_of``, ``graph_of``) and know no
space. A predictor may bring one of its own: see ``latbench.encodings.base.Encoding``.
"""

from __future__ import annotations

from latbench.encodings.base import Encoding
from latbench.encodings.by_name import ENCODINGS, encode, encode_networks, encoding_of
from latbench.encodings.cost import COST_FEATURES, cost_of
from latbench.encodings.graph import graph_of
from latbench.encodings.layers import layers_of

__all__ = [
    "COST_FEATURES",
    "ENCODINGS",
    "Encoding",
    "cost_of",
    "encode",
    "encode_networks",
    "encoding_of",
    "graph_of",
    "layers_of",
]
