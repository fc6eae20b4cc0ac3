"""Measured latencies of one backend on one device, ready for predictors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.encodings import encode
from latbench.errors import UsageError
from latbench.spaces import AnySpace
from latbench.spaces.base import Array


@dataclass(frozen=True, eq=False)  # two arrays have no truth value; compare fingerprints
class LatencyDataset:
    """Architectures of one space with their latency on one backend.

    ``latency_s`` (seconds, float64, one an architecture) is the canary-anchored figure, see
    ``latbench.store``. ``noise_floor`` is the mean relative difference between two independent
    timings of the same architecture, None when none was timed twice. ``conditions`` describes the
    measurement set (options, protocol, device), for a predictor's card.

    Raises UsageError unless every architecture has one positive, finite latency.
    """

    space: AnySpace
    architectures: tuple[Any, ...]
    latency_s: npt.NDArray[np.float64]
    backend: str
    device: str
    noise_floor: float | None = None
    conditions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.latency_s.shape != (len(self.architectures),):
            raise UsageError(
                f"{len(self.architectures)} architectures have latencies of shape "
                f"{self.latency_s.shape}; expected one each"
            )
        if not np.all((self.latency_s > 0) & np.isfinite(self.latency_s)):
            raise UsageError("a latency must be positive and finite; leave failed rows out")

    def __len__(self) -> int:
        return len(self.architectures)

    def encode(self, encoding: str) -> Array:
        """Vectors ``(n, d)`` of the architectures; see ``latbench.encodings``."""
        return encode(self.space, self.architectures, encoding)

    def subset(self, indices: Sequence[int] | npt.NDArray[np.int_]) -> LatencyDataset:
        """The rows at ``indices``, in that order."""
        return replace(
            self,
            architectures=tuple(self.architectures[int(i)] for i in indices),
            latency_s=self.latency_s[np.asarray(indices, dtype=int)],
        )

    def fingerprint(self) -> str:
        """A hash of the space, backend and rows: changes when anything a predictor sees does."""
        digest = hashlib.sha256(
            f"{json.dumps(self.space.identity(), sort_keys=True)}|{self.backend}".encode()
        )
        for architecture, latency in zip(self.architectures, self.latency_s, strict=True):
            # float(): numpy 1 and 2 print their own numbers differently.
            digest.update(f"{architecture}|{float(latency)!r}\n".encode())
        return digest.hexdigest()[:16]
