"""Uniform single paths (Guo et al., 2020, https://arxiv.org/abs/1904.00420, section 3.2).

Every variable's value is drawn with equal odds, independently of the others. Drawn uniformly over
*architectures* instead, a variable's value would be the likelier the more hangs on it: in a space
whose depth is searched nearly every path would be among the deepest, and the shallow networks,
which keep limits, would be judged by weights that were hardly trained for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NoReturn, final

import numpy as np
import torch
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.search.relaxations.relaxation import Costs, Relaxation
from latbench.spaces import AnySpace
from latbench.spaces.variables import One

_TRIED, _ROUNDS = 32, 8  # paths that are drawn at once for a bin, and how often at most


@dataclass(frozen=True)
class Bins:
    """The ``number`` of equal bins of cost, relative to the target, from ``lightest`` to
    ``heaviest``."""

    number: int
    lightest: float
    heaviest: float


@final
class SinglePathRelaxation(Relaxation):
    """One uniformly drawn architecture a step; nothing is learned of it.

    With ``bins``, and costs to tell them by, a bin is drawn first, and then architectures until one
    is in it; after 256 the one that is nearest to its middle is taken.

    ``fixed (variables,)`` are the options at which variables are, -1 for those that are drawn.
    """

    name: ClassVar[str] = "single-path"
    where: Tensor
    fixed: Tensor

    def __init__(self, space: AnySpace, bins: Bins | None = None) -> None:
        super().__init__(space)
        self.bins = bins
        self._costs: Costs | None = None
        self._grow = space.forest.grow
        self.register_buffer("where", torch.empty(0), persistent=False)  # knows the device
        # In a checkpoint: it is the result of what was searched before.
        self.register_buffer("fixed", torch.full((len(space.forest.variables),), -1))
        self._values = [
            list(range(len(v.options))) if isinstance(v, One) else v.sets
            for v in space.forest.variables
        ]

    def _drawn(self, n: int, generator: Generator) -> list[tuple[int, ...]]:
        """Codes of ``n`` architectures, every value with equal odds."""
        rows = torch.rand(n, len(self._values), generator=generator, dtype=torch.float64).tolist()
        fixed = self.fixed.tolist()
        return [self._grown(row, fixed) for row in rows]

    def _grown(self, row: list[float], fixed: list[int]) -> tuple[int, ...]:
        """The code of one number from 0 to 1 a variable, which counts where that is free."""
        values = self._values
        return self._grow(
            lambda i: fixed[i] if fixed[i] >= 0 else values[i][int(row[i] * len(values[i]))]
        )

    def fixed_options(self) -> Tensor:
        """Returns ``fixed``."""
        return self.fixed

    def take_costs(self, costs: Costs) -> None:
        """Takes what tells the bins."""
        self._costs = costs

    def _path(self, generator: Generator) -> tuple[int, ...]:
        """The code of the architecture of a step."""
        if self.bins is None or self._costs is None:
            return self._drawn(1, generator)[0]
        width = (self.bins.heaviest - self.bins.lightest) / self.bins.number
        which = int(torch.randint(self.bins.number, (), generator=generator))
        middle = self.bins.lightest + (which + 0.5) * width
        nearest, off = list[tuple[int, ...]](), list[float]()
        for _ in range(_ROUNDS):
            codes = self._drawn(_TRIED, generator)
            away = np.abs(self._costs([self.space.of(code) for code in codes]) - middle)
            if (inside := np.flatnonzero(away <= width / 2)).size:
                return codes[int(inside[0])]
            nearest.append(codes[int(away.argmin())])
            off.append(float(away.min()))
        return nearest[int(np.argmin(off))]

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph, of zeros and ones."""
        weights = self.space.columns.weights([self._path(generator)])[0]
        return (torch.from_numpy(weights).to(self.where.device),)

    def derive(self) -> NoReturn:
        """Raises UsageError: paths stand for no architecture, the method chooses one."""
        raise UsageError("single paths have nothing to derive from; the method chooses")

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples encodings ``(n, d)`` as paths are drawn; they have no gradient."""
        one_hot = self.space.columns.one_hot(self._drawn(n, generator))
        return torch.from_numpy(one_hot).to(self.where.device)

    def probabilities(self) -> dict[str, Tensor]:
        """Returns equal odds for every option of every variable that chooses one."""
        return {
            v.name: torch.full((len(v.options),), 1 / len(v.options))
            for v in self.space.forest.variables
            if isinstance(v, One)
        }
