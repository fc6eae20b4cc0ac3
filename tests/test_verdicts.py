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
from latbench.cli.bars import Bars
from latbench.cli.found import _row, _write
from latbench.cli.verdicts import kept, verdicts
from latbench.experiment.found import Conditions, measured
from latbench.experiment.reporting import collect
from latbench.experiment.results import load_result, result_json
from latbench.files import write_json
from latbench.metric import LATENCY
from latbench.protocol import Protocol
from latbench.report.data import ReportData, SearchResult
from latbench.report.headline import headline
from latbench.report.limits import SHORT, tally
from latbench.report.tables import searches_table
from latbench.spaces import make_space
from latbench.store import Store
from latbench.store.records import Measurement
from latbench.verdicts import Verdict, difference, judge_limit, of_all


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
FOUND = [str(SPACE.sample(7, i)) for i in range(3)]
# Of the mean of the two timings, which are 5 % apart.
FAR, NEAR = 1.2, 1.03


@dataclass(frozen=True)
class Place:
    """An experiment's folder, the network's costs in its store, and what measures into it."""

    folder: Path
    costs: tuple[float, ...]
    conditions: Conditions

    def result(self, target: float, which: int = 0) -> SearchResult:
        """A search for a target, as it stands in its file before its network is measured."""
        return SearchResult(
            f"at most {target}, {which}", FAKE, 0.0, FOUND[which], (), 1e-3, target=target,
            asked="100%", met=True,
        )  # fmt: skip

    def terminal(self, results: list[SearchResult]) -> list[SearchResult]:
        """What the terminal judges: nothing is measured, since the store has everything."""
        path = self.folder / "measurements.sqlite"
        return measured(results, SPACE, [self.conditions], path, Bars(shown=False))

    def page(self, result: SearchResult) -> ReportData:
        """What the page of the experiment judges."""
        file = self.folder / "search" / "target-100%" / "result.json"
        write_json(file, {"inputs": "", "result": result_json(result)})
        return collect(self.folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A set whose noise floor is about 1 %, with networks whose own two timings differ by 5 %."""
    folder = tmp_path_factory.mktemp("verdict")
    text = EXPERIMENT.replace("[0.0, 5.0]", '[]\ntargets = ["100%"]')
    (folder / "experiment.toml").write_text(text)
    protocol = Protocol(min_visits=3, max_visits=3)
    backend = make_backend(FAKE, noise=0.0, session_noise=0.01)
    with Store(folder / "measurements.sqlite", SPACE) as store:
        options = CampaignOptions(retest=1.0)
        outcome = run_campaign(store, backend, n=24, protocol=protocol, options=options)
        named = [SPACE.parse(text) for text in FOUND]
        run_campaign(store, backend, architectures=named, protocol=protocol, options=options)
        summary = store.find_set(set_id=outcome.set_id)
        assert summary.noise_floor is not None
        assert 0.003 < summary.noise_floor < 0.02
        estimates = {a: store.relative(summary.id)[a][0] for a in FOUND}
        for text, relative in estimates.items():
            for repeat, share in enumerate((0.975, 1.025)):
                timed = dataclasses.replace(
                    _estimate(store, summary.id, text), relative=share * relative
                )
                store.add(
                    summary.id, Measurement(text, repeat, None, "ok", timed), replace=True
                )  # fmt: skip
        costs = tuple(store.value(summary.id, text) or 0.0 for text in FOUND)
        noises = [store.noise(summary.id, text) for text in FOUND]
    assert noises == pytest.approx([0.05] * 3)
    write_json(folder / "sets.json", {FAKE: outcome.set_id})
    return Place(folder, costs, Conditions(FAKE, backend, protocol))


def _estimate(store: Store, set_id: int, text: str):  # type: ignore[no-untyped-def]
    from latbench.protocol import estimate

    return estimate(store.raw(set_id)[text][0])


def said_in(text: str) -> Verdict:
    """The one verdict that a sentence of the page or the terminal gives."""
    found: list[Verdict] = [word for word in get_args(Verdict) if word in text.replace("\xa0", " ")]
    (word,) = found
    return word


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(FAR, "kept"), (NEAR, "too close"), (1 / NEAR, "too close"), (1 / FAR, "missed")],
)
def test_the_same_search_has_one_verdict_everywhere(
    place: Place, tmp_path: Path, share: float, verdict: Verdict
) -> None:
    result = place.result(share * place.costs[0])
    (shown,) = place.terminal([result])
    assert kept(shown) == {"kept": "yes", "missed": "no"}.get(verdict, verdict)
    (sentence,) = verdicts(shown)
    assert said_in(sentence.split("the limit: ")[1].split(";")[0]) == verdict
    row = _row(shown, [shown])
    assert (row["verdict"], row["verdicts"]) == (verdict, {FAKE: verdict})
    _write([shown], [tmp_path])
    stored = json.loads((tmp_path / "result.json").read_text())["result"]
    assert (stored["verdict"], stored["verdicts"]) == (verdict, {FAKE: verdict})
    assert load_result(tmp_path / "result.json").verdict == verdict
    data = place.page(result)
    assert data.searches[0].verdict == verdict
    assert data.searches[0].noise == shown.noise
    assert data.searches[0].measured == shown.measured
    assert said_in(headline(data)[0]) == verdict
    assert searches_table(data, LATENCY).rows[0][1].small == SHORT[verdict]


def test_several_runs_of_a_goal_are_counted_by_their_verdicts(place: Place) -> None:
    """Each run is judged by itself, and the page counts: it decides nothing again."""
    low, middle, high = sorted(range(3), key=lambda i: place.costs[i])
    assert place.costs[high] / place.costs[low] > 1.12  # else the limit below tells none apart
    target = place.costs[middle] * NEAR
    runs = place.terminal([place.result(target, which) for which in (low, middle, high)])
    each = Counter(run.verdict for run in runs)
    assert tally(runs) == each
    assert each["too close"] >= 1
    assert len(each) >= 2
    data = dataclasses.replace(place.page(place.result(target)), searches=tuple(runs))
    sentence = headline(data)[0].replace("\xa0", " ")
    assert f"kept its limit in {each['kept']} of 3 runs as measured" in sentence
    for verdict, words in (("missed", "missed it in"), ("too close", "too close to tell in")):
        assert (f"{words} {each[verdict]}" in sentence) is bool(each[verdict])
