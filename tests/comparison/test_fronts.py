"""Means over seeds of what was pruned, and which of them are on the front."""

from __future__ import annotations

import pytest
from made_pruned import made

from latbench.comparison.fronts import budget_means, by_model
from latbench.results import PrunedResult

RESULTS = [
    made("50%", 0.5, 0.94), made("50%", 0.52, 0.92, seed=1), made("20%", 0.2, 0.8),
    made("30%", 0.3, 0.79),
]  # fmt: skip


def test_seeds_are_means_and_a_budget_that_is_beaten_is_not_on_the_front() -> None:
    before, half, fifth, third = budget_means(RESULTS)
    assert (before.budget, before.latency_s, before.accuracy) == ("", 10e-3, 0.95)
    assert (before.predicted_s, before.of_budget, before.results) == (None, None, ())
    assert (half.latency_s, half.accuracy) == pytest.approx((5.1e-3, 0.93))
    assert half.deviation == pytest.approx(0.0141421, rel=1e-3)
    assert (half.predicted_s, half.of_budget) == pytest.approx((4.59e-3, 1.02))
    assert fifth.deviation is None
    assert [one.on_front for one in (before, half, fifth, third)] == [True, True, True, False]


def test_an_hour_in_which_the_machine_was_slow_moves_no_budget() -> None:
    """Its campaign took half as long again, for the model as well."""
    slow = made("20%", 0.2, 0.8, before=15e-3)
    before, *_, fifth = budget_means([RESULTS[0], made("40%", 0.4), slow])
    assert fifth.latency_s == pytest.approx(0.2 * before.latency_s)


def test_results_are_sorted_by_model() -> None:
    other = made(model="b@0123456789abcdef")
    assert by_model([RESULTS[0], other, RESULTS[2]]) == {
        RESULTS[0].model: [RESULTS[0], RESULTS[2]], other.model: [other]
    }  # fmt: skip


def test_a_budget_is_kept_up_to_three_per_cent_above_it() -> None:
    shares = (0.3, 0.5149, 0.5151)
    assert [made("50%", share).kept for share in shares] == [True, True, False]


def test_a_result_comes_back_from_its_values() -> None:
    values = RESULTS[0].values()
    assert values["kept"] is True
    assert PrunedResult.of(values) == RESULTS[0]
    assert (RESULTS[0].name, RESULTS[0].units) == ("a net", "groups of weights")
