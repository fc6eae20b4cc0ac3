"""A campaign on a fake device, and the same again from its store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loading import as_model

from latbench.campaign import CampaignOptions, run_campaign
from latbench.errors import BackendError
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.testing import CostModelBackend, ReplayBackend
from latbench.timing.protocol import Protocol

SPACE = nasbench201(channels=4, cells=1, resolution=8)
PROTOCOL = Protocol(min_visits=2, max_visits=2)


def measured(path: Path, backend: CostModelBackend | ReplayBackend, n: int = 12) -> Path:
    with Store(path, SPACE) as store:
        run_campaign(
            store, backend, n=n, protocol=PROTOCOL, options=CampaignOptions(retest=0.5, block=4)
        )
    return path


def test_a_replayed_campaign_is_the_one_that_was_measured(tmp_path: Path) -> None:
    first = measured(tmp_path / "a.sqlite", CostModelBackend(session_noise=0.05))
    backend = ReplayBackend(str(first))
    assert backend.availability().ready
    again = measured(tmp_path / "b.sqlite", backend)
    with Store(first) as a, Store(again) as b:
        assert b.relative(1).keys() == a.relative(1).keys()
        for architecture, repeats in a.relative(1).items():
            np.testing.assert_allclose(b.relative(1)[architecture], repeats, rtol=1e-3)
        assert b.sets()[0].noise_floor == pytest.approx(a.sets()[0].noise_floor, rel=1e-2)
        assert b.sets()[0].set.device == a.sets()[0].set.device


def test_what_was_not_measured_is_refused(tmp_path: Path) -> None:
    first = measured(tmp_path / "a.sqlite", CostModelBackend(), n=2)
    backend = ReplayBackend(str(first))
    with Store(first) as store:
        other = next(a for a in (SPACE.unrank(i) for i in range(9)) if str(a) not in store.raw(1))
    with pytest.raises(BackendError, match="no measured row of this network"):
        backend.load(as_model(SPACE.build(other)))


def test_it_says_what_it_lacks(tmp_path: Path) -> None:
    found = ReplayBackend(str(tmp_path / "no.sqlite")).availability()
    assert not found.ready
    assert "there is no store at" in found.reason
    with Store(tmp_path / "empty.sqlite", SPACE):
        pass
    empty = ReplayBackend(str(tmp_path / "empty.sqlite")).availability()
    assert "no measurement set" in empty.reason
