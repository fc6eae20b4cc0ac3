"""Ticks, scales and elements."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latbench.metric import LATENCY, SIZE
from latbench.numerals import number
from latbench.report.marks import legend, levels, line
from latbench.report.svg import Axis, Frame, Scale, element, linear_ticks, log_span, log_ticks, span
from latbench.report.svg import tick_labels as labels
from latbench.report.text import flatten, listing, percent, shorten, shown

positive = st.floats(1e-9, 1e9)


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), positive)
def test_linear_ticks_are_few_and_inside(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-9 * max(abs(low), abs(high)):
        return
    ticks = linear_ticks(low, high)
    slack = 1e-6 * (high - low)
    assert 2 <= len(ticks) <= 9
    assert all(low - slack <= t <= high + slack for t in ticks)
    assert ticks == sorted(set(ticks))


@settings(deadline=None)
@given(positive, st.floats(1.01, 1e9))
def test_log_ticks_are_few_and_inside(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 9
    assert all(low * 0.99 <= t <= low * ratio * 1.01 for t in ticks)
    assert len(set(labels(ticks))) == len(ticks)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=5))
def test_a_range_is_never_empty(values: list[float]) -> None:
    low, high = span(values)
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    finite = [v for v in values if math.isfinite(v)]
    assert all(low <= v <= high for v in finite)
    assert log_span(abs(v) for v in finite)[0] > 0


def test_scales_map_ends_to_ends() -> None:
    assert Scale(0, 10, 100, 200)(5) == 150
    assert Scale(1, 100, 0, 200, log=True)(10) == 100


def test_labels_of_even_ticks_share_their_decimals() -> None:
    assert labels([0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert labels([0, 2.5, 5.0]) == ["0.0", "2.5", "5.0"]
    assert labels([0, 0.25, 0.5]) == ["0.00", "0.25", "0.50"]
    assert labels([10, 20, 30]) == ["10", "20", "30"]
    assert labels([0.001, 0.01, 0.1], percent=True) == ["0.1 %", "1 %", "10 %"]


@settings(deadline=None)
@example(3003004.0, 175.0, True)
@given(st.floats(1e-6, 1e7), st.floats(1.0001, 1e7), st.booleans())
def test_labels_of_the_x_axis_do_not_overlap(low: float, ratio: float, log: bool) -> None:
    frame = Frame(Axis(low, low * ratio, "x", log), Axis(0, 1, "y"))
    placed = [(frame.x(v), 6.1 * len(t) / 2) for v, t in frame.x_labels()]
    assert placed
    for (a, half), (b, other) in pairwise(placed):
        assert a + half < b - other


def test_counts_have_whole_ticks_only() -> None:
    assert [t for _, t in Axis(0, 1.08, "n", whole=True).labelled(5)] == ["0", "1"]
    assert [t for _, t in Axis(0, 43, "n", whole=True).labelled(5)] == ["0", "10", "20", "30", "40"]


def test_text_and_attributes_are_escaped() -> None:
    made = str(element("text", "<b>&", class_='"><script>'))
    assert made == '<text class="&#34;&gt;&lt;script&gt;">&lt;b&gt;&amp;</text>'
    assert "<script>" not in legend(["<script>", "b"])


def test_a_line_is_interrupted_where_a_value_is_missing() -> None:
    frame = Frame(Axis(0, 4, "x"), Axis(0, 1, "y"))
    drawn = line(frame, [(0, 0.1), (1, 0.2), (2, math.nan), (3, 0.3), (4, 0.4)])
    path = drawn.partition('class="line" d="')[2].partition('"')[0]
    assert path.count("M") == 2
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.996, "10.0"), (1234.6, "1,235"), (0.05234, "0.0523"), (0, "0"), (None, "–"),
     (math.nan, "–"), (-2.5, "-2.50"), (1e-12, "1.00e-12")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_words() -> None:
    assert shown(LATENCY, 0.0123) == "12.3\u00a0ms"
    assert shown(SIZE, None) == "not measured"
    assert [percent(v).replace("\u00a0", " ") for v in (0.0042, 0.1, 1.0)] == [
        "0.42 %",
        "10.0 %",
        "100.0 %",
    ]
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([]) == ""
    assert shorten("abcdef", 4) == "abc…"
    assert flatten({"a": {"b": 1.5, "c": [1, 2]}, "d": None}) == {
        "a.b": "1.5",
        "a.c": "1, 2",
        "d": "–",
    }


@pytest.mark.parametrize("taken", ["left", "right"])
def test_a_label_of_a_level_is_where_no_points_are(taken: str) -> None:
    frame = Frame(Axis(0, 10, "x"), Axis(0, 10, "y"), 420, 300)
    xs = (0.2, 0.7, 1.2) if taken == "left" else (8.8, 9.3, 9.8)
    # Above and below the line: the label has to go to the other end.
    at = [(x, y) for x in xs for y in (4.7, 5.3)]
    _, label = levels(frame, {5.0: "mean +1.6 %"}, [], at)
    assert ("text-anchor" in label) == (taken == "left")
    _, below = levels(frame, {5.0: "mean +1.6 %"}, [], [(x, 5.3) for x in range(11)])
    heights = [float(re.findall(r' y="([\d.]+)"', text)[0]) for text in (label, below)]
    assert heights[0] < frame.y(5.0) < heights[1]
