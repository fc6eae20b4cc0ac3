"""Percentiles, and that they are told of enough runs only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import bdtr

from latbench.errors import UsageError
from latbench.timing.percentiles import (
    DOUBT,
    PERCENTILES,
    enough_runs,
    percentile,
    runs_needed,
    too_few,
    with_percentiles,
)
from latbench.timing.protocol import Protocol

# Case 41 of what people ask for: LoadGen wants 64 runs for a p90 and 662 for a p99.
NEEDED = {"p50": 11, "p90": 64, "p99": 662}


@pytest.mark.parametrize("name", PERCENTILES)
def test_as_many_runs_are_needed_as_loadgen_asks_for(name: str) -> None:
    n, slow = NEEDED[name], 1 - PERCENTILES[name]
    assert runs_needed(name) == n
    assert bdtr(1, n, slow) <= DOUBT < bdtr(1, n - 1, slow)
    assert percentile(range(1, n), name) is None
    found = percentile(range(1, n + 1), name)
    assert found is not None
    assert found.at_most == n  # one run may be slower than the bound; it is the slowest itself
    assert found.value == 1 + int(n * PERCENTILES[name])


def test_the_bound_is_that_of_the_most_slow_runs_that_are_allowed() -> None:
    found = percentile(range(2000, 0, -1), "p99")
    assert found is not None
    assert found.value == 1981
    slower = 2000 - found.at_most + 1
    assert bdtr(slower, 2000, 0.01) <= DOUBT < bdtr(slower + 1, 2000, 0.01)


def test_the_bound_holds_in_99_of_100_measurements() -> None:
    random, n = np.random.default_rng(0), 1000
    above = 0
    for _ in range(n):
        found = percentile(random.random(64).tolist(), "p90")
        assert found is not None
        above += found.at_most < 0.9
    assert above <= 20  # 10 are expected at most, with a deviation of 3


def test_too_few_runs_are_refused_with_how_many_are_needed() -> None:
    assert enough_runs(range(1, 65), "p90", "it").at_most == 64
    with pytest.raises(UsageError, match=r"p99 needs 662 runs .* and it has 64; .*--percentiles"):
        enough_runs(range(1, 65), "p99", "it")
    assert too_few(10) == "p50 needs 11, p90 needs 64, p99 needs 662 runs"


@pytest.mark.parametrize("visits", [2, 24, 700])
def test_a_protocol_for_percentiles_times_enough_in_its_fewest_visits(visits: int) -> None:
    found = with_percentiles(Protocol(min_visits=visits, max_visits=800, pause_s=0.1))
    assert found.runs * found.min_visits >= 662
    assert (found.runs - 1) * found.min_visits < 662
    assert found.warmup == 1
    assert (found.pause_s, found.target) == (0.1, Protocol().target)
