"""Fronts: which networks are on them, and what was found for one backend measured on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.comparison.fronts import pareto
from latbench.report.page import render
from latbench.report.sections.across_backends import worth_sentences
from latbench.report.sections.found_elsewhere import worth_table
from latbench.report.sections.front_sections import each_once, front_parts, worth_parts
from latbench.report.sections.headline import headline
from latbench.report.sections.page_tables import searches_table
from latbench.report.sections.same_network import found_for, goals_by_network, shared_sentences
from latbench.results import ReportData, SearchResult
from latbench.timing.metric import LATENCY

POINTS = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0]), st.sampled_from([0.5, 0.6, 0.7])), max_size=12
)


@settings(deadline=None)
@given(POINTS)
def test_a_front_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    front = [points[i] for i in pareto(points)]
    assert front == sorted(set(front))
    for cost, accuracy in points:
        assert any(c <= cost and a >= accuracy for c, a in front)
    for cost, accuracy in front:
        assert not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy)
                       for c, a in points)  # fmt: skip


def result(backend: str, weight: float, a: float, b: float, accuracy: float) -> SearchResult:
    """Measured ``a`` on backend a and ``b`` on backend b."""
    costs = {"a": a, "b": b}
    own = costs.pop(backend)
    return SearchResult(
        f"λ = {weight:g}, {backend}", backend, weight, f"{backend}{weight}", (), own, own,
        accuracy, measured_elsewhere=costs, accuracies=(accuracy - 0.01, accuracy + 0.01),
    )  # fmt: skip


PLAIN = result("a", 0.0, 10e-3, 20e-3, 0.95)
SEARCHES = (
    PLAIN,
    dataclasses.replace(PLAIN, backend="b", measured=20e-3, measured_elsewhere={"a": 10e-3}),
    result("a", 0.5, 8e-3, 18e-3, 0.94), result("a", 1.0, 6e-3, 17e-3, 0.93),
    result("b", 0.5, 9e-3, 15e-3, 0.94), result("b", 1.0, 9e-3, 12e-3, 0.92),
    dataclasses.replace(result("a", 0.5, 8.5e-3, 16e-3, 0.935), together=("a", "b")),
)  # fmt: skip
DATA = ReportData("t", "", "darts", {}, (), SEARCHES)


def test_a_search_for_accuracy_alone_counts_once() -> None:
    assert [found_for(s) for s in each_once(SEARCHES)] == [
        "accuracy alone", "a", "a", "b", "b", "a and b"
    ]  # fmt: skip


def test_what_was_found_for_one_is_held_against_what_was_found_for_the_other() -> None:
    (on_a, on_b) = (s.replace("\xa0", " ") for s in worth_sentences(each_once(SEARCHES)))
    # 9 / 8 and 9 / 6; 18 / 15 and 17 / 12.
    assert on_a.startswith("On a, the latency of what was found for b is 31.2 % above")
    assert on_b.startswith("On b, the latency of what was found for a is 30.8 % above")
    assert on_a.endswith("(median of 2 goals); accuracy 93.0 % against 93.5 %.")
    unknown = [dataclasses.replace(s, accuracy=None) for s in SEARCHES]
    assert worth_sentences(unknown)[0].endswith("(median of 2\xa0goals).")


def test_a_difference_inside_the_noise_is_not_claimed() -> None:
    """1 % between what was found for a and what was found for b, on either of them."""

    def pair(noise: float) -> list[SearchResult]:
        own = result("a", 0.5, 10e-3, 20.2e-3, 0.9), result("b", 0.5, 10.1e-3, 20e-3, 0.9)
        return [dataclasses.replace(s, noise={"a": noise, "b": 0.0}) for s in own]

    claimed, not_claimed = (worth_sentences(pair(noise)) for noise in (0.005, 0.02))
    assert ["no difference can be claimed" in s for s in claimed] == [False, False]
    assert ["no difference can be claimed" in s for s in not_claimed] == [True, False]
    for noise, small in ((0.005, "+1.0\xa0% against its own"),
                         (0.02, "+1.0\xa0% against its own, within noise")):  # fmt: skip
        table = worth_table(pair(noise), ["a", "b"], LATENCY)
        assert table.rows[1][3].small == small


def test_goals_that_found_one_network_are_grouped() -> None:
    """The search for accuracy alone stands in the data once for each backend, and is one goal."""
    same = dataclasses.replace(SEARCHES[3], architecture=SEARCHES[2].architecture)
    found = (*SEARCHES[:3], same, *SEARCHES[4:])
    assert shared_sentences(SEARCHES[:2]) == shared_sentences(SEARCHES[2:4]) == []
    assert goals_by_network(found)["a0.5"] == [
        "λ = 0.5 for a", "λ = 1 for a", "λ = 0.5 for a and b"
    ]  # fmt: skip
    alone = found[2:4]
    assert goals_by_network(alone) == {"a0.5": ["λ = 0.5", "λ = 1"]}
    assert shared_sentences(alone) == ["One and the same network was found for λ = 0.5 and λ = 1."]
    page = render(dataclasses.replace(DATA, searches=alone))
    assert shared_sentences(alone)[0] in page


def test_the_table_has_a_column_a_backend_and_a_row_a_search() -> None:
    (fronts,), (worth,) = front_parts(DATA, LATENCY), worth_parts(DATA, LATENCY)
    assert [f.heading for f in fronts.figures] == ["Measured on a", "Measured on b"]
    assert worth.table is not None
    assert worth.table.columns[-2:] == ("On a (ms)", "On b (ms)")
    assert [row[0].text for row in worth.table.rows].count("accuracy alone") == 1
    own, other = worth.table.rows[1][-2:]
    assert (own.text, own.small) == ("8.00", "")
    assert (other.text, other.small) == ("18.0", "+20.0\xa0% against its own")
    assert worth.table.rows[1][2].small == "± 1.4\xa0%, 2 seeds"


def test_one_backend_has_a_front_and_no_comparison() -> None:
    alone = dataclasses.replace(DATA, searches=tuple(
        dataclasses.replace(s, measured_elsewhere={}) for s in SEARCHES[2:4] + SEARCHES[:1]
    ))  # fmt: skip
    (fronts,) = front_parts(alone, LATENCY)
    assert len(fronts.figures) == 1
    assert worth_parts(alone, LATENCY) == []
    assert front_parts(dataclasses.replace(alone, searches=alone.searches[:2]), LATENCY) == []


def test_a_page_with_fronts_and_targets_is_drawn(search_of: Callable[..., SearchResult]) -> None:
    held = dataclasses.replace(
        SEARCHES[2], penalty_weight=0.0, target=7e-3, asked="70%", met=True, label="held"
    )
    data = dataclasses.replace(DATA, searches=(*SEARCHES, held))
    page = render(data)
    assert page.index("Found for one, measured on all") < page.index("Measured fronts")
    assert headline(data)[0].startswith("On a, the latency of what was found for b is ")
    assert any(
        "search for at most 7.00 ms (70%) missed its limit as measured: "
        in said.replace("\xa0", " ")
        for said in headline(data)
    )
    table = searches_table(data, LATENCY)
    assert table.columns[1] == "λ or target"
    assert table.rows[-1][1].text == "≤ 7.00 ms"
    for measured, said in ((None, "missed by prediction"), (7.1e-3, "missed as measured"),
                           (6.9e-3, "kept as measured")):  # fmt: skip
        missed = dataclasses.replace(held, met=False, measured=measured)
        listed = searches_table(dataclasses.replace(DATA, searches=(missed,)), LATENCY)
        assert listed.rows[0][1].small == said
    # A search with a target is no baseline.
    assert table.rows[2][5].text.replace("\xa0", " ") == "−20.0 %"


def test_costs_are_looked_up_by_backend() -> None:
    assert [SEARCHES[4].cost_on(name) for name in ("a", "b", "c")] == [9e-3, 15e-3, None]
    assert SEARCHES[0].deviation == pytest.approx(0.01414, rel=1e-3)
    assert dataclasses.replace(PLAIN, accuracies=(0.9,)).deviation is None
