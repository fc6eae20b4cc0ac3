from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import SPACE, fill, make_set, row

from latbench.errors import StoreError, UsageError
from latbench.protocol import Visit, estimate
from latbench.store import Store
from latbench.store.raw import pack, unpack
from latbench.store.statistics import from_raw, statistics

runs = st.lists(st.integers(1_000, 10**10), min_size=1, max_size=32).map(tuple)
visits = st.lists(st.builds(Visit, runs, runs), min_size=1, max_size=6)


@settings(deadline=None)
@given(visits)
def test_the_lower_quartile_gives_the_stored_figures(found: list[Visit]) -> None:
    again, first = from_raw(unpack(pack(found)), "lower-quartile"), estimate(found)
    assert again.relative == pytest.approx(first.relative, rel=1e-6)
    assert again.canary_s == pytest.approx(first.canary_s, rel=1e-6)


@settings(deadline=None)
@given(visits)
def test_raw_timings_round_trip(found: list[Visit]) -> None:
    for visit, (network, canary) in zip(found, unpack(pack(found)), strict=True):
        np.testing.assert_allclose(network * 1e9, visit.network_ns, rtol=1e-7)
        np.testing.assert_allclose(canary * 1e9, visit.canary_ns, rtol=1e-7)


@pytest.mark.parametrize(
    "blob",
    [b"", b"abc",
     struct.pack("<f", 1), struct.pack("<4f", 1, 5, 1, 1), struct.pack("<4f", 1, 1, 1, 0),
     struct.pack("<4f", float("nan"), 1, 1, 1), struct.pack("<3f", 0, 1, 1),
     struct.pack("<4f", 1e38, 1, 1, 1), struct.pack("<4f", 1, 1, 1, float("inf"))],
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
    seconds = np.array([1, 2, 3, 4, 5, 93.0])
    row = from_raw([(seconds, np.array([1.0, 2.0]))], estimator)
    assert row.relative == pytest.approx(network / canary)
    assert row.canary_s == pytest.approx(canary)


def test_a_store_under_the_lower_quartile_is_the_store(tmp_path: Path) -> None:
    with Store(fill(tmp_path / "s.sqlite")) as store:
        found, summaries = statistics(store, "lower-quartile"), store.sets()
        mean_s = [float(store.dataset(set_id=s.id).latency_s.mean()) for s in summaries]
    assert [f.rows for f in found] == [8, 1]
    assert [f.retested for f in found] == [s.retested for s in summaries] == [1, 0]
    assert found[0].noise_floor == pytest.approx(summaries[0].noise_floor, rel=1e-4)
    assert found[1].noise_floor is None
    assert [f.anchor_s for f in found] == pytest.approx([s.anchor_s for s in summaries])
    # The named architecture counts in the mean of rows but not in a data set.
    assert found[1].mean_latency_s == pytest.approx(mean_s[1])


def test_an_estimator_changes_what_it_should(tmp_path: Path) -> None:
    disturbed = (Visit((10, 10, 10, 90), (10, 10)),) * 4
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        store.add(store.add_set(make_set()), row(0, visits=disturbed, estimate=estimate(disturbed)))
        assert statistics(store, "minimum")[0].mean_latency_s == pytest.approx(10e-9)
        assert statistics(store, "mean")[0].mean_latency_s == pytest.approx(30e-9)


def test_an_unknown_estimator_names_the_known_ones(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "s.sqlite", SPACE) as store,
        pytest.raises(UsageError, match="'mode'; expected one of median, trimmed"),
    ):
        statistics(store, "mode")
