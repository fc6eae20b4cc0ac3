"""One verdict: what is decided, and that terminal, JSON, result file and page say the same."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from experiment_file import EXPERIMENT, FAKE

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.cli.search_sentences import kept, verdicts
from latbench.cli.search_tables import _row
from latbench.experiment.reporting import collect
from latbench.experiment.result_files import load_result, result_json
from latbench.experiment.verification import Conditions, measured
from latbench.files import write_json
from latbench.progress import Bars
from latbench.report.sections.headline import headline
from latbench.report.sections.limit_sentences import SHORT, tally
from latbench.report.sections.page_tables import searches_table
from latbench.results import ReportData, SearchResult
from latbench.spaces import make_space
from latbench.store import Store
from latbench.store.records import Measurement
from latbench.timing.metric import LATENCY
from latbench.timing.protocol import Protocol, estimate
from latbench.timing.verdicts import Verdict, difference, judge_limit, of_all


@pytest.mark.parametrize(
    ("measured", "limit", "noise", "verdict"),
    [
        (0.98, 1.0, 0.01, "kept"), (0.98, 1.0, 0.03, "too close"), (1.02, 1.0, 0.01, "missed"),
        (1.02, 1.0, 0.03, "too close"), (1.0, 1.0, 0.01, "too close"),
        # A size has no noise: at most is at most.
        (1.0, 1.0, 0.0, "kept"), (1.001, 1.0, 0.0, "missed"),
        (1.0, 1.0, None, "kept"), (1.001, 1.0, None, "missed"),
    ],
)  # fmt: skip
def test_nearer_to_a_limit_than_the_noise_nothing_is_decided(
    measured: float, limit: float, noise: float | None, verdict: Verdict
) -> None:
    found = judge_limit(measured, limit, noise)
    assert (found.verdict, found.noise) == (verdict, noise)
    assert found.excess == pytest.approx(measured / limit - 1)


def test_of_several_limits_a_clear_miss_counts_first() -> None:
    assert of_all(["kept", "kept"]) == "kept"
    assert of_all(["kept", "too close"]) == "too close"
    assert of_all(["too close", "missed", "kept"]) == "missed"


@pytest.mark.parametrize(
    ("noises", "within"),
    [((0.01, 0.03), True), ((0.01, None), False), ((None, 0.03), True), ((None, None), False)],
)
def test_two_networks_differ_beyond_the_noise_of_both(
    noises: tuple[float | None, ...], within: bool
) -> None:
    found = difference(1.02, 1.0, noises)
    assert found.change == pytest.approx(0.02)
    assert found.within_noise is within
    assert (found.noise is None) is (noises == (None, None))
    assert not difference(1.0, 1.0, [0.0]).within_noise


SPACE = make_space("darts", {"channels": 4, "cells": 3, "resolution": 8, "in_channels": 1})
SAMPLED = sorted((SPACE.sample(0, i) for i in range(12)), key=lambda a: len(SPACE.build(a).layers))
# One in the middle, the cheapest and the dearest.
FOUND = [str(SAMPLED[i]) for i in (6, 0, -1)]
# Limits beside the mean of the first network's two timings, which are 5 % apart.
SHARES: dict[float, Verdict] = {
    1.2: "kept", 1.03: "too close", 1 / 1.03: "too close", 1 / 1.2: "missed"
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """Searches for each of ``SHARES``, and three runs for the second of them, as they come from the
    terminal's side, and the former as the page of an experiment on the same store has them."""

    terminal: list[SearchResult]
    runs: list[SearchResult]
    page: ReportData


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """From a set whose noise floor is about 1 %, with networks whose own timings are 5 % apart."""
    folder = tmp_path_factory.mktemp("verdict")
    path, protocol = folder / "measurements.sqlite", Protocol(min_visits=3, max_visits=3)
    backend = make_backend(FAKE, base_s=1e-6, session_noise=0.01)
    with Store(path, SPACE) as store:
        options = CampaignOptions(retest=1.0)
        outcome = run_campaign(store, backend, n=12, protocol=protocol, options=options)
        set_id = outcome.set_id
        first = store.relative(set_id)
        for text in FOUND:
            seen = estimate(store.raw(set_id)[text][0], 1e-3)
            for repeat, share in enumerate((0.975, 1.025)):
                timed = dataclasses.replace(seen, relative=share * first[text][0])
                row = Measurement(text, repeat, None, "ok", timed)  # named, not of the sample
                store.add(set_id, row, replace=True)
        floor = store.find_set(set_id=set_id).noise_floor
        assert floor is not None
        assert 0.003 < floor < 0.02
        costs = [store.value(set_id, text) or 0.0 for text in FOUND]
        assert [store.noise(set_id, text) for text in FOUND] == pytest.approx([0.05] * 3)
    limits = [share * costs[0] for share in SHARES]
    asked = [f"{1e3 * limit:.9f}ms" for limit in limits]
    text = EXPERIMENT.replace("[0.0, 5.0]", f"[]\ntargets = {json.dumps(asked)}")
    (folder / "experiment.toml").write_text(text)
    write_json(folder / "sets.json", {FAKE: set_id})
    # As they stand in their files before their networks are measured.
    searched = [
        SearchResult("x", FAKE, 0.0, FOUND[0], (), 1e-3, target=limit, asked=words, met=True)
        for limit, words in zip(limits, asked, strict=True)
    ]
    for s in searched:
        file = folder / "search" / FAKE / f"target-{s.asked}" / "result.json"
        write_json(file, {"inputs": "", "result": result_json(s)})
    runs = [dataclasses.replace(searched[1], architecture=text) for text in FOUND]
    # Nothing is measured here: the store has everything.
    conditions = [Conditions(FAKE, backend, protocol)]
    shown = measured([*searched, *runs], SPACE, conditions, path, Bars(shown=False))
    return Judged(shown[:4], shown[4:], collect(folder))


