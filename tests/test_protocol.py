import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.protocol import (
    Protocol,
    Visit,
    estimate,
    noise_floor,
    retest_bias,
    should_stop,
    undisturbed,
)


def visits(ratios: list[float], speed: float = 1.0) -> list[Visit]:
    return [Visit((1e-3 * speed * r,) * 4, (1e-3 * speed,) * 4) for r in ratios]


@given(
    st.lists(st.floats(0.5, 2.0), min_size=2, max_size=9),
    st.lists(st.floats(0.2, 5.0), min_size=9, max_size=9),
)
@settings(deadline=None)
def test_drift_that_both_feel_divides_out(ratios: list[float], speeds: list[float]) -> None:
    drifting = [v for r, s in zip(ratios, speeds, strict=False) for v in visits([r], s)]
    assert estimate(drifting).relative == pytest.approx(estimate(visits(ratios)).relative, rel=1e-4)


def test_estimate_by_hand() -> None:
    e = estimate(visits([1.0, 1.1, 1.21]))
    assert e.relative == pytest.approx(1.1)
    assert e.half_width == pytest.approx(math.log(1.1))  # the whole range: fewer than 6 visits
    assert e.rejected == 0
    assert e.canary_s == pytest.approx(1e-3)
    assert e.raw_s == pytest.approx(1.1e-3)


def test_one_disturbed_visit_does_not_move_the_estimate() -> None:
    assert estimate(visits([1.0, 1.0, 1.0, 9.0])).relative == pytest.approx(1.0)


def test_a_disturbed_run_inside_a_visit_does_not_move_it() -> None:
    assert Visit((10, 10, 90, 10), (5, 5, 5, 70)).ratio == 2


@pytest.mark.parametrize(
    ("n", "outside"),
    # David and Nagaraja's table of distribution-free 95 % intervals of a median: ranks (1, n) up to
    # 5 values (below 95 %) and at 6 to 8, (2, n - 1) at 9 to 11, (3, 10) at 12, (6, 15) at 20.
    [(2, 0), (5, 0), (6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (20, 5), (22, 5)],
)
def test_the_interval_of_the_median(n: int, outside: int) -> None:
    ratios = [1 + i / 100 for i in range(n)]
    logs = [math.log(r) for r in ratios]
    expected = (logs[n - 1 - outside] - logs[outside]) / 2
    assert estimate(visits(ratios)).half_width == pytest.approx(expected)


def disturbed(ratio: float, change: float = 1.0, waited_s: float = 0.0) -> Visit:
    return Visit((1e-3 * ratio,), (1e-3, 1e-3 * change), waited_s)


@pytest.mark.parametrize(
    "bad", [disturbed(1.5, change=1.1), disturbed(1.5, change=0.9), disturbed(1.5, waited_s=1e-4)]
)
def test_disturbed_visits_are_left_out(bad: Visit) -> None:
    good = [disturbed(r, change=1.02, waited_s=1e-5) for r in (1.0, 1.01, 1.02)]
    e = estimate([bad, *good, bad])
    assert (e.relative, e.rejected) == (estimate(good).relative, 2)
    assert undisturbed([bad, *good, bad]) == good


def test_where_every_visit_is_disturbed_the_better_half_counts() -> None:
    bad = [disturbed(1 + i, change=1.5 + i) for i in range(5)]
    assert undisturbed(bad) == bad[:3]
    assert undisturbed(bad[::-1]) == bad[2::-1]


@pytest.mark.parametrize(
    ("ratios", "stop"),
    [
        ([1.0] * 17, None),
        ([1.0] * 18, "target"),
        ([1.0, 1.5] * 10, None),
        ([1.0, 1.5] * 11, "budget"),
    ],
)
def test_stopping(ratios: list[float], stop: str | None) -> None:
    assert should_stop(visits(ratios), Protocol()) == stop


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": 0}, {"min_visits": 1}, {"max_visits": 17}, {"target": 0}, {"target": 1.5},
        {"warmup": -1}, {"runs": "4"}, {"canary_runs": True},
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
