"""A target instead of a weight: the multiplier of "at most this cost", found while searching.

The search minimises the task loss subject to ``g = cost / target - 1 <= 0``, by the modified
differential multiplier method (Platt and Barr, NIPS 1987, "Constrained differential optimization",
https://papers.neurips.cc/paper/1987/hash/a87ff679a2f3e71d9181a67b7542122c-Abstract.html): while the
parameters descend, the multiplier ``m`` ascends, and a damping term keeps the two from circling.
For an inequality it is the augmented Lagrangian's (Nocedal and Wright, "Numerical optimization",
2006, section 17.4):

    gradient = task gradient + max(0, m + DAMPING * g) * gradient of the expected cost / target
    m <- max(0, m + GAIN * learning rate * g)

``g`` is of the architecture that would be derived now, not of the sampled ones. Only the derived
network has to keep the target, and while the parameters are flat the two are far apart: held to the
samples' mean, a synthetic search ended between 26 % and 138 % of its target (docs/search.md,
2026-11-24).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from latbench.search.relaxations.relaxation import Relaxation

# How fast the multiplier moves beside the parameters, and what stands against their circling.
# Chosen on synthetic task gradients over a factor of 100 (tests/search/test_constraint.py,
# 2026-11-24).
GAIN = 10.0
DAMPING = 3.0
# So far above the target, further excess raises the pressure no further.
MOST = 1.0


class Constraint(nn.Module):
    """The multiplier, and the parameters of the best architecture that kept the target.

    A derived network changes in jumps, so that the last one may lie on either side of the target.
    ``kept`` is the one that came closest to the target from below in the last epoch that had one.
    What the parameters are before their first step, and in all epochs before ``first``, in which
    they rest, was not found: it never counts, nor does it in a checkpoint that has taken it down
    (latbench up to November 2026 did).
    All state is in buffers on the CPU, or in ``kept``, and goes into a checkpoint.
    """

    multiplier: Tensor
    excess: Tensor
    best: Tensor
    epoch: Tensor

    def __init__(self, relaxation: Relaxation, learning_rate: float, first: int = 0) -> None:
        """``learning_rate`` is that of the relaxation's parameters, ``first`` the epoch, from 0, in
        which they begin to move."""
        super().__init__()
        self.first = first
        self.rate = GAIN * learning_rate
        self.kept = copy.deepcopy(relaxation).requires_grad_(False)
        for name, start in (("multiplier", 0.0), ("excess", 0.0), ("best", -math.inf)):
            self.register_buffer(name, torch.tensor(start, dtype=torch.float64))
        self.register_buffer("epoch", torch.tensor(-1))

    @property
    def met(self) -> bool:
        """Returns whether any derived architecture kept the target."""
        return bool(self.epoch >= self.first)

    def kept_or(self, relaxation: Relaxation) -> Relaxation:
        """Returns what the search found: ``kept``, or ``relaxation`` when nothing kept the
        target."""
        return self.kept if self.met else relaxation

    def pressure(self) -> float:
        """Returns the weight of the relative cost in the loss now."""
        return max(0.0, self.multiplier.item() + DAMPING * self.excess.item())

    def observe(
        self, relaxation: Relaxation, relative: float, epoch: int, moved: bool = True
    ) -> None:
        """Moves the multiplier before a step by the cost of what would be derived now.

        Args:
            relaxation: The relaxation that derives it; it counts as found where it ``moved``.
            relative: Its cost over the target.
            epoch: The epoch, from 0.
            moved: False before the first step only.
        """
        excess = min(MOST, relative - 1)
        self.excess.fill_(excess)
        self.multiplier.fill_(max(0.0, self.multiplier.item() + self.rate * excess))
        if moved:
            self.keep(relaxation, relative, epoch)

    def keep(self, relaxation: Relaxation, relative: float, epoch: int) -> None:
        """Takes the parameters down if what would be derived now is the best so far, unless they
        rest still."""
        excess = relative - 1
        if epoch < self.first or excess > 0:
            return
        if self.epoch.item() != epoch or excess >= self.best.item():
            self.best.fill_(excess)
            self.epoch.fill_(epoch)
            self.kept.load_state_dict(relaxation.state_dict())
