"""The tolerances by precision: how far an output may lie from torch float32.

They are shares of the largest output. Measured on the CPU over the networks of
``latbench.testing.networks`` (2026-11-24), the largest difference was 1e-6 for float32, 0.0016 for
autocast to float16 and 0.012 for autocast to bfloat16; deeper networks add up more, so the limits
are wider. TF32 keeps as many bits as float16 (10), bfloat16 keeps 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Precision = Literal["float32", "float16", "bfloat16"]

TOLERANCES: Mapping[str, float] = MappingProxyType(
    {"float32": 1e-4, "tf32": 1e-2, "float16": 1e-2, "bfloat16": 5e-2}
)


def tolerance_of(precision: Precision, tf32: bool) -> float:
    """Returns the limit for ``precision``; ``tf32`` says that float32 products may be rounded to
    TF32."""
    return max(TOLERANCES[precision], TOLERANCES["tf32" if tf32 else "float32"])
