"""The latency penalty of LA-DARTS (Xu et al., 2020, https://arxiv.org/abs/2001.06392).

    loss = task loss + weight * mean over samples of latency(sample) / reference latency

The samples are architectures drawn from the relaxation, so the predictor sees what it was trained
on: encodings of whole networks. Dividing by a reference makes ``weight`` mean the same on a fast
and on a slow device. Any other metric (``latbench.metric``) can stand in latency's place: the
penalty knows no unit.
"""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from latbench.errors import LatbenchError, UsageError
from latbench.search.relaxation import Relaxation


class PenaltyTerm(NamedTuple):
    """The term to add to the loss (a scalar with gradient) and the mean cost, as predicted."""

    loss: Tensor
    expected: float


@dataclass(frozen=True)
class LatencyPenalty:
    """``weight`` times the expected latency, or other cost, relative to ``reference``.

    ``module`` maps one-hot encodings ``(m, d)`` to costs ``(m,)`` or ``(m, 1)`` in the unit of
    ``reference`` (seconds, bytes, joules); the penalty uses a frozen copy of it in eval mode.
    ``samples`` is the number of architectures a step (m). Raises UsageError when the reference is
    not positive, the weight negative or samples below 1.
    """

    module: nn.Module
    reference: float
    weight: float
    samples: int = 8

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reference) and self.reference > 0):
            raise UsageError(f"the penalty's reference must be above 0, got {self.reference}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise UsageError(f"the penalty's weight must be 0 or more, got {self.weight}")
        if self.samples < 1:
            raise UsageError(f"the penalty needs at least 1 sample, got {self.samples}")
        frozen = copy.deepcopy(self.module).eval().requires_grad_(False)
        object.__setattr__(self, "module", frozen)

    def to(self, device: str) -> LatencyPenalty:
        """The same penalty with its module on another device."""
        return replace(self, module=copy.deepcopy(self.module).to(device))

    def term(self, relaxation: Relaxation, generator: Generator) -> PenaltyTerm:
        """The penalty at the relaxation's parameters now.

        Raises LatbenchError when the module returns another number of values than samples, or a
        value that is not finite.
        """
        cost = self._cost(relaxation, self.samples, generator)
        return PenaltyTerm(self.weight * cost / self.reference, cost.item())

    def expected(self, relaxation: Relaxation, generator: Generator) -> float:
        """Mean predicted cost of 256 samples, for reports. Errors as ``term``."""
        with torch.no_grad():
            return self._cost(relaxation, 256, generator).item()

    def _cost(self, relaxation: Relaxation, n: int, generator: Generator) -> Tensor:
        costs: Tensor = self.module(relaxation.sample(n, generator))
        if costs.numel() != n:
            raise LatbenchError(
                f"the penalty's module returned shape {tuple(costs.shape)} for {n} "
                "architectures; expected one value for each"
            )
        mean = costs.mean()
        if not torch.isfinite(mean):
            raise LatbenchError(
                f"the penalty's module predicted {mean.item()}; fit the predictor again"
            )
        return mean

    def fingerprint(self) -> str:
        """A hash of the module's parameters and the settings: changes when the penalty does."""
        digest = hashlib.sha256(repr((self.reference, self.weight, self.samples)).encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(name.encode() + values.numpy().tobytes())
        return digest.hexdigest()[:16]
