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
import torch

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


def hold(
    parts: SearchState, accuracies: Sequence[float], directory: Path, scored: Scored | None
) -> None:
    """Lets variables rest from the next epoch on, where the method says so.

    Args:
        parts: The search.
        accuracies: The validation accuracies of the epochs that are done.
        directory: The search's folder.
        scored: Called after every score with the number so far.
    """
    resting = parts.relaxation.resting()
    if resting is not None:
        trained = trained_supernet(parts, directory, len(accuracies), scored)
        held = parts.method.held_in(trained, parts.config.epochs, accuracies)
        if held is not None:
            resting.copy_(torch.tensor(held))


def trained_supernet(
    parts: SearchState, directory: Path, epoch: int, scored: Scored | None = None
) -> TrainedSupernet:
    """Returns what the method chooses by.

    Args:
        parts: The search.
        directory: The search's folder, in which scores are kept, so that a search that was
            interrupted while it chose does not score twice.
        epoch: The number of epochs that are done.
        scored: Called after every score with the number so far.

    Returns:
        The judge.
    """
    penalty = parts.penalty

    def cost(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
        if penalty is None:
            return np.zeros(len(architectures))
        return np.array([parts.cost_of(one)[1] for one in architectures])

    def scorer(images: int, calibration: int = 0) -> Score:
        trained, held = search_halves(len(parts.data.train_labels), parts.config.seed)
        half, over = held[:images], trained[:calibration] if calibration else None
        accuracy = one_shot_score(parts.supernet, parts.space, parts.data, half, calibration=over)
        label = f"supernet {fingerprint(parts.supernet.state_dict())}, {len(half)} images"
        if over is not None:
            label += f", batch norms of {len(over)}"
        name = SCORES if epoch == parts.config.epochs else f"{epoch}-{SCORES}"
        remembered = RememberedScore(accuracy, parts.space, directory / name, label)
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
    resting = parts.relaxation.resting()
    rest = () if resting is None else tuple(resting.tolist())
    return TrainedSupernet(parts.space, scorer, cost, limit, parts.config.seed, rest)
