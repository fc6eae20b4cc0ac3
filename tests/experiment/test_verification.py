"""How wide the noise is of what a search's networks were measured to cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.experiment.verification import Conditions, measured
from latbench.progress import Bars
from latbench.results import SearchResult
from latbench.spaces import make_space
from latbench.store import Store
from latbench.timing.metric import LATENCY, SIZE, Metric
from latbench.timing.protocol import Protocol, half_width

FAKE = "latbench.testing.fake:CostModelBackend"
SPACE = make_space("darts", {"channels": 4, "cells": 3, "resolution": 8, "in_channels": 1})
PROTOCOL = Protocol(min_visits=3, max_visits=6)
FOUND = str(SPACE.sample(7, 0))


def noise_of(path: Path, metric: Metric, **options: float) -> dict[str, float]:
    backend = make_backend(FAKE, s_per_mac=1e-9, **options)
    results = [SearchResult("x", FAKE, 0.0, FOUND, (), 1e-3, metric=metric)]
    conditions = [Conditions(FAKE, backend, PROTOCOL)]
    (found,) = measured(results, SPACE, conditions, path, Bars(shown=False))
    return found.noise


def test_the_noise_is_the_widest_of_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    noise = noise_of(path, LATENCY, session_noise=0.05)
    with Store(path) as store:
        (summary,) = store.sets()
        first, second = store.relative(summary.id)[FOUND]
        widths = [half_width(visits) for visits in store.raw(summary.id)[FOUND]]
    apart = abs(first - second) / ((first + second) / 2)
    assert summary.noise_floor == pytest.approx(apart)  # of the one network that there is
    assert noise == {FAKE: pytest.approx(max(apart, *widths))}
    assert noise[FAKE] > 0.01


def test_a_size_has_no_noise_of_timing(tmp_path: Path) -> None:
    assert noise_of(tmp_path / "m.sqlite", SIZE, session_noise=0.05) == {FAKE: 0.0}


def test_the_floor_of_a_sample_counts(tmp_path: Path) -> None:
    """One network that happened to agree with itself does not make a set quiet."""
    path = tmp_path / "m.sqlite"
    backend = make_backend(FAKE, s_per_mac=1e-9, session_noise=0.2)
    with Store(path, SPACE) as store:
        outcome = run_campaign(
            store, backend, n=6, protocol=PROTOCOL, options=CampaignOptions(retest=1.0)
        )
        floor = store.find_set(set_id=outcome.set_id).noise_floor
    assert floor is not None
    assert noise_of(path, LATENCY, session_noise=0.2)[FAKE] >= floor > 0.02
