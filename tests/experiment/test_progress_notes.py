"""What is said of the time left while a bar shows no epoch yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.experiment.progress_notes import TimeLeft
from latbench.search.config import SearchConfig
from latbench.search.images.images import load_images
from latbench.search.loop import search
from latbench.spaces import make_space


def test_the_time_left_is_said_in_the_first_epoch_only() -> None:
    said: list[tuple[int, int, str]] = []
    seconds = iter((100.0, 130.0, 160.0, 190.0, 220.0))
    pace = TimeLeft(lambda *bar: said.append(bar), 10, lambda: next(seconds))
    for done in (3.25, 3.5, 3.75, 4.0, 4.25):  # gone on from three epochs
        pace(done)
    # A quarter in 30 s, 6.5 epochs are left: 13 min; then 6.25.
    assert said == [(3, 10, "about 13 min left"), (3, 10, "about 13 min left")]


@pytest.mark.slow
def test_a_search_tells_its_steps(tmp_path: Path) -> None:
    space = make_space("darts", {"channels": 4, "cells": 3, "resolution": 8, "in_channels": 1})
    config = SearchConfig(epochs=2, batch=8, channels=2, cells=3)
    told: list[float] = []
    data = load_images("digits", resolution=8, limit=64)
    search(space, data, config, directory=tmp_path, stepped=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
