from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from latbench.search.baselines.trained_supernet import Scored, TrainedSupernet
from latbench.spaces import nasbench201

SPACE = nasbench201()


def convolutions(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array([0.5 + str(one).count("conv") for one in architectures])


def many(architecture: Any) -> float:
    """More convolutions are better, and dearer."""
    return float(convolutions([architecture])[0])


def trained(
    limit: float, fixed: tuple[int, ...] = (), told: Scored | None = None
) -> TrainedSupernet:
    """A judge that scores by convolutions."""

    def scorer(*_: Any) -> Any:
        return many

    return TrainedSupernet(SPACE, scorer, scorer, convolutions, limit, 0, fixed, told)


@pytest.mark.parametrize(("limit", "best"), [(math.inf, 6.5), (3.0, 2.5), (1.0, 0.5)])
def test_the_best_within_the_limit_is_found(limit: float, best: float) -> None:
    found = trained(limit).evolved(many, budget=150, population=20)
    assert convolutions([found])[0] == best
    drawn = trained(limit).sampled(many, budget=150)
    assert convolutions([drawn])[0] <= best
    assert convolutions([drawn])[0] <= limit


def test_where_nothing_is_within_the_limit_it_is_the_cheapest() -> None:
    for found in (trained(0.1).evolved(many, 150, 20), trained(0.1).sampled(many, 150)):
        assert convolutions([found])[0] == 0.5


def test_a_part_of_a_space_is_searched_until_it_is_all_known() -> None:
    """Two free variables of five options are 25 texts of 24 networks, fewer than the budget, and no
    more costs are asked for than that takes."""
    told, asked = list[tuple[int, int]](), list[int]()
    fixed = (*SPACE.reference().code[:4], -1, -1)
    judge = trained(math.inf, fixed, lambda *progress: told.append(progress))

    def cost(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
        asked.append(len(architectures))
        return convolutions(architectures)

    assert judge.networks == 24
    judge = replace(judge, cost=cost)
    for evolve in (True, False):
        told.clear()
        found = judge.evolved(many, 150, 50) if evolve else judge.sampled(many, 150)
        assert found.code[:4] == fixed[:4]
        assert convolutions([found])[0] == max(
            convolutions([SPACE.of((*fixed[:4], i, j)) for i in range(5) for j in range(5)])
        )
        assert told == [(k, 24) for k in range(1, 25)]
    assert sum(asked) <= 3 * 256
