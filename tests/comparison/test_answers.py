"""What is said of networks in a store, and which of two is said to be faster."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from stored import CANARY_S, SPACE, make_set

from latbench.comparison.answers import Answer, Pair, answer, judge, pairs, seconds_an_image
from latbench.errors import UsageError
from latbench.store import Costs, Measurement, Store
from latbench.store.occasions import SetNoise, Timings
from latbench.store.repeats import BETWEEN_S
from latbench.store.statistics import statistics
from latbench.timing.protocol import Visit, estimate

TEXTS = [str(SPACE.sample(0, i)) for i in range(6)]
NETWORK = SPACE.build(SPACE.sample(0, 0))


def timing(text: str, seconds: float, repeat: int = 0, runs: int = 3, **changes: object
           ) -> Measurement:  # fmt: skip
    """A row of eight visits, of which the fastest run took so long."""
    visits = (Visit(tuple(seconds * (1 + 0.1 * i / runs) for i in range(runs))),) * 8
    values = {"sample_index": None, "status": "ok", "estimate": estimate(visits, CANARY_S),
              "stop": "target", "visits": visits, "occasion": 1, "block": 0,
              "costs": Costs(memory_bytes=2**20)}  # fmt: skip
    return Measurement(text, repeat, **{**values, **changes})  # type: ignore[arg-type]


def read(store: Store, name: str, text: str, requests: int = 1) -> Answer:
    """That of a network in a store's only set."""
    (found,) = store.sets()
    return answer(store, found, SetNoise.read(store, found.id), name, text, NETWORK, requests)


def answers(path: Path, seconds: dict[str, tuple[float, ...]]) -> list[Answer]:
    """Those of a store with a timing of each text for each of its seconds."""
    with Store(path, SPACE) as store:
        set_id = store.add_set(make_set())
        for text, times in seconds.items():
            for repeat, time in enumerate(times):
                store.add(set_id, timing(text, time, repeat))
        return [read(store, text[:4], text) for text in seconds]


def pair(a: Answer, b: Answer) -> Pair:
    (found,) = judge([(a, b)])
    return found


def test_an_answer_has_the_figures_of_a_network(tmp_path: Path) -> None:
    (a,) = answers(tmp_path / "s.sqlite", {TEXTS[0]: (1.00e-3, 1.02e-3)})
    assert a.latency_s == pytest.approx(1.01e-3)
    # The mean of two timings, whose pair is the only one that tells of the noise.
    half = stats.t.ppf(0.975, 1) * abs(math.log(1.02)) / math.sqrt(2) / math.sqrt(2)
    assert a.interval_s == pytest.approx((1.01e-3 / math.exp(half), 1.01e-3 * math.exp(half)))
    assert a.images_per_s == pytest.approx(1 / 1.01e-3)
    assert a.runs == 2 * 8 * 3
    assert a.costs == {"memory": 2**20, "device-memory": None, "size": None, "energy": None}
    assert a.percentiles["p90"] is a.percentiles["p99"] is None  # 64 and 662 runs
    p50 = a.percentiles["p50"]
    assert p50 is not None
    assert 1.03e-3 < p50.value <= p50.at_most < 1.1e-3
    assert a.error is None


