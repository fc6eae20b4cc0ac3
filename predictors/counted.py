"""The multiply-accumulates and parameters of networks, as models that a search pays for.

They are counted, not measured. Both are sums over layers, so that a model of them is a lookup table
that nothing is fitted to. It is exact, and takes a fitted model's place in a penalty, with a weight
or a target.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from latbench._version import __version__
from latbench.encodings.by_name import encoding_of
from latbench.encodings.layers import space_slots
from latbench.errors import UsageError
from latbench.networks.network import Kind, kind_work
from latbench.predictors.card import Card, as_json, library_versions
from latbench.predictors.families.lookup_table import LookupTable
from latbench.predictors.gradients.layer_terms import why_no_sum
from latbench.predictors.model import LatencyModel
from latbench.spaces import AnySpace
from latbench.timing.metric import parse_metric

Counted = Literal["macs", "parameters"]
BACKEND = DEVICE = "counted"


def counted_model(space: AnySpace, what: Counted) -> LatencyModel:
    """Makes the exact model of a space's multiply-accumulates (``"macs"``) or trained parameters
    (``"parameters"``), of whole networks with a batch of the space's size.

    Raises UsageError for a space in which layers are no products of options: those whose networks
    choose inputs.
    """
    if why := why_no_sum(space):
        raise UsageError(
            f"the {what} of {space.name!r} cannot be counted by its layers: {why}; take a space of "
            "chains"
        )
    encoding, slots = encoding_of("layers"), space_slots(space).numbers
    table = LookupTable.exact(np.array([_count(kind, what) for kind in slots], np.float64))
    card = Card(
        latbench=__version__, predictor=table.name, params=as_json(table.get_params(), "a table"),
        encoding=encoding.name, encoding_version=encoding.version,
        space=as_json(space.identity(), "a space's identity"),
        backend=BACKEND, device=DEVICE, metric=parse_metric(what).name, conditions={}, samples=0,
        fingerprint=what, noise_floor=0.0, versions=library_versions(),
    )  # fmt: skip
    return LatencyModel(space, table, card)


def _count(kind: Kind, what: Counted) -> int:
    if what == "macs":
        return kind_work(kind)[0]
    op, shapes = kind
    return sum(math.prod(shape) for shape in op.parameters(*shapes).values())
