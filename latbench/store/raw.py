"""Raw visit timings as they are kept: little-endian float32, visit after visit.

A visit is how many network runs and canary runs it had (none, but in protocol 1) and how long it
waited for the processor, then its runs' seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latbench.errors import StoreError
from latbench.timing.protocol import Visit

_HEADER = 3


def pack(visits: Sequence[Visit]) -> bytes:
    """Packs the timings of some visits, rounded to float32 (a relative error of 6e-8)."""
    flat: list[float] = []
    for v in visits:
        flat += [len(v.network_s), len(v.canary_s), v.waited_s, *v.network_s, *v.canary_s]
    return np.array(flat, "<f4").tobytes()


def unpack(blob: bytes) -> list[Visit]:
    """Unpacks the visits of ``pack``. Raises StoreError when the bytes are no timings."""
    return _unpack(blob, _HEADER)


def unpack_version_2(blob: bytes) -> list[Visit]:
    """Unpacks the visits in a file of schema version 1 or 2, which knew of no waiting."""
    return _unpack(blob, 2)


def _unpack(blob: bytes, header: int) -> list[Visit]:
    if not isinstance(blob, bytes) or not blob or len(blob) % 4:  # SQLite checks no types
        raise StoreError(f"raw timings are {blob[:20]!r}, not whole float32 values")
    values = np.frombuffer(blob, "<f4").astype(float)
    visits, at = [], 0
    while at < len(values):
        head = values[at : at + header]
        # Negated, so that NaN fails too.
        if len(head) < header or not (1 <= head[0] <= len(values) and 0 <= head[1] <= len(values)):
            raise StoreError("raw timings do not say how many runs they hold")
        network, canary = (int(n) for n in head[:2])
        waited_s = float(head[2]) if header > 2 else 0.0
        seconds = values[at + header : at + header + network + canary]
        sound = np.all((seconds > 0) & np.isfinite(seconds)) and 0 <= waited_s < np.inf
        if len(seconds) < network + canary or not sound:
            raise StoreError("raw timings are cut off, or not positive and finite")
        runs = seconds.tolist()
        visits.append(Visit(tuple(runs[:network]), tuple(runs[network:]), waited_s))
        at += header + network + canary
    return visits
