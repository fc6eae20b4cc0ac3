import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.timing.protocol import (
    AGREEING,
    Protocol,
    Visit,
    estimate,
    half_width,
    noise_floor,
    retest_bias,
    should_stop,
)

CANARY_S = 1e-3


def visits(ratios: list[float]) -> list[Visit]:
    return [Visit((CANARY_S * r, CANARY_S * r * 1.5)) for r in ratios]


def test_estimate_by_hand() -> None:
    e = estimate(visits([1.1, 1.0, 1.21]), CANARY_S)
    assert e.relative == pytest.approx(1.0)
    assert e.half_width == pytest.approx(math.log(1.21))  # the whole range: fewer than 6 visits
    assert e.rejected == 0
    assert e.canary_s == CANARY_S
    assert e.raw_s == pytest.approx(CANARY_S * 1.1 * 1.25)


@given(
    st.lists(st.floats(1.0, 2.0), min_size=AGREEING, max_size=30),
    st.lists(st.floats(2.0, 90.0), max_size=60),
    st.randoms(),
)
@settings(deadline=None)
def test_what_only_adds_time_moves_nothing(
    sound: list[float], disturbed: list[float], random: Random
) -> None:
    together = sound + disturbed
    random.shuffle(together)
    found, expected = (estimate(visits(r), CANARY_S) for r in (together, sound))
    assert (found.relative, found.half_width) == (expected.relative, expected.half_width)


def test_the_interval_reaches_to_the_sixth_fastest_visit() -> None:
    ratios = [1 + i / 100 for i in range(20)]
    assert half_width(visits(ratios[::-1])) == pytest.approx(math.log(1.05))
    assert half_width(visits([1.0])) == math.inf


def test_the_interval_covers_another_measurement() -> None:
    """Of long-tailed times, where it has least to stand on."""
    rng = np.random.default_rng(0)
    times = 1 + rng.lognormal(-4, 1.5, size=(2, 2000, 24))
    ours = [half_width([Visit((t,)) for t in row]) for row in times[0]]
    apart = np.abs(np.log(times[0].min(axis=1) / times[1].min(axis=1)))
    assert np.mean(apart <= ours) >= 0.95


@pytest.mark.parametrize(
    ("ratios", "stop"),
    [
        ([1.0] * 23, None),
        ([1.0] * 24, "target"),
        ([1.0] * 5 + [1.5] * 30, None),
        ([1.0] * 5 + [1.5] * 31, "budget"),
        ([1.0] * 6 + [1.5] * 18, "target"),
    ],
)
def test_stopping(ratios: list[float], stop: str | None) -> None:
    assert should_stop(visits(ratios), Protocol()) == stop


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": 0}, {"min_visits": 1}, {"max_visits": 17}, {"target": 0}, {"target": 1.5},
        {"warmup": -1}, {"runs": "4"}, {"canary_runs": True}, {"canary_every": 0},
        {"pause_s": -0.1}, {"version": 3},
    ],
)  # fmt: skip
def test_wrong_protocols_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Protocol(**wrong)  # type: ignore[arg-type]


def test_noise_floor_by_hand() -> None:
    assert noise_floor([1.0, 2.0], [1.1, 2.0]) == pytest.approx((0.1 / 1.05 + 0) / 2)
    assert noise_floor([], []) is None


def test_retest_bias_tells_one_direction_from_noise() -> None:
    bias = retest_bias([1.0, 1.0, 2.0], [0.9, 0.9, 1.8])
    assert bias == pytest.approx((-0.1 / 0.95, 0), abs=1e-12)
    mean, error = retest_bias([1.0, 1.0], [1.1, 1 / 1.1]) or (0, 0)
    assert mean == pytest.approx(0)
    assert error == pytest.approx(0.1 / 1.05)
    assert retest_bias([1.0], [1.1]) is None
