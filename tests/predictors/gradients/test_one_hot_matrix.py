"""Encodings as sums of what a search differentiates."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from doc_pages import DOCS, files_of

from latbench.errors import UsageError
from latbench.predictors.gradients.one_hot_matrix import one_hot_matrix
from latbench.spaces import AnySpace, darts, nasbench201, parse_space

DEEP = """
import numpy as np
import my_space

class Deep(my_space.MySpace):
    def sample(self, seed, index):
        picks = self.generator(seed, index).integers(6, size=self.config.layers)
        return my_space.Chain(tuple(int(i) for i in picks))

    def one_hot(self, architecture):
        return np.eye(6, dtype=np.float32)[list(architecture.kernels)].reshape(-1)

    def counts(self, architecture):  # 0 adds nothing
        return np.array([architecture.kernels.count(k) for k in range(1, 6)], np.float32)

class Twice(Deep):
    def counts(self, architecture):
        return 2 * super().counts(architecture)

class Pairs(Deep):
    def counts(self, architecture):
        return np.array([sum(a == b for a, b in zip(architecture.kernels,
                                                    architecture.kernels[1:]))], np.float32)
"""


@pytest.mark.parametrize("space", [darts(), nasbench201()])
def test_counts_are_a_sum_of_one_hot_entries(space: AnySpace) -> None:
    matrix = one_hot_matrix(space, "counts")
    assert set(np.unique(matrix)) == {0.0, 1.0}
    assert (matrix.sum(axis=1) <= 1).all()  # an entry adds to one count, 'none' to none
    operations = 8 if space.name == "darts" else 5
    assert (matrix.reshape(-1, operations, matrix.shape[1])[:, 0] == 0).all()
    for index in range(5000, 5200):  # not among those that it was found from
        a = space.sample(1, index)
        assert np.array_equal(space.one_hot(a) @ matrix, space.counts(a))


def test_counts_that_are_seldom_0_are_found_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 layers of 6 operations: each operation is in nearly every sample."""
    (tmp_path / "my_space.py").write_text(files_of(DOCS / "own-space.md")["my_space.py"])
    (tmp_path / "deep.py").write_text(DEEP)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_space", "deep"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    matrix = one_hot_matrix(parse_space("deep:Deep(layers=24)"), "counts")
    layer = np.vstack([np.zeros((1, 5)), np.eye(5)])
    assert np.array_equal(matrix, np.vstack([layer] * 24))
    twice = one_hot_matrix(parse_space("deep:Twice(layers=24)"), "counts")
    assert np.array_equal(twice, 2 * matrix)
    with pytest.raises(UsageError, match="no sum of one-hot entries"):
        one_hot_matrix(parse_space("deep:Pairs(layers=24)"), "counts")


def test_costs_are_not() -> None:
    with pytest.raises(UsageError, match="no sum of one-hot entries"):
        one_hot_matrix(nasbench201(channels=2, cells=1), "cost")
