"""What a report shows: plain values, filled in from a store, predictors and searches.

The page is a function of these alone, so that it can be drawn from a live experiment, from stored
files, or from made-up values in a test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PredictorResult:
    """One predictor's cross-validated predictions, row by row those of its backend."""

    name: str
    predicted: tuple[float, ...]
    # metric name ("mape", "rmse", "within_5", "within_10", "spearman", "kendall") to
    # (value, low, high): the bootstrap interval's ends. Shares and MAPE are fractions.
    metrics: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class BackendResult:
    """The measurements of one backend and what the predictors made of them."""

    backend: str
    device: str
    architectures: tuple[str, ...]
    measured: tuple[float, ...]
    noise_floor: float | None
    predictors: tuple[PredictorResult, ...] = ()
    failed: int = 0
    conditions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchEpoch:
    """One epoch of a search. Accuracy and entropy are fractions of 1 and nats."""

    epoch: int
    train_accuracy: float
    validation_accuracy: float
    # Of the penalty's metric, in its unit (seconds for latency); NaN without a penalty.
    expected: float
    entropy: float


@dataclass(frozen=True)
class SearchResult:
    """One finished search and the truth about the network that it derived."""

    label: str
    backend: str
    penalty_weight: float
    architecture: str
    history: tuple[SearchEpoch, ...]
    # In the unit of the search's metric: seconds for latency.
    predicted: float
    measured: float | None = None
    accuracy: float | None = None
    parameters: int | None = None
    macs: int | None = None
    # Measured on the experiment's other backends, seconds by backend name.
    measured_elsewhere_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportData:
    """Everything on one page."""

    title: str
    created: str
    space: str
    machine: dict[str, str]
    backends: tuple[BackendResult, ...]
    searches: tuple[SearchResult, ...] = ()
    notes: tuple[str, ...] = ()
