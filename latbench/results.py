"""The results of comparisons and searches, as plain values.

Predictors and searches give them, experiments keep them, and reports show them.

A report's page is a function of these alone, so that it can be drawn from a live experiment, from
stored files, or from made-up values in a test.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from latbench.timing.metric import LATENCY, Metric
from latbench.timing.verdicts import LimitVerdict, Verdict, judge_limit, keeps_budget, of_all

STATED_LEVEL = 0.9  # of the intervals that predictors are asked for


@dataclass(frozen=True)
class PredictorCosts:
    """The costs of one predictor: the seconds of a fit, its speed, its size, its intervals.

    ``predicted_per_s`` counts architectures that are encoded already; ``coverage_90`` is the share
    of rows inside 90 % intervals that other folds calibrated, None where there are too few.
    """

    fit_s: float
    predicted_per_s: float
    model_bytes: int
    coverage_90: float | None


@dataclass(frozen=True)
class CurvePoint:
    """The MAPE (a fraction) of a predictor fitted on ``n`` rows, one a random split."""

    n: int
    mape: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Returns the mean over the splits."""
        return statistics.fmean(self.mape)


@dataclass(frozen=True)
class PredictorResult:
    """One predictor's cross-validated predictions, row by row those of its backend, in the unit of
    the backend's metric."""

    name: str
    predicted: tuple[float, ...]
    # "mape", "rmse", "within_5", "within_10", "spearman" and "kendall" to (value, low, high): the
    # bootstrap interval's ends. Shares and MAPE are fractions, the RMSE is in the metric's unit.
    metrics: dict[str, tuple[float, float, float]]
    costs: PredictorCosts | None = None
    # One point a number of rows, rising; empty where none was taken.
    curve: tuple[CurvePoint, ...] = ()
    differentiable: bool = False  # whether a search can follow its gradient


@dataclass(frozen=True)
class BackendResult:
    """The measurements of one metric on one backend and what the predictors made of them.

    ``measured`` is in the metric's unit.
    """

    backend: str
    device: str
    architectures: tuple[str, ...]
    measured: tuple[float, ...]
    noise_floor: float | None
    predictors: tuple[PredictorResult, ...] = ()
    failed: int = 0
    conditions: dict[str, Any] = field(default_factory=dict)
    metric: Metric = LATENCY
    floor_between: float | None = None


