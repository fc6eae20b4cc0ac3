"""Targets that no search is likely to keep, found out before the searches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from latbench.dataset import LatencyDataset
from latbench.metric import parse_amount


def warn_of_low_targets(dataset: LatencyDataset, targets: Sequence[str]) -> None:
    """Warns (UserWarning) of every target that not even the cheapest network of a backend's sample
    keeps. A share such as ``80%`` is of the sample's median."""
    lowest, median = float(np.min(dataset.values)), float(np.median(dataset.values))
    for text in targets:
        limit = parse_amount(dataset.metric, text, median)
        if limit < lowest:
            warnings.warn(
                f"the target {text} on {dataset.backend} is below the cheapest of the "
                f"{len(dataset.values):,} sampled networks ({dataset.metric.show(lowest, 3)}): a "
                "search is unlikely to keep it, allow more",
                UserWarning,
                stacklevel=2,
            )
