"""The settings with which every method searched NAS-Bench-201 in that benchmark's paper.

Source: D-X-Y/AutoDL-Projects, configs/nas-benchmark/algos/ with
scripts-search/NAS-Bench-201-algos/.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PUBLISHED_201: Mapping[str, Any] = MappingProxyType(
    {"batch": 64, "cells": 5, "weight_decay": 5e-4, "nesterov": True}
)
KEY_201 = ("nasbench201", "nasbench201")  # the space, and the name of the preset