def test_percentiles_are_of_all_runs_when_these_are_enough(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        store.add(set_id, timing(TEXTS[0], 1e-3, runs=100))
        store.add(set_id, timing(TEXTS[0], 2e-3, repeat=1, runs=100))
        a = read(store, "it", TEXTS[0], requests=4)
        p50, p99 = a.percentiles["p50"], a.percentiles["p99"]
        assert p50 is not None
        assert p99 is not None
        assert 1.09e-3 < p50.value < 2.001e-3
        assert 2.18e-3 < p99.value <= p99.at_most < 2.2e-3
        assert a.images_per_s == pytest.approx(4 / a.latency_s)  # type: ignore[operator]
        (of_set,) = statistics(store, "p90")
        assert of_set.mean_latency_s == pytest.approx(1.09e-3, rel=0.01)  # of the first timing


def test_the_percentile_of_a_set_is_refused_for_too_few_runs(tmp_path: Path) -> None:
    answers(tmp_path / "s.sqlite", {TEXTS[0]: (1e-3,)})
    with Store(tmp_path / "s.sqlite") as store:
        assert statistics(store, "p50")[0].rows == 1
        with pytest.raises(UsageError, match=r"p99 needs 662 runs .* and a row has 24"):
            statistics(store, "p99")
        with pytest.raises(UsageError, match=r"expected one of minimum, .*, p50, p90, p99"):
            statistics(store, "p95")


# Timings of four further networks, by which the noise of a set is known.
STEADY = {text: (2e-3 * (1 + i / 10), 2.01e-3 * (1 + i / 10)) for i, text in enumerate(TEXTS[2:])}


def two(path: Path, a: tuple[float, ...], b: tuple[float, ...]) -> list[Answer]:
    """Two networks with these timings, in a set whose timings repeat to half a per cent."""
    return answers(path, {TEXTS[0]: a, TEXTS[1]: b, **STEADY})[:2]


def test_the_faster_of_two_is_told_beyond_their_noise(tmp_path: Path) -> None:
    a, b = two(tmp_path / "s.sqlite", (1.2e-3, 1.2e-3), (1e-3, 1.01e-3))
    found = pair(a, b)
    assert (found.faster, found.slower) == (b, a)
    assert found.told
    assert found.change.value == pytest.approx(1.005 / 1.2 - 1)
    assert found.change.low < found.change.value < found.change.high < 0
    assert found.sentence.replace("\u00a0", " ") == f"{b.name} is 16 % faster than {a.name}"


def test_nothing_is_told_within_the_noise(tmp_path: Path) -> None:
    a, b = two(tmp_path / "s.sqlite", (1.0e-3, 1.005e-3), (1e-3, 1.015e-3))
    found = pair(a, b)
    assert not found.told
    said = found.sentence.replace("\u00a0", " ")
    assert "is faster cannot be told: they differ by 0.50 %, and from " in said
    assert 0.005 < found.visible < 0.03


def test_without_a_retest_nothing_is_told(tmp_path: Path) -> None:
    a, b = answers(tmp_path / "s.sqlite", {TEXTS[0]: (1e-3,), TEXTS[1]: (2e-3,)})
    found = pair(a, b)
    assert not found.told
    assert found.sentence.endswith("the noise is not known; measure with --retest")


@pytest.mark.parametrize("pairs_of", [2, 6])
def test_equal_networks_are_seldom_told_apart(tmp_path: Path, pairs_of: int) -> None:
    """One of a hundred is expected to be; `Store.noise` would have told every sixth apart."""
    (known,) = answers(tmp_path / "s.sqlite", {TEXTS[0]: (1e-3, 1e-3)})
    random, told, n = np.random.default_rng(0), 0, 1000
    for _ in range(n):
        times = np.exp(0.01 * random.normal(size=(pairs_of, 2)))
        noise = SetNoise(times, times[:0], np.full(2 * pairs_of, 0.001), np.ones(2 * pairs_of))
        both = [
            replace(known, latency_s=float(one.mean()), noise=noise,
                    timings=Timings(2, float(one.mean()), 0.001, ((1, 0.0), (1, 1.0))))
            for one in times[:2]
        ]  # fmt: skip
        told += pair(*both).told
    assert 1 <= told <= 20  # the deviation of 10 is 3


def test_batches_are_compared_by_the_image(tmp_path: Path) -> None:
    a, b = two(tmp_path / "s.sqlite", (1e-3, 1e-3), (2e-3, 2e-3))
    b = replace(b, images=4)
    assert pair(a, b).faster is a
    (found,) = judge([(a, b)], seconds_an_image)
    assert found.faster is b
    assert found.told
    assert found.change.value == pytest.approx(-0.5)


def apart(path: Path, *repeats: int) -> list[Answer]:
    """Of two networks, one was measured an hour later than the other, and ``repeats`` of the first
    one then as well."""
    with Store(path, SPACE) as store:
        set_id = store.add_set(make_set())
        for text, seconds, occasion in ((TEXTS[0], 1e-3, 1), (TEXTS[1], 1.3e-3, 2)):
            store.add(set_id, timing(text, seconds, 0, occasion=occasion))
            store.add(set_id, timing(text, seconds, 1, occasion=occasion))
        for repeat in repeats:
            store.add(set_id, timing(TEXTS[0], 1.2e-3, repeat, occasion=3))
    import sqlite3

    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE measurements SET finished = occasion * ?", (2 * BETWEEN_S,))
        db.commit()
    with Store(path) as store:
        return [read(store, name, text) for name, text in zip("ab", TEXTS, strict=False)]


def test_what_was_measured_on_another_day_stands_on_the_floor_between(tmp_path: Path) -> None:
    found = pair(*apart(tmp_path / "a.sqlite"))
    assert found.crosses
    assert not found.told
    assert "at different times" in found.sentence
    assert "latbench recheck" in found.sentence
    one, other = apart(tmp_path / "b.sqlite", 2)
    later = pair(one, other)
    assert later.crosses
    assert not later.told
    assert "from " in later.sentence  # one pair says something, and not much
    assert 0.9 < later.visible < 1


def test_of_many_networks_neighbours_are_judged(tmp_path: Path) -> None:
    found = answers(tmp_path / "s.sqlite", {t: (1e-3 * (i + 1),) for i, t in enumerate(TEXTS)})
    assert len(pairs(found)) == 5
    assert len(pairs(found[:4])) == 6
    assert [p.faster for p in pairs(found)] == found[:-1]


def test_a_network_that_failed_says_why(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        set_id = store.add_set(make_set())
        store.add(set_id, Measurement(TEXTS[0], 0, None, "failed", error="too large"))
        a = read(store, "it", TEXTS[0])
        assert a.error == "too large"
        assert (a.latency_s, a.interval_s, a.images_per_s) == (None, None, None)
        assert read(store, "it", TEXTS[1]).error is None
        assert pairs([a]) == []
