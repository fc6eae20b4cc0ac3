import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.protocol import Protocol, Visit, estimate, noise_floor, should_stop


def visits(ratios: list[float], speed: float = 1.0) -> list[Visit]:
    return [
        Visit((round(1e6 * speed * r),) * 4, (round(1e6 * speed),) * 4) for r in ratios
    ]  # fmt: skip


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
    # log ratios 0, 0.0953, 0.1906: deviation 0.0953, t(2) = 4.303
    assert e.half_width == pytest.approx(4.303 * math.log(1.1) / math.sqrt(3), rel=1e-3)
    assert e.canary_s == pytest.approx(1e-3)
    assert e.raw_s == pytest.approx(1.1e-3)


def test_one_disturbed_visit_does_not_move_the_estimate() -> None:
    assert estimate(visits([1.0, 1.0, 1.0, 9.0])).relative == pytest.approx(1.0)


def test_a_disturbed_run_inside_a_visit_does_not_move_it() -> None:
    assert Visit((10, 10, 90, 10), (5, 5, 5, 70)).ratio == 2


@pytest.mark.parametrize(
    ("ratios", "stop"),
    [
        ([1.0] * 5, None),
        ([1.0] * 6, "target"),
        ([1.0, 1.5] * 4, None),
        ([1.0, 1.5, 1.0] * 3, "budget"),
    ],
)
def test_stopping(ratios: list[float], stop: str | None) -> None:
    assert should_stop(visits(ratios), Protocol()) == stop


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": 0}, {"min_visits": 1}, {"max_visits": 5}, {"target": 0}, {"target": 1.5},
        {"warmup": -1}, {"runs": "4"}, {"canary_runs": True},
    ],
)  # fmt: skip
def test_wrong_protocols_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Protocol(**wrong)  # type: ignore[arg-type]


def test_noise_floor_by_hand() -> None:
    assert noise_floor([1.0, 2.0], [1.1, 2.0]) == pytest.approx((0.1 / 1.05 + 0) / 2)
    assert noise_floor([], []) is None
