"""How much memory a step takes, counted in torch's own allocations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.spaces import AnySpace, darts, make_space

SPACE = darts(channels=8, cells=3, resolution=16, in_channels=1)
CONFIG = SearchConfig(epochs=1, batch=32, channels=8, cells=3, alpha_learning_rate=0.1)


def peak(method: str, data: ImageData, folder: Path, space: AnySpace = SPACE) -> float:
    """The most bytes that a search of one step holds at once, beyond what it begins with."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        search(space, data, replace(CONFIG, method=method), directory=folder / method)
    assert seen.profiler is not None
    events = (e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]")
    changes = [change for _, change in sorted((e.start_ns(), e.nbytes()) for e in events)]
    return float(np.cumsum(changes).max())


def noise(steps: int, side: int) -> ImageData:
    """Images for so many steps."""
    stream = torch.Generator().manual_seed(0)
    images, labels = (
        torch.randn(64 * steps, 1, side, side, generator=stream),
        torch.arange(64 * steps),
    )
    return ImageData(
        "noise", images, labels % 10, images[:8], labels[:8], 10, torch.zeros(1), 0, False
    )


def test_ten_widths_take_hardly_more_than_one(tmp_path: Path) -> None:
    """Nor than two; one width is the network without masks. The maps are large, and beside them the
    copies of the weights that are masked are little."""

    def taken(shares: tuple[int, ...], method: str) -> float:
        settings = {"stem": "cifar", "widths": (80, 80), "depths": (2,), "classes": 10}
        more = {"resolution": 32, "in_channels": 1, "shares": shares}
        space = make_space("resnet", settings | more)
        assert all(len(space.forest[f"{i}.width"].options) == len(shares) for i in (1, 2))
        return peak(method, noise(1, 32), tmp_path / str(len(shares)), space)

    ten = taken(tuple(range(10, 101, 10)), "dmasking")
    assert ten < 1.02 * taken((50, 100), "dmasking")
    assert ten < 1.05 * taken((100,), "fbnet")


@pytest.mark.slow  # 14 s
def test_four_subgraphs_one_after_another_take_hardly_more_than_one(tmp_path: Path) -> None:
    """As many paths are drawn in either case, since some take twice the memory of others."""

    def taken(text: str, steps: int) -> float:
        return peak(f"msg-das(guidance=0, subgraphs={text})", noise(steps, 16), tmp_path)

    one, four = taken("1", 8), taken("4", 2)
    assert four < 1.2 * one
    assert taken("4, at_once=true", 1) > 2 * one
