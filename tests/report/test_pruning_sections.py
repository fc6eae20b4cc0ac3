"""What a page says of pruned models."""

from __future__ import annotations

import dataclasses
import html

import pytest
from made_pruned import made

from latbench.report.charts.pruning_charts import pruned_front
from latbench.report.charts.width_charts import left_chart
from latbench.report.page import render
from latbench.report.picture import picture_of, picture_of_pruned
from latbench.report.sections.headline import headline
from latbench.report.sections.pruning_sections import pruned_table, pruning_section
from latbench.results import ReportData

RESULTS = (
    made("50%", 0.5, 0.94), made("50%", 0.52, 0.92, seed=1), made("20%", 0.2, 0.8),
    made("20%", 0.21, 0.78, seed=1),
)  # fmt: skip
DATA = ReportData("t", "", "", {}, (), pruned=RESULTS)


def test_the_front_has_the_model_before_and_every_budget() -> None:
    chart = pruned_front(RESULTS)
    assert chart is not None
    (rows,) = chart.to_dict()["datasets"].values()
    assert [(row["ms"], row["budget"], row["best"]) for row in rows] == [
        (10.0, "before pruning", True), (5.1, "50%", True), (2.05, "20%", True),
    ]  # fmt: skip
    assert rows[1]["high"] - rows[1]["low"] == pytest.approx(2 * 0.0141421, rel=1e-3)
    assert "20% 79.0 % at 2.05 ms" in str(chart.description).replace("\xa0", " ")
    assert pruned_front(RESULTS[:2]) is None


def test_layers_are_drawn_by_numbers_of_channels_or_shares_of_groups() -> None:
    groups, channels = RESULTS[0], made(method="channels")
    for one, kept, said in ((groups, [0.5, 0.125], "1: 50.0 %"), (channels, [4, 64], "1: 4 of 8")):
        drawn = left_chart(one)
        (rows,) = drawn.to_dict()["datasets"].values()
        assert [row["kept"] for row in rows] == kept
        assert said in str(drawn.description).replace("\xa0", " ")


def test_predicted_stands_beside_measured() -> None:
    table = pruned_table(RESULTS)
    assert table.columns[2:5] == ("Predicted (ms)", "Measured (ms)", "Prediction's error")
    texts = [[entry.text.replace("\xa0", " ") for entry in row] for row in table.rows]
    assert texts[0][:4] == ["a net", "before pruning", "", "10.0"]
    assert texts[1][:7] == ["a net", "50%", "4.50", "5.00", "−10.0 %", "100.0 %", "2.00"]
    smalls = [row[5].small for row in table.rows]
    assert smalls == ["", "kept", "missed", "kept", "missed"]
    assert table.rows[2][1].small == "seed 1"


def test_a_page_of_pruned_models_alone_says_what_they_take() -> None:
    (said,) = headline(DATA)
    assert said.replace("\xa0", " ") == (
        "On simd-sparse, a net pruned to 20% takes 2.05 ms where it took 10.0 ms, as measured: 4.9 "
        "times as fast, the budget kept from 1 of 2 seeds; accuracy 79.0 % against 95.0 % (means "
        "over 2 seeds). This is the fastest of 2 budgets."
    )
    section = pruning_section(RESULTS)
    assert section is not None
    assert [part.heading for part in section.parts] == [
        "Accuracy and measured latency", "Predicted and measured", "Layers"
    ]  # fmt: skip
    # The first seed of each budget.
    assert [f.heading for f in section.parts[2].figures] == ["a net, 50%", "a net, 20%"]
    page = html.unescape(render(DATA))
    assert "Of several seeds the first is drawn." in page
    assert "kept up to 3.0\xa0% above it" in page
    assert pruning_section(()) is None


def test_foreign_names_are_only_text() -> None:
    evil = "<script>alert(1)</script>"
    strange = dataclasses.replace(RESULTS[0], model=f"{evil}@0", budget=evil, backend=evil)
    assert evil not in render(dataclasses.replace(DATA, pruned=(strange, *RESULTS)))


def test_a_picture_has_the_front_and_the_layers() -> None:
    assert len(picture_of_pruned(RESULTS).to_dict()["vconcat"]) == 1 + len(RESULTS)
    assert len(picture_of_pruned(RESULTS[:1]).to_dict()["vconcat"]) == 1
    assert len(picture_of(DATA).to_dict()["vconcat"]) == 1
