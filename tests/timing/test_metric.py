from __future__ import annotations

import math
import re

import pytest

from latbench.errors import UsageError
from latbench.timing.metric import (
    ENERGY,
    LATENCY,
    MEMORY,
    METRICS,
    SIZE,
    Metric,
    parse_amount,
    parse_metric,
)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_found_by_its_name(name: str) -> None:
    assert parse_metric(name).name == name


@pytest.mark.parametrize("name", ["Latency", "", "accuracy"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    listing = "latency, memory, device-memory, size, energy"
    with pytest.raises(UsageError, match=f"{name!r}; .*expected one of {listing}"):
        parse_metric(name)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_keys_name_the_unit(metric: Metric) -> None:
    suffix = {"s": "s", "bytes": "bytes", "J": "j"}[metric.unit]
    for key in (metric.key, metric.predicted_key):
        assert re.fullmatch(rf"[a-z_]+_{suffix}", key)
    assert metric.scale > 0
    assert [text.count("{}") for text in (metric.less, metric.more, metric.equal)] == [1, 1, 0]


def test_values_are_shown_in_units_that_people_read() -> None:
    assert LATENCY.show(0.0123456) == "12.35 ms"
    assert LATENCY.show(2.5e-6) == "0.002500 ms"
    assert MEMORY.show(3 * 2**30) == "3,072 MiB"
    assert SIZE.show(632) == "632 B"
    assert SIZE.show(1500) == "1.465 KiB"  # a tiny network's is not 0
    assert SIZE.show(2**20) == "1.000 MiB"
    assert SIZE.show(0) == "0 MiB"
    assert ENERGY.show(0.5, digits=2) == "500 mJ"
    assert (LATENCY.title, MEMORY.title) == ("Latency", "Peak host memory")


@pytest.mark.parametrize("absent", [None, math.nan, math.inf])
def test_what_is_absent_has_no_unit(absent: float | None) -> None:
    assert MEMORY.show(absent) == MEMORY.figure(absent) == "–"


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [(LATENCY, "5ms", 5e-3), (LATENCY, " 5 ms ", 5e-3), (LATENCY, "0.5s", 0.5),
     (LATENCY, ".5us", 5e-7), (LATENCY, "7ns", 7e-9), (LATENCY, "80%", 1.6), (SIZE, "1.5MB", 1.5e6),
     (MEMORY, "2 MiB", 2 * 2**20), (ENERGY, "3mJ", 3e-3), (LATENCY, "1e-3 s", 1e-3)],
)  # fmt: skip
def test_amounts_are_read_in_their_unit(metric: Metric, text: str, value: float) -> None:
    assert parse_amount(metric, text, 2.0) == pytest.approx(value)


@pytest.mark.parametrize("text", ["5", "ms", "", "-5ms", "0ms", "5 MB", "5ms5", "nan ms", "1e999s"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no amount of latency; expected a number above 0"):
        parse_amount(LATENCY, text, 1.0)
