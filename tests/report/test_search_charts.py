"""The course of searches: what is drawn over the epochs, and the targets in it."""

from __future__ import annotations

import dataclasses

from specifications import Specification

from latbench.report import ReportData, SearchEpoch, SearchResult, charts
from latbench.report.charts.search_charts import series_of
from latbench.report.sections.search_sections import search_parts
from latbench.report.theme import COLOURS
from latbench.timing.metric import LATENCY


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


def courses(*searches: SearchResult) -> dict[str, Specification]:
    """The charts of the course by the titles of their y axes."""
    parts = search_parts(ReportData("t", "", "darts", {}, (), searches))
    (course,) = [part for part in parts if part.heading == "Course of the search"]
    drawn = [Specification(figure.chart) for figure in course.figures]
    return {d.axis("y")["title"]: d for d in drawn}


def test_a_search_without_a_target_has_no_multiplier_and_no_line() -> None:
    drawn = courses(search_for(None))
    assert list(drawn) == [
        "Training accuracy", "Validation accuracy", "Expected latency (ms)",
        "Entropy of the operations (nats)",
    ]  # fmt: skip
    assert not any(d.layers("rule") for d in drawn.values())
    rows = drawn["Expected latency (ms)"].rows("line")
    assert [(row["epoch"], row["expected"]) for row in rows] == [(0, 2), (1, 1.5), (2, 1)]


def test_the_target_is_a_line_at_its_height_in_the_charts_of_costs_only() -> None:
    drawn = courses(search_for(1.5e-3))
    costs = {"Predicted latency of what would be derived (ms)": "derived",
             "Expected latency (ms)": "expected"}  # fmt: skip
    assert set(drawn) > {*costs, "Multiplier of the target"}
    for title, d in drawn.items():
        if title in costs:
            assert d.references(costs[title]) == {1.5: "target 1.50 ms"}
        else:
            assert d.layers("rule") == []


def test_a_missing_value_breaks_the_line() -> None:
    search = search_for(None)
    broken = dataclasses.replace(search.history[1], entropy=float("nan"))
    history = (search.history[0], broken, search.history[2])
    drawn = courses(dataclasses.replace(search, history=history))
    rows = drawn["Entropy of the operations (nats)"].rows("line")
    assert [row["entropy"] for row in rows] == [2, None, 1.5]


def test_a_search_without_a_course_is_not_in_the_legend() -> None:
    searches = (search_for(1e-3), search_for(None), SearchResult("silent", "b", 0, "x", (), 1e-3))
    for drawn in courses(*searches).values():
        colours = drawn.layers("line")[0]["encoding"]["color"]
        assert colours["scale"]["domain"] == ["0.001, ort", "None, ort"]
        assert colours.get("legend", True) is not None


def test_many_runs_share_the_series_of_their_goal() -> None:
    runs = [dataclasses.replace(search_for(1e-3), label=str(i)) for i in range(len(COLOURS) + 1)]
    names, of_runs = series_of(runs)
    assert names == ["ort, at most 1.00 ms"]
    assert len(of_runs) == len(runs)
    rows = courses(*runs)["Validation accuracy"].rows("line")
    assert {row["run"] for row in rows} == {run.label for run in runs}


def test_costs_on_several_backends_are_drawn_apart() -> None:
    drawn = courses(search_for(1.5e-3), search_for(15e-3, "eager", 10))
    slow, fast = (drawn[f"Expected latency (ms), {b}"] for b in ("eager", "ort"))
    assert slow.references("expected") == {15: "target 15.0 ms"}
    assert fast.references("expected") == {1.5: "target 1.50 ms"}
    assert {row["series"] for row in slow.rows("line")} == {"0.015, eager"}
    colours = [d.layers("line")[0]["encoding"]["color"]["scale"] for d in (slow, fast)]
    assert colours[0] == colours[1]
    assert "Validation accuracy" in drawn


def test_predictions_are_labelled_by_the_predictor_that_made_them() -> None:
    named = dataclasses.replace(
        search_for(1.5e-3), guide="mlp", keeper="ridge-layers", judge="ridge-layers"
    )
    drawn = courses(named)
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


def test_predicted_stands_beside_measured_and_its_noise() -> None:
    measured = dataclasses.replace(search_for(1.5e-3), measured=2e-3, noise={"ort": 0.1})
    drawn = Specification(charts.predicted_and_measured([measured, search_for(None)]))
    first, second = drawn.rows("rule")
    assert (first["predicted"], first["measured"]) == (1, 2)
    assert (first["low"], first["high"]) == (1.8, 2.2)
    assert (second["measured"], second["low"]) == (None, None)
    assert drawn.spec["height"] > 60
    assert "predicted 1.00 ms, measured not measured" in drawn.description
    unknown = dataclasses.replace(search_for(None), predicted=float("nan"))
    assert charts.predicted_and_measured([unknown]) is None


