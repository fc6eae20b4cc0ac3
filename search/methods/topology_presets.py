"""The settings of TopoNAS (Huang et al., 2020, https://arxiv.org/abs/2011.09300) by a method.

Its constants were not available to us, nor is there code; these are ours, beside those of the
method that it is applied to: any number of inputs, ``beta`` resting for the first 15 epochs (DOTS
trains the operations for 15 before its variables move), a temperature that falls from 10 to 0.1
(DOTS: 10 to 0.02), and a margin and weight of the regulariser of 1. Their space is
``darts(least_inputs=1, most_inputs=5)``; in one of two inputs a node, the sets are pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

TOPONAS: Mapping[str, Any] = MappingProxyType(
    {
        "topology": "any", "topology_warmup_epochs": 15, "topology_temperature": 10.0,
        "topology_final_temperature": 0.1, "topology_margin": 1.0, "topology_pressure": 1.0,
    }
)  # fmt: skip
TOPONAS_CIFAR10 = ("darts", "toponas-cifar10")  # the space, and the name of the preset
TOPONAS_IMAGENET = ("darts", "toponas-imagenet")
