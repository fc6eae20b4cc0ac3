"""Measured latencies, or another metric, of one backend on one device, ready for predictors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.encodings import Encoding, encode
from latbench.errors import UsageError
from latbench.spaces import AnySpace
from latbench.spaces.base import Array, Ints
from latbench.text import html_facts, percent
from latbench.timing.metric import LATENCY, Metric
from latbench.timing.noise import Floors


def network_numbers(space: AnySpace, architectures: Sequence[Any]) -> Ints:
    """Numbers the networks of architectures, from 0 in the order of their first occurrence,
    ``(n,)``.

    The numbers are equal for architectures that are one network (``SearchSpace.canonical``).
    """
    numbers: dict[Any, int] = {}
    same = map(space.canonical, architectures)
    return np.array([numbers.setdefault(a, len(numbers)) for a in same], np.int64)


@dataclass(frozen=True, eq=False)  # two arrays have no truth value; compare fingerprints
class LatencyDataset:
    """A data set: architectures of one space with their latency, or another metric, on one backend.

    ``values`` (float64, one an architecture, in ``metric.unit``) are canary-anchored seconds for
    latency, see ``latbench.store``. ``noise_floor`` is the mean relative difference between two
    independent measurements of the same architecture, None when none was measured twice. It is that
    inside an occasion; ``floor_between`` is that between occasions, see
    ``latbench.timing.noise.floor_for``. ``conditions`` describes the measurement set (options,
    protocol, device), for a predictor's card.

    Raises UsageError unless every architecture has one positive, finite value.
    """

    space: AnySpace
    architectures: tuple[Any, ...]
    values: npt.NDArray[np.float64]
    backend: str
    device: str
    noise_floor: float | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    metric: Metric = LATENCY
    floor_between: float | None = None

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.architectures),):
            raise UsageError(
                f"{len(self.architectures)} architectures have values of {self.metric.label} "
                f"of shape {self.values.shape}; expected one each"
            )
        if not np.all((self.values > 0) & np.isfinite(self.values)):
            raise UsageError(
                f"{self.metric.label} must be positive and finite; leave failed rows out"
            )

    @property
    def floors(self) -> Floors:
        """Returns both noise floors."""
        return Floors(self.noise_floor, self.floor_between)

    def __len__(self) -> int:
        return len(self.architectures)

    @property
    def range_text(self) -> str:
        """Returns the smallest and the largest value with their unit, for people."""
        if not len(self):
            return "no rows"
        low, high = (self.metric.figure(v) for v in (self.values.min(), self.values.max()))
        return f"{low} to {high} {self.metric.shown_unit}"

    def __repr__(self) -> str:
        return (
            f"<LatencyDataset: {len(self):,} architectures of {self.space}; {self.metric.label} on "
            f"{self.backend} {self.range_text}, noise floor {percent(self.noise_floor)}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_facts(
            "LatencyDataset",
            {
                "space": self.space,
                "backend": self.backend,
                "device": self.device,
                "architectures": f"{len(self):,}",
                self.metric.label: self.range_text,
                "noise floor": percent(self.noise_floor),
                "between occasions": percent(self.floor_between),
            },
        )

    def encode(self, encoding: str | Encoding) -> Array:
        """Encodes the architectures as vectors ``(n, d)``; see ``latbench.encodings``."""
        return encode(self.space, self.architectures, encoding)

    @property
    def networks(self) -> Ints:
        """Returns ``network_numbers`` of the rows."""
        return network_numbers(self.space, self.architectures)

    def subset(self, indices: Sequence[int] | npt.NDArray[np.int_]) -> LatencyDataset:
        """Returns the rows at ``indices``, in that order."""
        return replace(
            self,
            architectures=tuple(self.architectures[int(i)] for i in indices),
            values=self.values[np.asarray(indices, dtype=int)],
        )

    def fingerprint(self) -> str:
        """Returns a hash of the space, backend and rows: changes when anything a predictor sees
        does."""
        metric = "" if self.metric == LATENCY else f"|{self.metric.name}"
        digest = hashlib.sha256(
            f"{json.dumps(self.space.identity(), sort_keys=True)}|{self.backend}{metric}".encode()
        )
        for architecture, value in zip(self.architectures, self.values, strict=True):
            # float(): numpy 1 and 2 print their own numbers differently.
            digest.update(f"{architecture}|{float(value)!r}\n".encode())
        return digest.hexdigest()[:16]