def test_a_front_joins_what_nothing_beats() -> None:
    def found(cost: float, accuracy: float) -> SearchResult:
        return SearchResult(f"{cost}", "a", 1.0, "x", (), 0.0, cost, accuracy)

    group = [found(1e-3, 0.9), found(2e-3, 0.8), found(3e-3, 0.95)]
    drawn = Specification(charts.front({"a": group, "b": []}, "a", LATENCY))
    assert [row["best"] for row in drawn.rows("point")] == [True, False, True]
    assert drawn.layers("line")[0]["transform"] == [{"filter": "datum.best"}]
    assert "found for a: 90.0 % at 1.00 ms to 95.0 % at 3.00 ms" in drawn.description
    assert charts.front({"a": group[:2]}, "a", LATENCY) is None


def with_odds(label: str = "x") -> SearchResult:
    odds = {"normal.0.0": {"none": 0.1, "skip": 0.2, "conv": 0.7}}
    sets = {"normal.0": {"0": 0.05, "1": 0.05, "0+1": 0.8, "invalid": 0.1}}
    return dataclasses.replace(search_for(None), label=label, odds=odds, set_odds=sets)


def test_odds_of_operations_stand_beside_those_of_sets() -> None:
    parts = search_parts(ReportData("t", "", "darts", {}, (), (with_odds(), search_for(None))))
    (part,) = [part for part in parts if part.heading == "Odds at the end"]
    assert "one large square is a choice" in part.remarks[0]
    assert "invalid are all sets together" in part.remarks[1]
    options, sets = (Specification(figure.chart) for figure in part.figures)
    assert {(r["value"], r["odds"]) for r in options.rows("square")} == {
        ("none", 0.1), ("skip", 0.2), ("conv", 0.7),
    }  # fmt: skip
    assert [r["value"] for r in sets.rows("square")] == ["0", "1", "0+1", "invalid"]
    said = part.figures[1].description
    assert "Set of inputs and their odds; the likeliest: normal.0: 0+1 (80" in said


def test_no_odds_are_drawn_where_there_are_none() -> None:
    parts = search_parts(ReportData("t", "", "darts", {}, (), (search_for(None),)))
    assert "Odds at the end" not in [part.heading for part in parts]


def test_of_many_runs_the_first_odds_are_drawn() -> None:
    runs = tuple(with_odds(str(i)) for i in range(6))
    parts = search_parts(ReportData("t", "", "darts", {}, (), runs))
    (part,) = [part for part in parts if part.heading == "Odds at the end"]
    assert len(part.figures) == 2 * 4
    assert part.remarks[-1] == "The first 4 of 6 runs are drawn."


def test_of_many_values_the_likeliest_have_a_column() -> None:
    odds = {"v": {str(i): i / 5050 for i in range(1, 101)}}
    drawn = Specification(charts.odds_chart(odds, "Set"))
    shown = [int(r["value"]) for r in drawn.rows("square")]
    assert shown == list(range(61, 101))


def test_widths_are_drawn_through_those_that_were_chosen() -> None:
    odds = {"1.width": {"8": 0.25, "16": 0.75}, "2.width": {"16": 0.9, "32": 0.1}}
    chosen = {"width": {"1.width": "16", "2.width": "16"}, "expansion": {"1.1.expansion": "75"}}
    run = dataclasses.replace(search_for(None), odds=odds, numbers=chosen)
    parts = search_parts(ReportData("t", "", "fbnetv2", {}, (), (run, search_for(None))))
    (part,) = [part for part in parts if part.heading == "Widths that were chosen"]
    (drawn,) = (Specification(figure.chart) for figure in part.figures)
    assert [(r["variable"], r["number"], r["odds"]) for r in drawn.rows("square")] == [
        ("1.width", 8, 0.25), ("1.width", 16, 0.75), ("2.width", 16, 0.9), ("2.width", 32, 0.1),
    ]  # fmt: skip
    assert [(r["variable"], r["number"]) for r in drawn.rows("line")] == [
        ("1.width", 16), ("2.width", 16),
    ]  # fmt: skip
    assert "1.width: 16 and 2.width: 16" in drawn.description


def test_what_is_drawn_as_widths_is_not_drawn_among_the_odds() -> None:
    """But for a kind of which there is one variable, through which no line goes."""
    widths = {f"{i}.width": {"8": 0.25, "16": 0.75} for i in range(4)}
    kernels = {f"{i}.kernel": {"3": 0.5, "5": 0.5} for i in range(61)}
    odds = widths | {"0.expansion": {"75": 0.5, "150": 0.5}} | kernels
    chosen = {"width": dict.fromkeys(widths, "16"), "expansion": {"0.expansion": "75"}}
    run = dataclasses.replace(search_for(None), odds=odds, numbers=chosen)
    parts = search_parts(ReportData("t", "", "fbnetv2", {}, (), (run,)))
    (part,) = [part for part in parts if part.heading == "Odds at the end"]
    (drawn,) = (Specification(figure.chart) for figure in part.figures)
    shown = list(dict.fromkeys(r["variable"] for r in drawn.rows("square")))
    assert shown == ["0.expansion", *list(kernels)[:59]]
    assert part.remarks[-1].startswith("The first 60 variables are drawn")


def test_options_that_are_no_numbers_are_not_drawn_as_widths() -> None:
    assert (
        charts.numbers_chart({"a": {"x": 1.0}, "b": {"y": 1.0}}, {"a": "x", "b": "y"}, "W") is None
    )
    assert charts.numbers_chart({"a": {"8": 1.0}}, {"a": "8"}, "W") is None
