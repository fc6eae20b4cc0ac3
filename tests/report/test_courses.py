"""The course of searches: what is drawn over the epochs, and the targets in it."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise

from latbench.report import ReportData, SearchEpoch, SearchResult
from latbench.report.search_parts import search_parts


def search_for(target: float | None, backend: str = "ort", scale: float = 1.0) -> SearchResult:
    """A search whose expected cost falls from 2 ms to 1 ms, times ``scale``."""
    held = target is not None
    history = tuple(
        SearchEpoch(
            i, 0.5, 0.6, scale * cost, 2 - i / 4,
            derived=scale * cost if held else None, multiplier=i / 8 if held else None,
        )
        for i, cost in enumerate((2e-3, 1.5e-3, 1e-3))
    )  # fmt: skip
    label = f"{target}, {backend}"
    return SearchResult(label, backend, 0.0, "x", history, scale * 1e-3, target=target)


def drawings(*searches: SearchResult) -> dict[str, str]:
    """The plots of the course by their names."""
    parts = search_parts(ReportData("t", "", "darts", {}, (), searches))
    (course,) = [part for part in parts if part.heading == "Course of the search"]
    return {
        re.findall(r'aria-label="(.*?) over the epochs', f.drawing)[0]
        + "".join(re.findall(r'over the epochs of the search( on .*?)"', f.drawing)): f.drawing
        for f in course.figures
    }


def rules(svg: str) -> list[float]:
    """Heights of the horizontal dashed lines."""
    return [float(y) for y in re.findall(r'class="rule" d="M[\d.]+ ([\d.]+)H', svg)]


def test_a_search_without_a_target_has_no_multiplier_and_no_line() -> None:
    drawn = drawings(search_for(None))
    assert list(drawn) == [
        "Training accuracy", "Validation accuracy", "Expected latency (ms)",
        "Entropy of the operations (nats)",
    ]  # fmt: skip
    assert not any(rules(svg) for svg in drawn.values())


def test_the_target_is_a_line_at_its_height_in_the_plots_of_costs_only() -> None:
    drawn = drawings(search_for(1.5e-3))
    cost = "Predicted latency of what would be derived (ms)"
    assert set(drawn) > {cost, "Multiplier of the target"}
    for name, svg in drawn.items():
        if name not in (cost, "Expected latency (ms)"):
            assert rules(svg) == []
            continue
        (d,) = re.findall(r'class="line" d="([^"]+)"', svg)
        second = float(re.findall(r"L[\d.]+ ([\d.]+)", d)[0])
        assert rules(svg) == [second]
        assert "target 1.50\u00a0ms</text>" in svg


def test_labels_of_targets_never_lie_on_each_other() -> None:
    targets = (1.5e-3, 1.51e-3, 1.7e-3, 0.2e-3)
    svg = drawings(*map(search_for, targets))["Expected latency (ms)"]
    assert len(rules(svg)) == 4
    at = sorted(float(y) for y in re.findall(r'class="note" x="[\d.]+" y="([\d.]+)"', svg))
    assert len(at) == 3
    assert all(b - a > 11 for a, b in pairwise(at))


def test_a_label_is_at_the_end_where_the_lines_are_further_away() -> None:
    def at(target: float) -> float:
        svg = drawings(search_for(target))["Expected latency (ms)"]
        (x,) = re.findall(r'class="note" x="([\d.]+)"', svg)
        return float(x)

    start, end = at(1e-3), at(2e-3)
    assert start < 60 < 300 < end


def test_a_search_without_a_course_is_not_in_the_legend() -> None:
    searches = (search_for(1e-3), search_for(None), SearchResult("silent", "b", 0, "x", (), 1e-3))
    parts = search_parts(ReportData("t", "", "darts", {}, (), searches))
    assert "0.001, ort" in parts[0].legend
    assert "silent" not in parts[0].legend


def test_costs_on_several_backends_are_drawn_apart() -> None:
    drawn = drawings(search_for(1.5e-3), search_for(15e-3, "eager", 10))
    slow, fast = (drawn[f"Expected latency (ms) on {b}"] for b in ("eager", "ort"))
    assert "target 15.0\u00a0ms" in slow
    assert "target 1.50\u00a0ms" in fast
    assert "target 15.0\u00a0ms" not in fast
    assert '<g class="s0 m0">' in fast
    assert '<g class="s1 m1">' in slow  # as in the legend
    assert "Validation accuracy" in drawn


def test_predictions_are_labelled_by_the_predictor_that_made_them() -> None:
    named = dataclasses.replace(
        search_for(1.5e-3), guide="mlp", keeper="ridge-layers", judge="ridge-layers"
    )
    drawn = drawings(named)
    assert {"Expected latency by mlp (ms)", "If derived: latency by ridge-layers (ms)"} < set(drawn)
    data = ReportData("t", "", "darts", {}, (), (named,))
    course, derived = search_parts(data)[:2]
    assert any("as mlp predicts it" in remark for remark in course.remarks)
    assert any("as ridge-layers predicts it" in remark for remark in course.remarks)
    assert derived.table is not None
    assert derived.table.columns[2] == "Predicted by ridge-layers (ms)"
    assert derived.figures[0].caption.startswith("Hollow: predicted by ridge-layers.")


def test_a_mix_of_judges_is_named_row_by_row_and_none_is_made_up() -> None:
    first, second = search_for(1.5e-3), search_for(1.2e-3)
    mixed = [dataclasses.replace(s, judge=j) for s, j in ((first, "mlp"), (second, "gnn"))]
    table = search_parts(ReportData("t", "", "darts", {}, (), tuple(mixed)))[1].table
    assert table is not None
    assert table.columns[2] == "Predicted (ms)"
    assert [row[2].small for row in table.rows] == ["mlp", "gnn"]
    old = search_parts(ReportData("t", "", "darts", {}, (), (first,)))[1]
    assert old.table is not None
    assert old.table.columns[2] == "Predicted (ms)"
    assert old.figures[0].caption.startswith("Hollow: predicted. Filled")
