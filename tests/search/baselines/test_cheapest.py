"""The cheapest network, against the networks of a small space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from own_spaces import Joined, small_blocks

from latbench.search.baselines.cheapest import cheapest
from latbench.spaces import AnySpace, darts, nasbench201


@pytest.mark.parametrize("space", [nasbench201(), darts(), small_blocks(), Joined()], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_cheaper_where_a_cost_is_a_sum(space: AnySpace, seed: int) -> None:
    """Every option has a price of its own, or a rebate, the same under whatever it hangs."""
    width = len(space.one_hot(space.reference()))
    prices = np.random.default_rng(seed).standard_normal(width)

    def cost(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
        return space.one_hot_all(architectures).astype(float) @ prices

    found, least = cheapest(space, cost)
    assert least == pytest.approx(float(cost([found])[0]))
    if space.size <= 20_000:
        others = [space.unrank(rank) for rank in range(space.size)]
    else:
        others = [space.sample(seed, i) for i in range(2000)]
    assert least <= cost(others).min() + 1e-9
