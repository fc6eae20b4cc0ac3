from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from latbench.search.baselines.trained_supernet import TrainedSupernet
from latbench.spaces import nasbench201

SPACE = nasbench201()


def convolutions(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array([0.5 + str(one).count("conv") for one in architectures])


def trained(limit: float, asked: list[int] | None = None) -> TrainedSupernet:
    """More convolutions are better, and dearer."""

    def scorer(images: int, calibration: int) -> Any:
        if asked is not None:
            asked.append(images)
        return lambda one: float(convolutions([one])[0])

    return TrainedSupernet(SPACE, scorer, convolutions, limit, 0)


@pytest.mark.parametrize(("limit", "best"), [(math.inf, 6.5), (3.0, 2.5), (1.0, 0.5)])
def test_the_best_within_the_limit_is_found(limit: float, best: float) -> None:
    asked: list[int] = []
    found = trained(limit, asked).evolved(budget=150, population=20, images=9)
    assert convolutions([found])[0] == best
    assert asked == [9]


def test_where_nothing_is_within_the_limit_it_is_the_cheapest() -> None:
    found = trained(0.1).evolved(budget=150, population=20, images=9)
    assert convolutions([found])[0] == 0.5