@dataclass(frozen=True)
class SearchEpoch:
    """One epoch of a search. Accuracy and entropy are fractions of 1 and nats.

    What a search does not know is NaN, and null in a file: see the fields.
    """

    epoch: int
    train_accuracy: float
    validation_accuracy: float
    # The expected cost in the unit of the penalty's metric (seconds for latency), and how undecided
    # the choices are. Both are NaN where the weights alone are trained, the cost also without a
    # penalty.
    expected: float
    entropy: float
    # In a search with a target: the cost of what would be derived, as predicted, in the same unit,
    # and the multiplier of the relative cost that the search has come to.
    derived: float | None = None
    multiplier: float | None = None
    # What would be derived after this epoch, as text; empty where it was not taken down.
    architecture: str = ""

    def values(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return {k: None if v != v else v for k, v in asdict(self).items()}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SearchEpoch:
        """Returns the epoch with these ``values``."""
        unknown = {k: math.nan for k in ("expected", "entropy") if values[k] is None}
        return cls(**{**values, **unknown})


@dataclass(frozen=True)
class Stated:
    """A predictor's statement about its own prediction of a network, before that was measured.

    ``low`` and ``high`` are the ends of its 90 % interval, in the metric's unit; ``error`` is its
    cross-validated MAPE (a fraction). Each is None where the predictor states none.
    """

    low: float | None = None
    high: float | None = None
    error: float | None = None

    def side(self, measured: float) -> str | None:
        """Returns whether a measurement is "within", "below" or "above" the interval; None without
        one."""
        if self.low is None or self.high is None:
            return None
        return "below" if measured < self.low else "above" if measured > self.high else "within"


@dataclass(frozen=True)
class SearchResult:
    """One finished search and the truth about the network that it derived.

    All costs are of the metric that the search paid for, in its unit (seconds for latency).
    """

    label: str
    backend: str
    penalty_weight: float
    architecture: str
    history: tuple[SearchEpoch, ...]
    predicted: float
    measured: float | None = None
    accuracy: float | None = None
    parameters: int | None = None
    macs: int | None = None
    # Measured on the experiment's other backends, by backend name.
    measured_elsewhere: dict[str, float] = field(default_factory=dict)
    metric: Metric = LATENCY
    # At most this cost was asked for, on ``backend``, in these words ("5ms", or "80%" of a
    # reference); and whether, as predicted, it was kept.
    target: float | None = None
    asked: str = ""
    met: bool | None = None
    # All backends that were paid for at once, ``backend`` first; empty where it is the only one.
    together: tuple[str, ...] = ()
    # One an independent training of the derived network; ``accuracy`` is their mean.
    accuracies: tuple[float, ...] = ()
    # Predicted by the other backends' predictors, by backend name.
    predicted_elsewhere: dict[str, float] = field(default_factory=dict)
    # What λ and a share such as "80%" are relative to, on ``backend``; None in older files.
    reference: float | None = None
    # The limits on the other backends that were paid for at once, by backend name.
    targets_elsewhere: dict[str, float] = field(default_factory=dict)
    # The statement of every predictor, by backend name.
    stated: dict[str, Stated] = field(default_factory=dict)
    # How far two measurements of the network may lie apart, a fraction, by the name of each backend
    # that it was measured on and that anything is known of; see ``Store.noise``.
    noise: dict[str, float] = field(default_factory=dict)
    # Names of predictors, for ``backend`` and in this order: the one whose gradient is the penalty
    # (``expected`` of the epochs), the one that says over the epochs whether a target is kept
    # (``derived``), the one that ``predicted`` comes from. Empty in older files.
    guide: str = ""
    keeper: str = ""
    judge: str = ""
    # What to beware of in what was found, in sentences.
    doubts: tuple[str, ...] = ()
    # The odds at the end of each variable's options, and of sets of inputs where these have odds of
    # their own: by the variable's name, and the texts of its values. Empty where nothing had odds.
    odds: dict[str, dict[str, float]] = field(default_factory=dict)
    set_odds: dict[str, dict[str, float]] = field(default_factory=dict)
    # What was chosen of the variables that say how many channels there are: of each kind of them
    # ("width", "expansion") the options' texts by the variables' names.
    numbers: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Returns whether the search was for accuracy alone."""
        return self.target is None and not self.penalty_weight > 0

    @property
    def goal(self) -> str:
        """Returns what the search was for, apart from the backend."""
        if self.target is None:
            return f"λ = {self.penalty_weight:g}"
        share = f" ({self.asked})" if self.asked.endswith("%") else ""
        return f"at most {self.metric.show(self.target, 3)}{share}"

    @property
    def goal_key(self) -> tuple[float, str]:
        """Returns a key that is equal for searches that were for the same on different backends."""
        return self.penalty_weight, self.asked

    @property
    def deviation(self) -> float | None:
        """Returns the standard deviation of the accuracies; None with fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    def cost_on(self, backend: str) -> float | None:
        """Returns the cost measured on any backend; None where it was not."""
        return self.measured if backend == self.backend else self.measured_elsewhere.get(backend)

    def predicted_on(self, backend: str) -> float | None:
        """Returns the cost predicted for any backend; None where no predictor was asked."""
        own = backend == self.backend
        return self.predicted if own else self.predicted_elsewhere.get(backend)

    @property
    def limits(self) -> dict[str, float]:
        """Returns the limits that were asked for, by backend name; none for a penalty weight."""
        return {} if self.target is None else {self.backend: self.target, **self.targets_elsewhere}

    @property
    def verdicts(self) -> dict[str, LimitVerdict]:
        """Returns the measurement's verdict on each limit, by backend name; none for one that was
        not measured yet."""
        return {
            name: judge_limit(cost, limit, self.noise.get(name))
            for name, limit in self.limits.items()
            if (cost := self.cost_on(name)) is not None and math.isfinite(cost)
        }

    @property
    def verdict(self) -> Verdict | None:
        """Returns the measurement's verdict on the limits, which is what counts (``met`` is the
        prediction's); None without a limit, or before all of its backends were measured."""
        found = self.verdicts
        if not found or len(found) < len(self.limits):
            return None
        return of_all(one.verdict for one in found.values())


@dataclass(frozen=True)
class PrunedResult:
    """A model pruned to one budget from one seed, and what it was measured to take.

    Latencies are in seconds. Those before and after are of one campaign, in which both were timed
    side by side; ``budget_s`` and ``predicted_s`` (what the predictor, or the latency table, said
    of the choice) are for that campaign, too: shares of a latency are shares of the one in it.
    Accuracies are fractions.
    """

    method: str
    # Both models by their texts; the folder in which the pruned one was saved, and the store, as
    # seen from the folder above it, with the campaign.
    model: str
    pruned: str
    folder: str
    store: str
    backend: str
    budget: str  # as it was asked for: "5ms", or "50%"
    seed: int
    budget_s: float
    latency_before_s: float
    latency_s: float
    predicted_s: float
    # How far two measurements of the pruned model may lie apart, a fraction; see ``Store.noise``.
    noise: float | None
    accuracy_before: float
    accuracy: float
    parameters_before: int
    parameters: int
    # The channels, or groups of weights, that each layer had and has.
    widths_before: dict[str, int]
    widths: dict[str, int]
    rounds: tuple[dict[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Returns what the model was called."""
        return self.model.rpartition("@")[0] or self.model

    @property
    def kept(self) -> bool:
        """Returns whether the budget was kept, as measured."""
        return keeps_budget(self.latency_s, self.budget_s)

    @property
    def units(self) -> str:
        """Returns what its widths are numbers of."""
        return "channels" if self.method == "channels" else "groups of weights"

    def values(self) -> dict[str, Any]:
        """Returns the fields, and whether the budget was kept, as JSON values."""
        return {**asdict(self), "kept": self.kept}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> PrunedResult:
        """Returns the result with these ``values``."""
        known = {k: v for k, v in values.items() if k != "kept"}
        return cls(**{**known, "rounds": tuple(known["rounds"])})


@dataclass(frozen=True)
class ReportData:
    """The data of a report: everything on one page."""

    title: str
    created: str
    space: str
    machine: dict[str, str]
    backends: tuple[BackendResult, ...]
    searches: tuple[SearchResult, ...] = ()
    notes: tuple[str, ...] = ()
    # The settings of the searches that are not the default: name, value and default as texts.
    settings: tuple[tuple[str, str, str], ...] = ()
    pruned: tuple[PrunedResult, ...] = ()

    def __repr__(self) -> str:
        told = ", ".join(dict.fromkeys(b.backend for b in self.backends)) or "no backend"
        return f"<ReportData {self.title!r}: {told}; {len(self.searches):,} searches>"
