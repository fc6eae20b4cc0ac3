"""The search spaces by name.

One of your own is named ``"module:Class"``, or registered in its distribution's metadata, in the
entry-point group ``latbench.spaces`` (see latbench.plugins). It is made by ``MySpace(config)``, and
by ``MySpace()`` with the default configuration, whose class says what can be set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latbench.plugins import Registry
from latbench.spaces.base import AnySpace, SearchSpace
from latbench.spaces.making import (
    known_name,
    make_space,
    parse_space,
    shown_space,
    space_from_identity,
    space_names,
)

if TYPE_CHECKING:
    from latbench.spaces.cells.darts_space import DartsSpace
    from latbench.spaces.cells.nasbench201_space import NasBench201Space

__all__ = [
    "ENTRY_POINT_GROUP",
    "SPACES",
    "AnySpace",
    "SearchSpace",
    "darts",
    "known_name",
    "make_space",
    "nasbench201",
    "parse_space",
    "shown_space",
    "space_from_identity",
    "space_names",
]

ENTRY_POINT_GROUP = "latbench.spaces"
_REGISTRY = Registry(
    "space",
    ENTRY_POINT_GROUP,
    "latbench.spaces.base:SearchSpace",
    {
        "darts": "latbench.spaces.cells.darts_space:DartsSpace",
        "fbnet": "latbench.spaces.chains.fbnet_space:FBNetSpace",
        "fbnetv2": "latbench.spaces.chains.fbnetv2_space:FBNetV2Space",
        "nasbench201": "latbench.spaces.cells.nasbench201_space:NasBench201Space",
        "nats-size": "latbench.spaces.chains.nats_size_space:NatsSizeSpace",
        "ofa": "latbench.spaces.chains.ofa_space:OfaSpace",
        "operators": "latbench.spaces.chains.operators_space:OperatorsSpace",
        "proxyless": "latbench.spaces.chains.proxyless_space:ProxylessSpace",
        "resnet": "latbench.spaces.chains.resnet_space:ResNetSpace",
        "spos": "latbench.spaces.chains.spos_space:SposSpace",
    },
    # Measured by workers like any other, but of another space or a model: not offered by itself.
    internal={
        "isolated_layers": "latbench.spaces.internal.isolated:IsolatedLayers",
        "widths": "latbench.spaces.internal.widths_space:WidthsSpace",
    },
)
SPACES: tuple[str, ...] = tuple(_REGISTRY.built_in)


def darts(**config: Any) -> DartsSpace:
    """Makes the DARTS space; settings as in ``DartsConfig``."""
    return make_space("darts", config)  # type: ignore[return-value]


def nasbench201(**config: Any) -> NasBench201Space:
    """Makes the NAS-Bench-201 space; settings as in ``NasBench201Config``."""
    return make_space("nasbench201", config)  # type: ignore[return-value]
