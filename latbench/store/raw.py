"""Raw visit timings as they are kept: little-endian float32, visit after visit.

A visit is how many network runs and canary runs it had, then their seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from latbench.errors import StoreError
from latbench.protocol import Visit

Seconds = npt.NDArray[np.float64]


def pack(visits: Sequence[Visit]) -> bytes:
    """The timings of some visits, rounded to float32 (a relative error of 6e-8)."""
    flat: list[float] = []
    for v in visits:
        flat += [len(v.network_ns), len(v.canary_ns)]
        flat += [t * 1e-9 for t in (*v.network_ns, *v.canary_ns)]
    return np.array(flat, "<f4").tobytes()


def unpack(blob: bytes) -> list[tuple[Seconds, Seconds]]:
    """Each visit's network and canary seconds. Raises StoreError when the bytes are no timings."""
    if not isinstance(blob, bytes) or not blob or len(blob) % 4:  # SQLite checks no types
        raise StoreError(f"raw timings are {blob[:20]!r}, not whole float32 values")
    values = np.frombuffer(blob, "<f4").astype(float)
    visits, at = [], 0
    while at < len(values):
        counts = values[at : at + 2]
        # Negated, so that NaN fails too.
        if len(counts) < 2 or not (np.all(counts >= 1) and np.all(counts <= len(values))):
            raise StoreError("raw timings do not say how many runs they hold")
        network, canary = (int(n) for n in counts)
        seconds = values[at + 2 : at + 2 + network + canary]
        if len(seconds) < network + canary or not np.all((seconds > 0) & np.isfinite(seconds)):
            raise StoreError("raw timings are cut off, or not positive and finite")
        visits.append((seconds[:network], seconds[network:]))
        at += 2 + network + canary
    return visits
