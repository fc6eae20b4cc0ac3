"""Campaigns that are looked at again: checks around a run, ``recheck``, disturbed rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latbench.campaign import CampaignOptions, filling, run_campaign
from latbench.campaign.canaries import CANARIES, UNIT
from latbench.campaign.filling import CHECKED_FROM
from latbench.campaign.loading_ahead import measure_blocks
from latbench.campaign.recheck import recheck
from latbench.errors import NotEnoughData, UsageError
from latbench.spaces import nasbench201
from latbench.store import Measurement, Store
from latbench.store.occasions import sentinels
from latbench.testing import CostModelBackend

SPACE = nasbench201(channels=4, cells=1, resolution=8)
FAST = CampaignOptions(retest=0.4, block=8)
BACKEND = CostModelBackend(session_noise=0.01)


def timings(store: Store, condition: str) -> list[tuple[str, int, int]]:
    query = f"SELECT architecture, repeat, occasion FROM measurements WHERE {condition}"
    return store.connection.execute(query + " ORDER BY 1, 2").fetchall()


def test_a_long_campaign_times_its_sentinels_at_its_end(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        options = CampaignOptions(retest=0.2)
        outcome = run_campaign(store, BACKEND, n=CHECKED_FROM, options=options)
        checks = timings(store, "repeat > 1")
        assert len(checks) == 6
        assert {(repeat, occasion) for _, repeat, occasion in checks} == {(2, 1)}
        assert outcome.measured == CHECKED_FROM + len(timings(store, "repeat = 1")) + 6
        assert run_campaign(store, BACKEND, n=CHECKED_FROM, options=options).measured == 0


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
                "INSERT INTO main.measurements (set_id, key, repeat, status, relative, half_width,"
                " raw_s, canary_s, finished) VALUES (?, ?, 0, 'ok', 1, 0.01, 1, 1, 1)",
                (other, store.key(row)),
            )
        with pytest.raises(UsageError, match=r"was measured with version '0\.1'"):
            recheck(store, set_id=other, n=2)


def test_rows_of_a_disturbed_block_are_measured_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block of six, a sixth of the rows, in which a neighbour took the cache."""
    real = measure_blocks
    slower: list[str] = []

    def disturbed(measurers: Any, blocks: Any, first: int = 0) -> Iterator[Measurement]:
        for row in real(measurers, blocks, first):
            assert row.estimate is not None
            if row.block == 2:
                slower.append(row.architecture)
                e = row.estimate
                worse = replace(e, relative=1.5 * e.relative, canary_s=1.1 * e.canary_s)
                yield replace(row, estimate=worse)
            else:
                yield row

    monkeypatch.setattr(filling, "measure_blocks", disturbed)
    options = CampaignOptions(retest=0, block=8)
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        outcome = run_campaign(store, CostModelBackend(), n=48, options=options)
        assert (outcome.measured, outcome.again) == (48, len(slower)) == (48, 8)
        assert store.find_set().disturbed == 0
        backend, canary = CostModelBackend(), CANARIES[UNIT]()
        for text in slower:
            network = SPACE.build(SPACE.parse(text))
            expected = backend.latency_s(network) / backend.latency_s(canary)
            assert store.relative(1)[text] == [pytest.approx(expected, rel=1e-4)]
