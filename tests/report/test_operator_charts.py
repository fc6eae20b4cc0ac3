"""The chart of operators: places, ranks, rings, and the layers in which backends differ."""

from __future__ import annotations

from typing import Any

from latbench.report.charts.operator_charts import DIFFERS, operators_chart

LAYERS, OPERATORS = ("1.1", "1.2"), ("a", "b", "c")
SCORES = {
    "ort": {("1.1", "a"): 3.0, ("1.1", "b"): 1.0, ("1.1", "c"): 2.0, ("1.2", "b"): 5.0},
    "eager": {(layer, o): float(i) for layer in LAYERS for i, o in enumerate(OPERATORS)},
}
POOLS = {
    "ort": {"1.1": ["a", "c"], "1.2": ["b"]},
    "eager": {"1.1": ["b", "c"], "1.2": ["b"]},
}
DIFFER = {"ort": {"1.1": ["eager"], "1.2": []}, "eager": {"1.1": ["ort"], "1.2": []}}


def drawn() -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The first backend's part, and the rows of each of its marks."""
    spec = operators_chart(SCORES, POOLS, OPERATORS, LAYERS, DIFFER).to_dict()
    assert [part["title"] for part in spec["vconcat"]] == ["ort", "eager"]
    part = spec["vconcat"][0]
    return part, {
        layer["mark"]["type"]: spec["datasets"][layer["data"]["name"]] for layer in part["layer"]
    }


def test_each_place_has_its_rank_and_score_and_what_was_not_timed_none() -> None:
    _, rows = drawn()
    places = {(r["layer"], r["operator"]): (round(3 * r["rank"]), r["score"])
              for r in rows["square"] if r["layer"] == "1.1"}  # fmt: skip
    assert places == {("1.1", "b"): (1, 1.0), ("1.1", "c"): (2, 2.0), ("1.1", "a"): (3, 3.0)}
    assert [r["operator"] for r in rows["square"] if r["layer"] == "1.2"] == ["b"]


def test_rings_are_round_the_pool() -> None:
    _, rows = drawn()
    assert {(r["layer"], r["operator"]) for r in rows["point"]} == {
        ("1.1", "a"), ("1.1", "c"), ("1.2", "b"),
    }  # fmt: skip


def test_layers_that_differ_are_marked_behind_their_row() -> None:
    part, rows = drawn()
    assert [(r["layer"], r["operator"], r["others"]) for r in rows["text"]] == [
        ("1.1", DIFFERS, "eager")
    ]
    assert part["layer"][0]["encoding"]["x"]["sort"] == [*OPERATORS, DIFFERS]
    assert part["description"].endswith("In 1.1 its pool differs from another's beyond the noise.")
