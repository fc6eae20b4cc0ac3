from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import SPACE, fill, make_set, row

from latbench.errors import StoreError, UsageError
from latbench.store import Store
from latbench.store.protocol_1 import relative_and_canary
from latbench.store.raw import pack, unpack
from latbench.store.statistics import from_raw, statistics
from latbench.timing.protocol import Visit, estimate

seconds = st.floats(2.0**-20, 10, width=32)
runs = st.lists(seconds, min_size=1, max_size=32).map(tuple)
waited = st.just(0.0) | seconds
visits = st.lists(st.builds(Visit, runs, st.just(()), waited), min_size=1, max_size=6)
old_visits = st.lists(st.builds(Visit, runs, runs, waited), min_size=1, max_size=6)


@settings(deadline=None)
@given(visits, seconds)
def test_the_minimum_gives_the_stored_figures(found: list[Visit], canary_s: float) -> None:
    again = from_raw(unpack(pack(found)), "minimum", canary_s)
    assert again == pytest.approx(estimate(found, canary_s).relative, rel=1e-12)


@settings(deadline=None)
@given(old_visits)
def test_the_lower_quartile_gives_the_figures_of_protocol_1(found: list[Visit]) -> None:
    again = from_raw(unpack(pack(found)), "lower-quartile", 9.0)
    assert again == pytest.approx(relative_and_canary(found)[0], rel=1e-12)


@settings(deadline=None)
@given(visits | old_visits)
def test_raw_timings_round_trip(found: list[Visit]) -> None:
    assert unpack(pack(found)) == found


@pytest.mark.parametrize(
    "blob",
    [b"", b"abc",
     struct.pack("<2f", 1, 1), struct.pack("<5f", 1, 5, 0, 1, 1),
     struct.pack("<5f", 1, 1, 0, 1, 0), struct.pack("<5f", float("nan"), 1, 0, 1, 1),
     struct.pack("<4f", 0, 1, 0, 1), struct.pack("<5f", 1e38, 1, 0, 1, 1),
     struct.pack("<5f", 1, 1, 0, 1, float("inf")), struct.pack("<5f", 1, 1, -1, 1, 1),
     struct.pack("<5f", 1, 1, float("nan"), 1, 1)],
)  # fmt: skip
def test_damaged_raw_timings_are_refused(blob: bytes) -> None:
    with pytest.raises(StoreError, match="raw timings"):
        unpack(blob)


@pytest.mark.parametrize(
    ("estimator", "network", "canary"),
    [("median", 3.5, 1.5), ("trimmed", 3.5, 1.5), ("lower-quartile", 2.25, 1.25),
     ("minimum", 1, 1), ("mean", 18.0, 1.5)],
)  # fmt: skip
def test_estimators(estimator: str, network: float, canary: float) -> None:
    timings = (1, 2, 3, 4, 5, 93.0)
    assert from_raw([Visit(timings, (1.0, 2.0))], estimator, 9.0) == pytest.approx(network / canary)
    assert from_raw([Visit(timings)], estimator, 4.0) == pytest.approx(network / 4)
    # Over the visits it is the same figure.
    by_visit = [Visit((t,)) for t in timings]
    assert from_raw(by_visit, estimator, 1.0) == pytest.approx(network)


def test_a_store_under_the_minimum_is_the_store(tmp_path: Path) -> None:
    with Store(fill(tmp_path / "s.sqlite")) as store:
        found, summaries = statistics(store, "minimum"), store.sets()
        mean_s = [float(store.dataset(set_id=s.id).values.mean()) for s in summaries]
    assert [f.rows for f in found] == [8, 1]
    assert [f.retested for f in found] == [s.retested for s in summaries] == [1, 0]
    assert found[0].noise_floor == pytest.approx(summaries[0].noise_floor, rel=1e-4)
    assert found[1].noise_floor is None
    assert [f.anchor_s for f in found] == pytest.approx([s.anchor_s for s in summaries])
    # The named architecture counts in the mean of rows but not in a data set.
    assert found[1].mean_latency_s == pytest.approx(mean_s[1])


def test_an_estimator_changes_what_it_should(tmp_path: Path) -> None:
    disturbed = (Visit((10e-9, 10e-9, 10e-9, 90e-9)),) * 4
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        store.add(
            store.add_set(make_set()), row(0, visits=disturbed, estimate=estimate(disturbed, 1e-9))
        )
        assert statistics(store, "minimum")[0].mean_latency_s == pytest.approx(10e-9)
        assert statistics(store, "mean")[0].mean_latency_s == pytest.approx(30e-9)


def test_an_unknown_estimator_names_the_known_ones(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "s.sqlite", SPACE) as store,
        pytest.raises(UsageError, match="'mode'; expected one of minimum, lower-quartile"),
    ):
        statistics(store, "mode")
