from __future__ import annotations

import math
import re

import pytest

from latbench.errors import UsageError
from latbench.metric import ENERGY, LATENCY, MEMORY, METRICS, SIZE, Metric, parse_metric


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_found_by_its_name(name: str) -> None:
    assert parse_metric(name).name == name


@pytest.mark.parametrize("name", ["Latency", "", "accuracy"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    listing = "latency, memory, device-memory, size, energy"
    with pytest.raises(UsageError, match=f"{name!r}; expected one of {listing}"):
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
    assert SIZE.show(1500) == "0.001431 MiB"  # a tiny network's is not 0
    assert ENERGY.show(0.5, digits=2) == "500 mJ"
    assert (LATENCY.title, MEMORY.title) == ("Latency", "Peak host memory")


@pytest.mark.parametrize("absent", [None, math.nan, math.inf])
def test_what_is_absent_has_no_unit(absent: float | None) -> None:
    assert MEMORY.show(absent) == MEMORY.figure(absent) == "–"
