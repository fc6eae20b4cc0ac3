"""The intervals of a comparison hold what they promise: campaigns between which nothing changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from null_campaigns import (
    PROTOCOL,
    Noise,
    comparisons,
    coverage,
    drifting,
    rows_of,
    side,
)

from latbench.comparison.anchor import influence_of
from latbench.timing.protocol import Visit, estimate, should_stop

# A canary's own noise is in its rows' ratios; the machine's divides out of them.
NOISES = {
    "canary": Noise(canary=0.03),
    "machine": Noise(machine=0.03),
    "rows": Noise(network=0.03, session=0.005),
    "both": Noise(network=0.03, canary=0.03, session=0.005),
    "all": Noise(network=0.03, canary=0.03, session=0.005, machine=0.02),
    "long tails": Noise(network=0.02, canary=0.02, session=0.003, machine=0.01, freedom=3),
}

# So many architectures or fewer lie in two or three blocks, whose canaries have one or two degrees
# of freedom: the intervals are wider than they need be, or, of 20, a little too narrow.
FEW = 200


@pytest.mark.parametrize(("noise", "n"), [("canary", 20), ("machine", 200)])
def test_intervals_hold_what_they_promise(noise: str, n: int) -> None:
    found = coverage(comparisons(NOISES[noise], n, 300))
    # Three standard errors of 300 comparisons are 4 %.
    assert 0.91 <= found.whole <= (0.985 if n > FEW else 1)
    assert 0.94 <= found.absolute <= (0.98 if n > FEW else 1)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize("noise", NOISES)
def test_intervals_hold_what_they_promise_at_every_size(noise: str, n: int) -> None:
    found = coverage(comparisons(NOISES[noise], n, 2000))
    assert 0.935 <= found.whole <= (0.965 if n > FEW else 1)
    assert 0.94 <= found.absolute <= (0.98 if n > FEW else 1)
    assert 0.94 <= found.against <= (0.985 if n > FEW else 1)
    # These two hold the difference of two sessions of the canary, whatever that is.
    assert min(found.relative, found.canary) >= (0.94 if n > 20 else 0.92)
    assert found.named <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unshared", "n"),
    [
        (100, 200), (180, 200), (200, 200),
        pytest.param(1900, 2000, marks=pytest.mark.xfail(strict=True, reason="91 %: not mended")),
    ],
)  # fmt: skip
def test_architectures_of_one_side_alone_do_not_mislead(unshared: int, n: int) -> None:
    found = coverage(comparisons(NOISES["all"], n, 2000, unshared=unshared))
    assert 0.935 <= found.whole <= (0.965 if n > FEW else 1)


@pytest.mark.slow
def test_slow_drift_counts() -> None:
    """The machine forgets its speed within a stretch, but not from block to block."""
    noise = Noise(network=0.02, canary=0.02, session=0.003, drift=0.03)
    found = coverage(comparisons(noise, 5000, 1000))
    assert 0.9 <= found.whole <= 0.965  # a little narrow: what a stretch keeps for the next one
    assert 0.94 <= found.absolute <= 0.98
    assert found.canary >= 0.94


def test_an_anchor_s_variance_is_that_of_its_blocks() -> None:
    rng = np.random.default_rng(0)
    for noise, n in ((Noise(machine=0.03), 1000), (Noise(drift=0.03), 8000)):
        sides = [side(noise, np.zeros(n), rng) for _ in range(300)]
        # The canary's session is in all rows alike, and small.
        truth = np.var([np.log(s.anchor_s) for s in sides])
        stated = np.mean([influence_of(s).variance()[0] for s in sides])
        assert stated == pytest.approx(truth, rel=0.2)


def test_a_canary_without_noise_gives_an_anchor_without_noise() -> None:
    found = influence_of(side(Noise(canary=0.0), np.zeros(30), np.random.default_rng(0)))
    variance, freedom = found.variance()
    assert (variance, freedom > 0) == (0, True)


def test_a_simulated_row_is_what_the_protocol_makes_of_its_visits() -> None:
    rng = np.random.default_rng(0)
    drawn = 0.02 * np.abs(rng.standard_normal((40, PROTOCOL.max_visits)))
    fastest, half_width = rows_of(drawn)
    stops = set()
    for i in range(40):
        visits: list[Visit] = []
        for seconds in np.exp(drawn[i]):
            visits.append(Visit((float(seconds),)))
            if should_stop(visits, PROTOCOL):
                break
        found = estimate(visits, 1.0)
        stops.add(len(visits))
        assert found.relative == pytest.approx(math.exp(fastest[i]))
        assert found.half_width == pytest.approx(half_width[i])
    assert len(stops) > 1  # some reach the target, some do not


def test_drift_is_stationary() -> None:
    rng = np.random.default_rng(0)
    series = np.array([drifting(50, rng) for _ in range(2000)])
    assert series.std(axis=0) == pytest.approx(np.ones(50), rel=0.1)
