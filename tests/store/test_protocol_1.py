"""What the raw timings of older sets say, as they were estimated then."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.store.protocol_1 import relative_and_canary, undisturbed
from latbench.timing.protocol import Visit


def visits(ratios: list[float], speed: float = 1.0) -> list[Visit]:
    return [Visit((1e-3 * speed * r,) * 4, (1e-3 * speed,) * 4) for r in ratios]


@given(
    st.lists(st.floats(0.5, 2.0), min_size=2, max_size=9),
    st.lists(st.floats(0.2, 5.0), min_size=9, max_size=9),
)
@settings(deadline=None)
def test_drift_that_both_felt_divided_out(ratios: list[float], speeds: list[float]) -> None:
    drifting = [v for r, s in zip(ratios, speeds, strict=False) for v in visits([r], s)]
    expected = relative_and_canary(visits(ratios))[0]
    assert relative_and_canary(drifting)[0] == pytest.approx(expected, rel=1e-4)


def test_a_disturbed_run_inside_a_visit_did_not_move_it() -> None:
    assert relative_and_canary([Visit((10, 10, 90, 10), (5, 5, 5, 70))])[0] == pytest.approx(2)


def disturbed(ratio: float, change: float = 1.0, waited_s: float = 0.0) -> Visit:
    return Visit((1e-3 * ratio,), (1e-3, 1e-3 * change), waited_s)


@pytest.mark.parametrize(
    "bad", [disturbed(1.5, change=1.1), disturbed(1.5, change=0.9), disturbed(1.5, waited_s=1e-4)]
)
def test_disturbed_visits_were_left_out(bad: Visit) -> None:
    good = [disturbed(r, change=1.02, waited_s=1e-5) for r in (1.0, 1.01, 1.02)]
    assert undisturbed([bad, *good, bad]) == good
    assert relative_and_canary([bad, *good, bad]) == relative_and_canary(good)


def test_where_every_visit_was_disturbed_the_better_half_counted() -> None:
    bad = [disturbed(1 + i, change=1.5 + i) for i in range(5)]
    assert undisturbed(bad) == bad[:3]
    assert undisturbed(bad[::-1]) == bad[2::-1]
