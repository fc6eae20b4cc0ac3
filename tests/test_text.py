"""Numbers and words as people read them."""

from __future__ import annotations

import math

import pytest

from latbench.text import flatten, listing, long_count, number, short_percent, shorten, signed
from latbench.timing.metric import LATENCY, SIZE, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.996, "10.0"), (1234.6, "1,235"), (0.05234, "0.0523"), (0, "0"), (None, "–"),
     (math.nan, "–"), (-2.5, "-2.50"), (1e-12, "1.00e-12")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (999_999_999, "999,999,999"), (10**9, "1,000,000,000 (1.0 × 10^9)"),
        (10**12 - 1, "999,999,999,999 (1.0 × 10^12)"),
        (10**12 + 1, "1,000,000,000,001 (1.0 × 10^12)"),
        (2**199, f"{2**199:,} (8.0 × 10^59)"), (10**60, "1.0 × 10^60"),
        (3 * 10**4000, "3.0 × 10^4000"),
    ],
)  # fmt: skip
def test_long_counts_have_their_power_of_ten(value: int, text: str) -> None:
    assert long_count(value) == text


def test_words() -> None:
    assert shown(LATENCY, 0.0123) == "12.3\u00a0ms"
    assert shown(SIZE, None) == "not measured"
    assert [short_percent(v).replace("\u00a0", " ") for v in (0.0042, 0.1, 1.0)] == [
        "0.42 %", "10.0 %", "100.0 %",
    ]  # fmt: skip
    assert [signed(v) for v in (0.0, math.inf)] == ["0.0\u00a0%", "–"]
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([]) == ""
    assert shorten("abcdef", 4) == "abc…"
    assert flatten({"a": {"b": 1.5, "c": [1, 2]}, "d": None}) == {
        "a.b": "1.5", "a.c": "1, 2", "d": "–",
    }  # fmt: skip
