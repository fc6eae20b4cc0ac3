"""The end of a search without architecture parameters: its trained supernet, for the method to
choose an architecture by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.baselines.scores import RememberedScore
from latbench.search.baselines.searches import Score
from latbench.search.baselines.trained_supernet import TrainedSupernet
from latbench.search.checkpoint import fingerprint
from latbench.search.config import SCORES
from latbench.search.images.images import search_halves
from latbench.search.search_state import SearchState

# Called after every score with the number of scores so far.
Scored = Callable[[int], None]


def trained_supernet(
    parts: SearchState, directory: Path, scored: Scored | None = None
) -> TrainedSupernet:
    """Returns what the method chooses by. Scores are kept in ``directory``, so that a search that
    was interrupted while it chose does not score twice."""
    penalty = parts.penalty

    def cost(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
        if penalty is None:
            return np.zeros(len(architectures))
        return np.array([parts.cost_of(one)[1] for one in architectures])

    def scorer(images: int) -> Score:
        half = search_halves(len(parts.data.train_labels), parts.config.seed)[1][:images]
        accuracy = one_shot_score(parts.supernet, parts.space, parts.data, half)
        label = f"supernet {fingerprint(parts.supernet.state_dict())}, {len(half)} images"
        remembered = RememberedScore(accuracy, parts.space, directory / SCORES, label)
        price = 0.0 if penalty is None else penalty.weight
        numbers = itertools.count(1)

        def score(architecture: Any) -> float:
            value = remembered(architecture)
            if scored is not None:
                scored(next(numbers))
            return value - price * float(cost([architecture])[0]) if price else value

        return score

    held = penalty is not None and penalty.target is not None
    limit = 1.0 if held else math.inf
    return TrainedSupernet(parts.space, scorer, cost, limit, parts.config.seed)
