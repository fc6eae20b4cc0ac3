"""How much memory a step takes, counted in torch's own allocations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.spaces import darts

SPACE = darts(channels=8, cells=3, resolution=16, in_channels=1)
CONFIG = SearchConfig(epochs=1, batch=32, channels=8, cells=3, alpha_learning_rate=0.1)


def peak(method: str, data: ImageData, folder: Path) -> float:
    """The most bytes that a search of one step holds at once, beyond what it begins with."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        search(SPACE, data, replace(CONFIG, method=method), directory=folder / method)
    assert seen.profiler is not None
    events = (e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]")
    changes = [change for _, change in sorted((e.start_ns(), e.nbytes()) for e in events)]
    return float(np.cumsum(changes).max())


def test_four_subgraphs_one_after_another_take_hardly_more_than_one(tmp_path: Path) -> None:
    """As many paths are drawn in either case, since some take twice the memory of others."""
    stream = torch.Generator().manual_seed(0)
    images, labels = torch.randn(512, 1, 16, 16, generator=stream), torch.arange(512) % 10

    def taken(text: str, steps: int) -> float:
        first = slice(64 * steps)
        data = ImageData(
            "noise", images[first], labels[first], images[:8], labels[:8], 10, torch.zeros(1),
            shift=0, flip=False,
        )  # fmt: skip
        return peak(f"msg-das(guidance=0, subgraphs={text})", data, tmp_path)

    one, four = taken("1", 8), taken("4", 2)
    assert four < 1.2 * one
    assert taken("4, at_once=true", 1) > 2 * one
