from __future__ import annotations

import numpy as np
import pytest

from latbench.comparison.rank_agreement import agreement
from latbench.errors import NotEnoughData
from latbench.spaces import nasbench201
from latbench.store.dataset import LatencyDataset

SPACE = nasbench201()


def dataset(backend: str, indices: list[int], values: list[float]) -> LatencyDataset:
    chosen = tuple(SPACE.sample(0, i) for i in indices)
    return LatencyDataset(SPACE, chosen, np.array(values), backend, "d")


def test_worked_out_by_hand() -> None:
    a = dataset("a", [0, 1, 2, 3, 9], [1.0, 2.0, 3.0, 4.0, 100.0])
    b = dataset("b", [3, 2, 1, 0], [1.0, 2.0, 4.0, 3.0])  # the values of 3, 2, 1, 0
    found = agreement([a, b])
    assert len(found.shared) == 4
    assert found.median_s == (2.5, 2.5)
    # a over b: 1/3, 2/4, 3/2, 4/1
    assert found.speedup == pytest.approx((1.0, (0.5 + 1.5) / 2))
    # Ranks 1 2 3 4 against 3 4 2 1: 1 - 6 * (4 + 4 + 1 + 9) / (4 * 15)
    np.testing.assert_allclose(found.spearman, [[1, -0.8], [-0.8, 1]])


def test_too_few_in_common() -> None:
    a, b = dataset("a", [0, 1, 2], [1.0, 2.0, 3.0]), dataset("b", [1, 2], [1.0, 2.0])
    with pytest.raises(NotEnoughData, match=r"2 architectures were measured on all .*a, b"):
        agreement([a, b])
