"""Charts of measured and predicted values: which points, lines of reference, axes and words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specifications import Specification

import latbench.report.charts.marks as marks
from latbench.report import BackendResult, charts
from latbench.report.theme import COLOURS, DARK, LIGHT, look
from latbench.results import CurvePoint

Make = Callable[..., BackendResult]
NAMES = tuple(f"a{i}" for i in range(300))


def with_curve(backend: BackendResult, *points: CurvePoint) -> BackendResult:
    """The backend with one predictor that has this curve."""
    predictor = dataclasses.replace(backend.predictors[0], curve=points)
    return dataclasses.replace(backend, predictors=(predictor,))


def test_a_scatter_names_its_architectures_and_shows_the_bands(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", NAMES, 0.01, noise_floor=0.02)
    drawn = Specification(charts.predicted_against_measured(backend, backend.predictors[1]))
    rows = drawn.rows("point")
    assert [row["architecture"] for row in rows] == list(NAMES)
    assert rows[7]["measured"] == pytest.approx(1e3 * backend.measured[7], rel=1e-4)
    assert rows[7]["predicted"] == pytest.approx(1e3 * backend.predictors[1].predicted[7], rel=1e-4)
    assert drawn.told("point") == [
        "Measured (ms)", "Predicted (ms)", "Series", "Architecture", "Error",
    ]  # fmt: skip
    scales = [drawn.layers("point")[0]["encoding"][c]["scale"] for c in ("x", "y", "color")]
    assert scales[0] == scales[1]
    assert scales[2]["range"][scales[2]["domain"].index("lightgbm")] == COLOURS[1]
    bands = [drawn.rows("area", i) for i in (0, 1)]
    assert [b[0]["upper"] / b[0]["measured"] - 1 for b in bands] == pytest.approx([0.1, 0.02], 1e-3)
    assert drawn.description.startswith(
        "Latency predicted by lightgbm against measured, 300 points"
    )
    assert "Median absolute error" in drawn.description


def test_a_scatter_draws_no_more_than_its_limit(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", NAMES, 0.01)
    drawn = Specification(
        charts.predicted_against_measured(backend, backend.predictors[0], limit=50)
    )
    assert len(drawn.rows("point")) == 50
    whole = Specification(charts.predicted_against_measured(backend, backend.predictors[0]))
    assert drawn.axis("x") == whole.axis("x")  # of all rows
    assert drawn.description == whole.description


def test_without_a_floor_there_is_one_band(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", NAMES, 0.01, noise_floor=None)
    assert len(Specification(charts.predicted_against_measured(
        backend, backend.predictors[0])).layers("area")) == 1  # fmt: skip


def test_errors_are_step_lines_that_end_at_one(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", NAMES, 0.01, noise_floor=0.02 * 2**0.5)
    drawn = Specification(charts.error_distribution(backend))
    rows = drawn.rows("line")
    for predictor in backend.predictors:
        own = [row for row in rows if row["series"] == predictor.name]
        shares = [row["share"] for row in own]
        assert shares == sorted(shares)
        assert own[-1]["share"] == 1
        assert own[-1]["value"] == pytest.approx(drawn.axis("x")["scale"]["domain"][1], rel=1e-4)
        assert f"{predictor.name}: half below" in drawn.description
    assert drawn.references("value") == {0.1: "", 0.02: "perfect predictor 2.0 %"}
    assert drawn.axis("x")["scale"]["type"] == "log"


def test_a_histogram_counts_every_row_and_says_the_median(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", NAMES, 0.01)
    drawn = Specification(charts.measured_histogram(backend))
    rows = drawn.rows("rect")
    assert sum(row["count"] for row in rows) == len(NAMES)
    assert "architecture" in rows[0]["bin"]
    ((at, text),) = drawn.references("low").items()
    assert at == pytest.approx(1e3 * float(np.median(backend.measured)), rel=1e-3)
    assert text.startswith("median ")


def test_values_that_are_alike_or_far_apart_have_bars(backend_of: Make) -> None:
    backend = dataclasses.replace(backend_of("b", "cpu", NAMES, 0.01), predictors=())
    alike = dataclasses.replace(backend, measured=(0.01,) * 300)
    rows = Specification(charts.measured_histogram(alike)).rows("rect")
    assert [row["count"] for row in rows] == [300]
    assert rows[0]["low"] < rows[0]["high"]
    apart = dataclasses.replace(backend, measured=tuple(np.geomspace(1e-4, 1, 300).tolist()))
    drawn = Specification(charts.measured_histogram(apart))
    assert drawn.axis("x")["scale"]["type"] == "log"
    assert sum(row["count"] for row in drawn.rows("rect")) == 300


def test_two_backends_have_a_point_an_architecture() -> None:
    x, y = np.array([0.01, 0.02, 0.03]), np.array([0.3, 0.2, 0.1])
    drawn = Specification(charts.backend_against_backend(("u", "v", "w"), x, y, ("ort", "trt")))
    assert [(r["architecture"], r["first"], r["second"]) for r in drawn.rows("point")] == [
        ("u", 10, 300), ("v", 20, 200), ("w", 30, 100),
    ]  # fmt: skip
    assert "Latency on trt against latency on ort" in drawn.description


def test_a_learning_curve_is_the_mean_beside_a_perfect_predictor(backend_of: Make) -> None:
    backend = with_curve(
        backend_of("b", "cpu", ("x",), 0.01, noise_floor=0.02 * 2**0.5),
        CurvePoint(10, (0.2, 0.4)), CurvePoint(50, (0.08, 0.08)), CurvePoint(100, (0.01, 0.03)),
    )  # fmt: skip
    drawn = Specification(charts.learning_curves(backend))
    rows = drawn.rows("line")
    assert [(r["n"], r["mape"], r["best"], r["worst"]) for r in rows] == [
        (10, 0.3, 0.2, 0.4), (50, 0.08, 0.08, 0.08), (100, 0.02, 0.01, 0.03),
    ]  # fmt: skip
    assert drawn.references("mape") == {0.02: "perfect predictor 2.0 %"}
    assert "mlp: 30.0 % from 10, 2.0 % from 100." in drawn.description


def test_points_that_are_not_positive_and_a_missing_floor_are_left_out(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", ("x",), 0.01, noise_floor=None)
    odd = (CurvePoint(10, (math.nan, 0.2)), CurvePoint(20, (0.0,)), CurvePoint(50, (0.1,)))
    drawn = Specification(charts.learning_curves(with_curve(backend, *odd)))
    assert [row["n"] for row in drawn.rows("line")] == [50]
    assert drawn.references("mape") == {}
    assert charts.learning_curves(with_curve(backend, *odd[:2])) is None
    assert charts.learning_curves(with_curve(backend)) is None


def test_no_two_of_many_series_look_alike() -> None:
    looks = {(colour, shape, tuple(dashes)) for colour, shape, dashes in map(look, range(40))}
    assert len(looks) == 40
    # Those of one colour differ in both, marker and dashes.
    for a, b in ((0, 7), (5, 12), (6, 13)):
        first, second = look(a), look(b)
        assert first[0] == second[0]
        assert first[1] != second[1]
        assert first[2] != second[2]


def test_a_colour_is_known_by_its_value() -> None:
    """The page puts variables in the place of colours."""
    assert len(set(LIGHT.values())) == len(LIGHT) == len(DARK)
    assert list(LIGHT) == list(DARK)


@settings(deadline=None)
@given(st.floats(1e-9, 1e9), st.floats(1.01, 1e9))
def test_ticks_of_logarithms_are_round_and_inside(low: float, ratio: float) -> None:
    ticks = marks.ticks(low, low * ratio)
    assert ticks == sorted(set(ticks))
    assert all(low <= t <= low * ratio for t in ticks)
    assert len(ticks) != 1
    assert {f"{t:e}"[0] for t in ticks} <= {"1", "2", "5"}


def test_values_far_apart_and_positive_have_a_logarithmic_axis() -> None:
    def kind(*values: float) -> object:
        encoding: Any = marks.axis(alt.X, "x", "x", values).to_dict()
        return encoding["scale"]["type"]

    assert [kind(1, 7), kind(1, 9), kind(0, 9), kind(-1, 9), kind(math.nan, 1, 9), kind()] == [
        "linear", "log", "linear", "linear", "log", "linear",
    ]  # fmt: skip
