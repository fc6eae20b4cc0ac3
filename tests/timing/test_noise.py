"""What noise lets a predictor reach: one figure and one decision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from latbench.cli.round_bars import judged_sentence, stated
from latbench.predictors.evaluation.recommend import recommend
from latbench.report.sections.headline import best_predictor
from latbench.results import BackendResult, PredictorResult
from latbench.sampling.rounds import Judged, _why
from latbench.timing.noise import (
    NO_LOWER,
    Floors,
    Standing,
    at_reachable,
    beside_reachable,
    floor_for,
    noise_line,
    reachable_error,
    standing,
)
from latbench.timing.protocol import noise_floor

FLOOR = 0.02  # a perfect predictor errs by 1.41 %
CASES: tuple[tuple[tuple[float, float, float], Standing], ...] = (
    ((0.014, 0.012, 0.016), "reached"),
    ((0.016, 0.014, 0.018), "indistinguishable"),
    # Below the floor, and yet above what can be reached.
    ((0.018, 0.017, 0.019), "above"),
    ((0.04, 0.03, 0.05), "above"),
    ((0.015, math.nan, math.nan), "above"),
)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_a_perfect_predictor_errs_by_what_can_be_reached(spread: float) -> None:
    """Networks of latencies far apart, of equal noise or not."""
    rng = np.random.default_rng(0)
    latencies = np.exp(rng.normal(0, 1, 40_000))
    deviations = 0.02 * np.exp(rng.normal(0, spread, len(latencies)))
    first, second = (latencies * (1 + rng.normal(0, deviations)) for _ in range(2))
    reachable = reachable_error(noise_floor(first, second))
    assert reachable == pytest.approx(np.abs(latencies / first - 1).mean(), rel=0.02)


def test_it_is_near_for_long_tails() -> None:
    rng = np.random.default_rng(0)
    errors = 0.01 * rng.laplace(size=(2, 40_000))
    reachable = reachable_error(noise_floor(*np.exp(errors)))
    assert reachable == pytest.approx(np.abs(np.exp(-errors[0]) - 1).mean(), rel=0.1)


@pytest.mark.parametrize(("mape", "expected"), CASES)
def test_a_decision_is_the_same_wherever_it_is_shown(
    mape: tuple[float, float, float], expected: Standing
) -> None:
    result = PredictorResult("mlp", (0.01, 0.02), {"mape": mape})
    assert standing(mape, FLOOR) == expected
    assert at_reachable(mape, FLOOR) == (expected != "above")
    why = _why(result, FLOOR, error=0.001, spent=False)
    assert (why == "noise floor") == (expected != "above")
    judged = Judged(20, mape, FLOOR, why)
    assert stated(".", judged, 0.001)["beside_reachable"] == expected  # type: ignore[arg-type]
    found = recommend([result], (0.0101, 0.0201), FLOOR)
    assert found is not None
    backend = BackendResult("b", "cpu", ("x", "y"), (0.0101, 0.0201), FLOOR, (result,))
    said = beside_reachable(mape, FLOOR)
    assert said in judged_sentence(judged, 0.001)
    assert said in found.reason
    assert (NO_LOWER in found.reason) == (expected != "above")
    words = {"reached": "no more than what", "indistinguishable": "not distinguishable from what",
             "above": "times what"}  # fmt: skip
    assert words[expected] in said
    assert words[expected] in best_predictor(backend)


@pytest.mark.parametrize("floor", [None, 0.0, math.nan, math.inf])
def test_without_a_floor_nothing_is_decided(floor: float | None) -> None:
    assert reachable_error(floor) is None
    assert standing((0.01, 0.0, 0.02), floor) is None
    assert not at_reachable((0.01, 0.0, 0.02), floor)
    assert beside_reachable((0.01, 0.0, 0.02), floor) == "with no noise floor to compare it with"
    assert "perfect" not in noise_line(Floors(floor, None))


@pytest.mark.parametrize(
    ("inside", "between", "crosses", "expected"),
    [
        (0.01, 0.03, False, 0.01), (0.01, 0.03, True, 0.03), (0.03, 0.01, True, 0.03),
        (0.01, None, True, None), (None, 0.02, True, 0.02), (None, 0.02, False, None),
    ],
)  # fmt: skip
def test_which_floor_a_decision_stands_on(
    inside: float | None, between: float | None, crosses: bool, expected: float | None
) -> None:
    assert floor_for(Floors(inside, between), crosses) == expected
