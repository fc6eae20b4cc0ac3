"""Searches that are interrupted: ``from interrupted import straight_and_resumed``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latbench.results import SearchEpoch
from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.search.loop import SearchOutcome
from latbench.spaces import AnySpace


def straight_and_resumed(
    space: AnySpace, data: ImageData, config: SearchConfig, folder: Path, stop_after: int = 1
) -> tuple[SearchOutcome, SearchOutcome]:
    """A search, and the same one stopped after its first epochs and gone on with after the caller's
    random numbers have changed; in ``a`` and ``b`` of the folder."""
    straight = search(space, data, config, directory=folder / "a")

    def interrupt(epoch: SearchEpoch) -> None:
        if epoch.epoch + 1 == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(space, data, config, directory=folder / "b", progress=interrupt)
    torch.manual_seed(99)  # the caller's generator plays no part
    resumed = search(space, data, config, directory=folder / "b")
    assert resumed.resumed_from == stop_after
    return straight, resumed
