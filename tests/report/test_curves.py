"""Learning curves: what is drawn of which points."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable

from latbench.report import BackendResult, marks
from latbench.report.curves import learning_curves
from latbench.report.data import CurvePoint

Make = Callable[..., BackendResult]


def with_curve(backend: BackendResult, *points: CurvePoint) -> BackendResult:
    """The backend with one predictor that has this curve."""
    predictor = dataclasses.replace(backend.predictors[0], curve=points)
    return dataclasses.replace(backend, predictors=(predictor,))


def heights(svg: str, name: str) -> list[float]:
    """The y of every point of the path of a class."""
    (d,) = re.findall(rf'class="{name}" d="([^"]+)"', svg)
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", d)]


def test_the_line_is_the_mean_and_a_perfect_one_is_drawn_at_its_height(backend_of: Make) -> None:
    backend = with_curve(
        backend_of("b", "cpu", ("x",), 0.01, noise_floor=0.02 * 2**0.5),
        CurvePoint(10, (0.2, 0.4)), CurvePoint(50, (0.08, 0.08)), CurvePoint(100, (0.01, 0.03)),
    )  # fmt: skip
    svg = learning_curves(backend)
    floor = heights(svg, "rule")
    first, second, third = heights(svg, "line")
    assert first < second < third == floor[0]  # the last mean is a perfect predictor's
    assert "perfect predictor 2.0\u00a0%</text>" in svg
    assert "mlp: 30.0\u00a0% from 10, 2.0\u00a0% from 100." in svg
    assert "10</text>" in svg
    assert len(heights(svg, "whisker")) == 3


def test_a_floor_far_below_the_errors_is_still_inside(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", ("x",), 0.01, noise_floor=0.0001)
    svg = learning_curves(with_curve(backend, CurvePoint(10, (0.2,)), CurvePoint(20, (0.1,))))
    (base,) = heights(svg, "base")
    assert 26 < heights(svg, "rule")[0] < base


def test_points_that_are_not_positive_and_a_missing_floor_are_left_out(backend_of: Make) -> None:
    backend = backend_of("b", "cpu", ("x",), 0.01, noise_floor=None)
    odd = (CurvePoint(10, (math.nan, 0.2)), CurvePoint(20, (0.0,)), CurvePoint(50, (0.1,)))
    svg = learning_curves(with_curve(backend, *odd))
    assert "10.0\u00a0% from 50, 10.0\u00a0% from 50." in svg
    assert "perfect predictor" not in svg
    assert learning_curves(with_curve(backend, *odd[:2])) == ""
    assert learning_curves(with_curve(backend)) == ""


def test_no_two_of_many_series_look_alike() -> None:
    looks = {
        (marks.style(i), re.sub(r"s\d m\d", "", marks.legend_mark(i, True))) for i in range(40)
    }
    assert len(looks) == 40
    # Those of one colour differ in both, marker and dashes.
    for a, b in ((0, 7), (5, 12), (6, 13)):
        first, second = (
            re.findall(r' d="(M15[^"]*)"|dasharray="([^"]*)"', marks.legend_mark(i, True))
            for i in (a, b)
        )
        assert first != second
        assert not set(first) & set(second)
