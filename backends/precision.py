"""The tolerances by precision: how far an output may lie from torch float32.

They are shares of the largest output. Measured on the CPU over the networks of
``latbench.testing.networks`` (2026-11-24), the largest difference was 1e-6 for float32, 0.0016 for
autocast to float16 and 0.012 for autocast to bfloat16, when those were of cells; the limits are
wider, and what a deep chain adds up beyond them, ``latbench.export.parity`` takes from the network
itself. TF32 keeps as many bits as float16 (10), bfloat16 keeps 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from latbench.export.parity import BFLOAT16, FLOAT16, FLOAT32, Rounding

Precision = Literal["float32", "float16", "bfloat16"]

TOLERANCES: Mapping[Rounding, float] = MappingProxyType(
    {"float32": FLOAT32, "tf32": FLOAT16, "float16": FLOAT16, "bfloat16": BFLOAT16}
)


def rounding_of(precision: Precision, tf32: bool) -> Rounding:
    """Returns what ``precision`` rounds to; ``tf32`` says that products in float32 may be rounded
    to TF32."""
    return "tf32" if tf32 and precision == "float32" else precision
