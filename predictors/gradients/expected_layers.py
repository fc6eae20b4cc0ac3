"""The layers that a space's networks are expected to have, where each choice has odds of its own.

A predictor that is a sum over layers costs a distribution of networks exactly what its layers cost
times how often they are expected: with independent choices a layer's odds are the product of those
of the options that it depends on (``latbench.predictors.gradients.layer_terms``). No mean width or
size enters, at which a latency, a step function of both, may be another one.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from latbench.encodings.layers import LAYER_FEATURES, Slots, space_slots
from latbench.networks.network import kind_work
from latbench.networks.optimisation import savings
from latbench.predictors.gradients.layer_terms import Place, layer_terms
from latbench.spaces import AnySpace
from latbench.spaces.derived import specialise

# Networks by which it is found out whether a layer is one that an optimiser leaves out.
SEEN = 64


@lru_cache(maxsize=4)
def _saved(space: AnySpace) -> dict[Place, tuple[float, float]]:
    """Of each place of the supernet, in what share of sampled networks that have its layer this is
    a repeated and a fusible one. In the spaces of chains it is all of them or none."""
    counts: dict[Place, list[int]] = defaultdict(lambda: [0, 0, 0])
    supernet = space.supernet(search=False)
    for k in range(SEEN):
        derived = specialise(supernet, space, space.sample(0, k))
        repeated, fusible = savings(derived.network)
        for i, place in enumerate(derived.places):
            own = counts[place]
            own[0] += 1
            own[1] += i in repeated
            own[2] += i in fusible
    return {place: (b / a, c / a) for place, (a, b, c) in counts.items()}


class ExpectedLayers(nn.Module):
    """A module from a supernet's weights ``(m, columns)``, which are odds given that a variable
    exists, to the expected ``layers`` encoding ``(m, slots * 6)``.

    At weights of 0 and 1 it is the encoding of the architecture, with the work of every slot also
    where no layer is in it. Raises UsageError as ``layer_terms`` does.
    """

    sets: Tensor
    factors: Tensor
    slots: Tensor
    saved: Tensor
    fixed: Tensor

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        terms, forest = layer_terms(space), space.forest
        columns, one = forest.offsets[-1], forest.offsets[-1]
        sets: dict[tuple[int, frozenset[int]], int] = {}

        def column(i: int, options: frozenset[int]) -> int:
            if len(options) == 1:
                return forest.offsets[i] + next(iter(options))
            return sets.setdefault((i, options), columns + 1 + len(sets))

        rows = [
            [
                column(i, options) for i, options in term.needs.items()
                if len(options) < len(forest.variables[i].options)
            ]
            for term in terms
        ]  # fmt: skip
        most = max(map(len, rows), default=0)
        of_sets = np.zeros((columns, len(sets)), np.float32)
        for (i, options), place in sets.items():
            of_sets[[forest.offsets[i] + k for k in options], place - columns - 1] = 1
        shares = _saved(space)
        saved = [(1.0, *shares.get(term.place, (0.0, 0.0))) for term in terms]
        for name, values in {
            "sets": of_sets,
            "factors": np.array([[*row, *[one] * (most - len(row))] for row in rows], np.int64),
            "slots": np.array([term.slot for term in terms], np.int64),
            "saved": np.array(saved, np.float32),
            "fixed": _work(space_slots(space)),
        }.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(values)), persistent=False)

    def odds(self, weights: Tensor) -> Tensor:
        """Returns the odds of each term, ``(m, terms)``."""
        w = weights.float()
        every = torch.cat([w, w.new_ones(len(w), 1), w @ self.sets], dim=1)
        return every[:, self.factors].prod(-1)

    def forward(self, weights: Tensor) -> Tensor:
        """Returns the expected encoding."""
        odds = self.odds(weights)
        counts = odds.new_zeros(len(odds), len(self.fixed), 3)
        counts = counts.index_add(1, self.slots, odds[..., None] * self.saved)
        fixed = self.fixed.expand(len(odds), -1, -1)
        parts = {
            "counts": counts[..., 0], "repeated": counts[..., 1], "fusible": counts[..., 2],
            "macs": fixed[..., 0], "bytes_moved": fixed[..., 1], "group": fixed[..., 2],
        }  # fmt: skip
        return torch.stack([parts[name] for name in LAYER_FEATURES], dim=-1).flatten(1)


class OneHotToLayers(nn.Module):
    """A module that feeds the layers of one-hot encodings ``(m, d)`` to one that reads the
    ``layers`` encoding. Raises UsageError as ``layer_terms`` does."""

    places: Tensor

    def __init__(self, space: AnySpace, inner: nn.Module) -> None:
        super().__init__()
        self.layers, self.inner = ExpectedLayers(space), inner
        order = space.columns.one_hot_places
        places = [order.index(column) for column in range(space.forest.offsets[-1])]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)``."""
        out: Tensor = self.inner(self.layers(x[:, self.places]))
        return out


def _work(slots: Slots) -> npt.NDArray[np.float32]:
    """Multiply-accumulates, bytes moved and group of each slot, ``(slots, 3)``."""
    work = np.array([kind_work(kind) for kind in slots.numbers])
    return np.column_stack([work, slots.groups]).astype(np.float32)
