"""Campaigns that are looked at again: checks around a run, ``recheck``, disturbed rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.recheck import recheck
from latbench.errors import NotEnoughData, UsageError
from latbench.spaces import nasbench201
from latbench.store import Measurement, Store
from latbench.store.checks import sentinels
from latbench.testing import CostModelBackend

SPACE = nasbench201(channels=4, cells=1, resolution=8)
FAST = CampaignOptions(retest=0.4, block=8)
BACKEND = CostModelBackend(session_noise=0.01)


def timings(store: Store, condition: str) -> list[tuple[str, int, int]]:
    query = f"SELECT architecture, repeat, occasion FROM measurements WHERE {condition}"
    return store.connection.execute(query + " ORDER BY 1, 2").fetchall()


def test_a_long_campaign_times_its_sentinels_at_its_end(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, BACKEND, n=40, options=FAST)
        checks = timings(store, "repeat > 1")
        assert len(checks) == 6
        assert {(repeat, occasion) for _, repeat, occasion in checks} == {(2, 1)}
        assert outcome.measured == 40 + len(timings(store, "repeat = 1")) + 6
        assert run_campaign(store, BACKEND, n=40, options=FAST).measured == 0


def test_a_resumed_one_times_them_first(tmp_path: Path) -> None:
    order: list[int] = []

    class Watched(Store):
        def put(self, set_id: int, row: Measurement, *, faster: bool = False) -> None:
            order.append(row.repeat)
            super().put(set_id, row, faster=faster)

    with Watched(tmp_path / "s.sqlite", SPACE) as store:
        run_campaign(store, BACKEND, n=24, options=FAST)
        order.clear()
        run_campaign(store, BACKEND, n=2 * 24, options=FAST)
        assert min(order[:6]) > 1
        assert len(timings(store, "repeat > 1 AND occasion = 2")) >= 6
        # Few named networks are not worth as many checks.
        order.clear()
        run_campaign(store, BACKEND, architectures=[SPACE.sample(9, 9)], options=FAST)
        assert set(order) <= {0, 1}


def test_recheck_times_the_sentinels_or_more(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = run_campaign(store, BACKEND, n=24, options=FAST).set_id
        chosen = sentinels(store, number)
        before = store.dataset().values
        assert recheck(store).measured == len(chosen) == 6
        assert timings(store, "occasion = 2") == sorted((a, r, 2) for a, r in chosen)
        assert recheck(store, n=20, options=replace(FAST, parity=False)).measured == 20
        assert len(timings(store, "occasion = 3")) == 20
        assert store.dataset().values.tolist() == pytest.approx(before.tolist(), rel=0.05)


def test_what_cannot_be_checked_is_said(tmp_path: Path) -> None:
    options = replace(FAST, retest=0)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = run_campaign(store, BACKEND, n=6, options=options).set_id
        with pytest.raises(NotEnoughData, match="name how many to measure again with -n"):
            recheck(store)
        assert recheck(store, n=2).measured == 2
        found = store.find_set(set_id=number).set
        other = store.add_set(replace(found, version="0.1"))
        for row in [a for a, _ in sentinels(store, number, 3)]:
            store.connection.execute(
                "INSERT INTO main.measurements (set_id, rank, repeat, status, relative, half_width,"
                " raw_s, canary_s, finished) VALUES (?, ?, 0, 'ok', 1, 0.01, 1, 1, 1)",
                (other, store.rank(row)),
            )
        with pytest.raises(UsageError, match=r"was measured with version '0\.1'"):
            recheck(store, set_id=other, n=2)
