"""The latency penalty of LA-DARTS (Xu et al., 2020, https://arxiv.org/abs/2001.06392).

    loss = task loss + weight * mean over samples of latency(sample) / reference latency

The samples are architectures drawn from the relaxation, so the predictor sees what it was trained
on: encodings of whole networks. Where choices are independent and the predictor is a sum, the mean
is exact instead (``latbench.predictors.gradients.expectation``). Dividing by a reference makes
``weight`` mean the same on a fast and on a slow device. Any other metric
(``latbench.timing.metric``) can stand in latency's place: the penalty knows no unit.

Two things go beyond the paper. A *target* replaces the weight by a multiplier that the search finds
(``latbench.search.constraint``). Several backends can be paid for at once, each relative to a
reference (or target) of its own. See ``docs/search.md``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

from latbench.errors import LatbenchError, UsageError
from latbench.predictors.gradients.expectation import Odds, expected_cost
from latbench.search.checkpoint import fingerprint
from latbench.search.config import SearchConfig
from latbench.search.constraint import Constraint
from latbench.search.judge import Judge
from latbench.search.relaxations.relaxation import Relaxation
from latbench.spaces import AnySpace
from latbench.timing.metric import Metric

if TYPE_CHECKING:
    from latbench.predictors.model import LatencyModel

Combine = Literal["worst", "mean"]
SEEN = 16  # random architectures of which it is asked what a predictor sees


class PenaltyTerm(NamedTuple):
    """The term to add to the loss (a scalar with gradient) and the mean cost, as predicted."""

    loss: Tensor
    expected: float


@dataclass(frozen=True)
class Cost:
    """The cost of an architecture on one more backend.

    ``module`` maps one-hot encodings ``(m, d)`` to costs ``(m,)`` or ``(m, 1)`` in the unit of
    ``reference`` and ``target``; ``share`` is its weight in a mean over backends. ``judge`` says
    what derived architectures cost; the module does where there is none. Raises UsageError for a
    number that is not positive.
    """

    module: nn.Module
    reference: float
    target: float | None = None
    share: float = 1.0
    judge: Judge | None = None

    def __post_init__(self) -> None:
        for name in ("reference", "target", "share"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"the penalty's {name} must be above 0, got {value}")
        object.__setattr__(self, "module", copy.deepcopy(self.module).eval().requires_grad_(False))

    @property
    def scale(self) -> float:
        """Returns what the cost is relative to: the target, or the reference without one."""
        return self.reference if self.target is None else self.target

    def of(self, encodings: Tensor) -> Tensor:
        """Returns costs ``(m,)``. Raises LatbenchError for another number of values or one that is
        not finite."""
        values: Tensor = self.module(encodings)
        if values.numel() != len(encodings):
            raise LatbenchError(
                f"the penalty's module returned shape {tuple(values.shape)} for {len(encodings)} "
                "architectures; expected one value for each"
            )
        return self._checked(values)

    @staticmethod
    def _checked(values: Tensor) -> Tensor:
        mean = values.mean()
        if not torch.isfinite(mean):
            raise LatbenchError(
                f"the penalty's module predicted {mean.item()}; fit the predictor again"
            )
        return values.reshape(-1)

    def expected(self, odds: Odds) -> Tensor | None:
        """Returns the expected cost ``(1,)`` of independent choices; None where it takes samples.
        Raises LatbenchError for one that is not finite."""
        value = expected_cost(self.module, odds)
        return None if value is None else self._checked(value)

    def of_derived(self, architectures: Sequence[Any], encodings: Tensor) -> Tensor:
        """Returns the costs ``(m,)`` of architectures with their one-hot encodings ``(m, d)``."""
        if self.judge is None:
            return self.of(encodings)
        return torch.tensor(self.judge.costs(architectures), device=encodings.device)


@dataclass(frozen=True)
class LatencyPenalty:
    """A penalty of ``weight`` times the expected latency, or other cost, relative to ``reference``.

    ``module`` maps one-hot encodings ``(m, d)`` to costs ``(m,)`` or ``(m, 1)`` in the unit of
    ``reference`` (seconds, bytes, joules); the penalty uses a frozen copy of it in eval mode.
    ``samples`` is the number of architectures a step (m); ``judge`` see ``Cost``. ``metric`` is
    what the costs are of, to show them by; without one they are shown as numbers.

    With a ``target``, in the same unit, the search is held to "at most the target", and the weight
    must be 0. ``others`` are further backends; every architecture's relative costs become one
    number, the largest of them (``combine="worst"``) or their mean weighted by ``share``.

    Raises UsageError when the reference or the target is not positive, the weight negative, samples
    below 1, there are both a weight and a target, or only some backends have a target.
    """

    module: nn.Module
    reference: float
    weight: float
    samples: int = 8
    target: float | None = None
    others: tuple[Cost, ...] = ()
    combine: Combine = "worst"
    share: float = 1.0
    judge: Judge | None = None
    metric: Metric | None = None
    # All backends, the first one first.
    costs: tuple[Cost, ...] = field(init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        model: LatencyModel,
        config: SearchConfig,
        reference: float | None = None,
        judge: LatencyModel | None = None,
    ) -> LatencyPenalty:
        """Makes the penalty that a search's settings ask for.

        Args:
            model: The model that predicts the cost; its predictor has a gradient.
            config: The settings.
            reference: What the cost is relative to, in the metric's unit; by default the prediction
                for the space's reference architecture.
            judge: The model that says what is derived costs, where it is more accurate than
                ``model``; it needs no gradient.

        Returns:
            The penalty.

        Raises:
            UsageError: When the predictor has no gradient.
        """
        if reference is None:
            reference = float(model.predict([model.space.reference()])[0])
        return cls(
            model.as_module(), reference, config.penalty_weight, config.penalty_samples,
            config.target, judge=None if judge is None else Judge(judge), metric=model.metric,
        )  # fmt: skip

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise UsageError(f"the penalty's weight must be 0 or more, got {self.weight}")
        if self.samples < 1:
            raise UsageError(f"the penalty needs at least 1 sample, got {self.samples}")
        if self.combine not in ("worst", "mean"):
            raise UsageError(f"combine must be 'worst' or 'mean', got {self.combine!r}")
        self._check_targets()
        first = Cost(self.module, self.reference, self.target, self.share, self.judge)
        object.__setattr__(self, "module", first.module)
        object.__setattr__(self, "costs", (first, *self.others))

    def _check_targets(self) -> None:
        if any((cost.target is None) != (self.target is None) for cost in self.others):
            raise UsageError("give every backend of the penalty a target, or none of them")
        if self.target is None:
            return
        if self.weight > 0:
            raise UsageError(
                f"a penalty with a target finds its weight itself; set the weight to 0, got "
                f"{self.weight}"
            )
        if self.others and self.combine != "worst":
            raise UsageError("targets on several backends need combine='worst', got 'mean'")

    def shown(self, cost: float) -> str:
        """Returns a cost as a text, with its unit where the metric is known."""
        return f"{cost:g}" if self.metric is None else self.metric.show(cost, 3)

    def to(self, device: str) -> LatencyPenalty:
        """Returns a copy of the penalty with its modules on another device."""
        others = tuple(replace(c, module=copy.deepcopy(c.module).to(device)) for c in self.others)
        return replace(self, module=copy.deepcopy(self.module).to(device), others=others)

    def term(
        self, relaxation: Relaxation, generator: Generator, constraint: Constraint | None = None
    ) -> PenaltyTerm:
        """Returns the penalty at the relaxation's parameters now; ``constraint`` gives the weight
        of a penalty with a target.

        Raises LatbenchError when a module returns another number of values than samples, or a
        value that is not finite.
        """
        values = self._values(relaxation, self.samples, generator)
        weight = self.weight if constraint is None else constraint.pressure()
        return PenaltyTerm(weight * self._combined(values).mean(), values[0].mean().item())

    def expected(self, relaxation: Relaxation, generator: Generator) -> float:
        """Returns the mean predicted cost on the first backend, for reports: of 256 samples, or
        exactly, as in ``term``. Raises as ``term`` does."""
        with torch.no_grad():
            return self._values(relaxation, 256, generator)[0].mean().item()

    def cost_of(self, architecture: Any, encoding: Tensor) -> tuple[float, float]:
        """Returns the cost of an architecture with the one-hot encoding ``(d,)``, and what is paid
        for.

        The cost is that on the first backend. Paid for is its cost relative to the target or
        reference (combined over the backends).
        """
        with torch.no_grad():
            values = [cost.of_derived([architecture], encoding[None]) for cost in self.costs]
            return values[0].item(), self._combined(values).item()

    def paid_for(self, space: AnySpace, architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Returns what is paid for each of several architectures, as ``cost_of`` does."""
        encodings = torch.from_numpy(space.one_hot_all(architectures)).to(self._device())
        with torch.no_grad():
            values = [cost.of_derived(architectures, encodings) for cost in self.costs]
            paid: npt.NDArray[np.float64] = self._combined(values).double().cpu().numpy()
        return paid

    def _device(self) -> torch.device:
        tensors = (t for c in self.costs for t in (*c.module.parameters(), *c.module.buffers()))
        return next((t.device for t in tensors), torch.device("cpu"))

    def check_sees(self, space: AnySpace, name: str) -> None:
        """Checks that the options of a variable differ in what they cost, in any of a few random
        architectures that have it; of a penalty that pays for nothing, nothing.

        Args:
            space: The space.
            name: The variable's name.

        Raises:
            UsageError: When a backend's module gives all of them one cost.
        """
        if self.target is None and self.weight == 0:
            return
        i, forest = space.forest.index[name], space.forest
        order = space.columns.one_hot_places
        columns = [order.index(c) for c in range(*forest.offsets[i : i + 2])]
        drawn = [
            space.of(forest.having(i, space.sample(0, k).code, space.generator(0, k)))
            for k in range(SEEN)
        ]
        swapped = torch.from_numpy(space.one_hot_all(drawn)).float().repeat(len(columns), 1, 1)
        swapped[..., columns] = torch.eye(len(columns))[:, None]
        for cost in self.costs:
            with torch.no_grad():
                values = cost.of(swapped.flatten(0, 1)).view(len(columns), SEEN)
            if (values.amax(0) - values.amin(0) <= 1e-6 * values.abs().amax()).all():
                raise UsageError(
                    f"a predictor of the penalty gives all options of {name!r} one cost, "
                    f"{', '.join(forest.variables[i].options)} (columns {columns[0]} to "
                    f"{columns[-1]} of the one-hot encoding): nothing could be searched by it; fit "
                    "one that reads them, such as ridge-layers or mlp"
                )

    def _values(self, relaxation: Relaxation, n: int, generator: Generator) -> list[Tensor]:
        """Every backend's costs in its unit: of ``n`` samples ``(n,)`` or, where they are exact,
        expected ones ``(1,)``.

        Of several backends the worst is then that of the expected costs.
        """
        odds = relaxation.expected_odds()
        if odds is not None:
            expected = [cost.expected(odds) for cost in self.costs]
            if all(value is not None for value in expected):
                return [value for value in expected if value is not None]
        encodings = relaxation.sample(n, generator)
        return [cost.of(encodings) for cost in self.costs]

    def _combined(self, values: list[Tensor]) -> Tensor:
        """Relative costs ``(m,)``, one number an architecture."""
        relative = [v / cost.scale for v, cost in zip(values, self.costs, strict=True)]
        if len(relative) == 1:
            return relative[0]
        stacked = torch.stack(relative)
        if self.combine == "worst":
            return stacked.amax(dim=0)
        shares = stacked.new_tensor([cost.share for cost in self.costs])
        return (shares / shares.sum()) @ stacked

    def fingerprint(self) -> str:
        """Returns a hash of the modules' parameters and the settings: changes when the penalty
        does."""
        numbers = [
            (c.reference, c.target, c.share, c.judge and c.judge.fingerprint()) for c in self.costs
        ]
        about = repr((self.weight, self.samples, self.combine, numbers))
        return fingerprint(*(cost.module.state_dict() for cost in self.costs), about=about)


def check_penalty(
    penalty: LatencyPenalty | None, weight: float, target: float | None, samples: int
) -> None:
    """Checks that a penalty is the one that a search's settings ask for.

    They stand in both, and a search without the penalty asked for would look the same.

    Args:
        penalty: The penalty; None for no penalty.
        weight: The weight asked for.
        target: The target asked for, in the metric's unit; None for no target.
        samples: The number of sampled encodings asked for.

    Raises:
        UsageError: When it is another one.
    """
    given: tuple[float, float | None, int] = (0.0, None, samples)
    if penalty is not None:
        given = (penalty.weight, penalty.target, penalty.samples)
    if given != (weight, target, samples):
        raise UsageError(
            f"the configuration asks for a penalty of {_described(weight, target, samples)}, but "
            f"the penalty given has {_described(*given)}; make it with "
            "LatencyPenalty.of(model, config)"
        )


def _described(weight: float, target: float | None, samples: int) -> str:
    held = "" if target is None else f" and target {target}"
    return f"weight {weight}{held} with {samples} samples"