def said_in(text: str) -> Verdict:
    """The one verdict that a sentence of the page or the terminal gives."""
    (word,) = [word for word in get_args(Verdict) if word in text]
    found: Verdict = word
    return found


@pytest.mark.parametrize("number", range(len(SHARES)))
def test_the_same_search_has_one_verdict_everywhere(
    judged: Judged, tmp_path: Path, number: int
) -> None:
    verdict, shown = [*SHARES.values()][number], judged.terminal[number]
    assert kept(shown) == {"kept": "yes", "missed": "no"}.get(verdict, verdict)
    (sentence,) = verdicts(shown)
    assert said_in(sentence.split("the limit: ")[1].split(";")[0]) == verdict
    row = _row(shown, [shown])
    assert (row["verdict"], row["verdicts"]) == (verdict, {FAKE: verdict})
    write_json(tmp_path / "result.json", {"result": result_json(shown)})
    stored = json.loads((tmp_path / "result.json").read_text())["result"]
    assert (stored["verdict"], stored["verdicts"]) == (verdict, {FAKE: verdict})
    assert load_result(tmp_path / "result.json").verdict == verdict
    paged = judged.page.searches[number]
    assert (paged.verdict, paged.noise, paged.measured) == (verdict, shown.noise, shown.measured)
    alone = dataclasses.replace(judged.page, searches=(paged,))
    assert said_in(headline(alone)[0]) == verdict
    assert searches_table(alone, LATENCY).rows[0][1].small == SHORT[verdict]


def test_several_runs_of_a_goal_are_counted_by_their_verdicts(judged: Judged) -> None:
    """Each run is judged by itself, and the page counts: it decides nothing again."""
    each = Counter(run.verdict for run in judged.runs)
    assert each["too close"] >= 1
    assert len(each) >= 2
    assert tally(judged.runs) == each
    data = dataclasses.replace(judged.page, searches=tuple(judged.runs))
    sentence = headline(data)[0].replace("\xa0", " ")
    assert f"kept its limit in {each['kept']} of 3 runs as measured" in sentence
    for count, words in ((each["missed"], "missed it in"), (each["too close"], "to tell in")):
        assert (f"{words} {count}" in sentence) is bool(count)
