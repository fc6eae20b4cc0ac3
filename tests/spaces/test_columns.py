"""Architectures as vectors with named columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from own_spaces import Blocks, one_hot_names
from strategies import spaces_and_architectures

from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.variables import One

EVERY: list[AnySpace] = [darts(), darts(least_inputs=1, most_inputs=5), nasbench201(), Blocks()]


@pytest.mark.parametrize("space", EVERY, ids=str)
def test_columns_say_what_they_stand_for(space: AnySpace) -> None:
    for i in range(20):
        a = space.sample(0, i)
        expected = {
            f"{v.name}={option}"
            for v in space.forest.variables if (value := a[v.name]) is not None
            for option in ([value] if isinstance(value, str) else value)
        }  # fmt: skip
        weights = space.columns.weights([a.code])[0]
        assert {n for n, w in zip(space.forest.columns, weights, strict=True) if w} == expected
        row = space.one_hot(a)
        named = {n for n, x in zip(one_hot_names(space), row, strict=True) if x}
        assert named <= expected
        ones = {v.name for v in space.forest.variables if isinstance(v, One)}
        assert {n for n in expected if n.split("=")[0] in ones} <= named


@pytest.mark.parametrize("space", EVERY, ids=str)
def test_counts_are_sums_of_columns(space: AnySpace) -> None:
    several = [space.sample(0, i) for i in range(100)]
    one_hot, counts = space.one_hot_all(several), space.counts_all(several)
    np.testing.assert_array_equal(one_hot @ space.counts_matrix(), counts)
    assert counts.shape[1] == len(space.columns.labels)
    for a, row in zip(several[:10], counts, strict=False):
        by_hand = dict.fromkeys(space.columns.labels, 0)
        for name, value in a.values().items():
            v = space.forest[name]
            for option in [value] if isinstance(value, str) else value:
                if isinstance(v, One) and (label := space.label(v, option)) is not None:
                    by_hand[label] += 1
        assert list(by_hand.values()) == row.tolist()


@settings(deadline=None)
@given(spaces_and_architectures())
def test_many_are_encoded_as_each(pair: tuple[AnySpace, object]) -> None:
    space, _ = pair
    several = [space.sample(0, i) for i in range(5)]
    for all_, each in ((space.one_hot_all, space.one_hot), (space.counts_all, space.counts)):
        np.testing.assert_array_equal(all_(several), np.stack([each(a) for a in several]))
    assert space.one_hot_all([]).shape == (0, len(space.one_hot(several[0])))
    assert space.counts_all([]).shape == (0, len(space.counts(several[0])))


def test_what_is_absent_has_a_column_of_zeros() -> None:
    space = darts()
    names = one_hot_names(space)
    assert names[:2] == ["", "normal.0.0=max_pool_3x3"]
    none = [i for i, name in enumerate(names) if not name]
    assert len(none) == 28
    assert not space.one_hot_all([space.sample(0, i) for i in range(200)])[:, none].any()
