"""The end of a search without architecture parameters: its trained supernet, for the method to
choose an architecture by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.baselines.proxies import naswot, synflow
from latbench.search.baselines.scores import RememberedScore
from latbench.search.baselines.searches import Score
from latbench.search.baselines.trained_supernet import Scored, TrainedSupernet
from latbench.search.checkpoint import fingerprint
from latbench.search.config import SCORES
from latbench.search.images.images import resized, search_halves
from latbench.search.search_state import SearchState
from latbench.spaces.architecture import Architecture


def fix_variables(
    parts: SearchState, accuracies: Sequence[float], directory: Path, scored: Scored | None
) -> None:
    """Fixes variables from the next epoch on, where the method says so.

    Args:
        parts: The search.
        accuracies: The validation accuracies of the epochs that are done.
        directory: The search's folder.
        scored: Called after every score with the number so far, and of how many.
    """
    fixed = parts.relaxation.fixed_options()
    if fixed is not None:
        trained = trained_supernet(parts, directory, len(accuracies), scored)
        options = parts.method.fixed_from(trained, parts.config.epochs, accuracies)
        if options is not None:
            fixed.copy_(torch.tensor(options))


def trained_supernet(
    parts: SearchState, directory: Path, epoch: int, scored: Scored | None = None
) -> TrainedSupernet:
    """Returns what the method chooses by.

    Args:
        parts: The search.
        directory: The search's folder, in which scores are kept, so that a search that was
            interrupted while it chose does not score twice.
        epoch: The number of epochs that are done.
        scored: Called after every score with the number so far, and of how many.

    Returns:
        The judge.
    """
    penalty = parts.penalty
    trained, judged = search_halves(len(parts.data.train_labels), parts.config.seed)

    def cost(architectures: Sequence[Any]) -> npt.NDArray[np.float64]:
        if penalty is None:
            return np.zeros(len(architectures))
        return np.array([parts.cost_of(one)[1] for one in architectures])

    def priced(score: Score, label: str) -> Score:
        """The score, kept in a file under a label, less what the cost is worth."""
        name = SCORES if epoch == parts.config.epochs else f"{epoch}-{SCORES}"
        remembered = RememberedScore(score, parts.space, directory / name, label)
        price = 0.0 if penalty is None else penalty.weight
        return lambda one: remembered(one) - (price * float(cost([one])[0]) if price else 0.0)

    def scorer(images: int, calibration: int = 0) -> Score:
        by, over = judged[:images], trained[:calibration] if calibration else None
        accuracy = one_shot_score(parts.supernet, parts.space, parts.data, by, calibration=over)
        label = f"supernet {fingerprint(parts.supernet.state_dict())}, {len(by)} images"
        if over is not None:
            label += f", batch norms of {len(over)}"
        return priced(accuracy, label)

    def untrained(name: str, images: int) -> Score:
        if name == "synflow":
            return priced(lambda one: synflow(parts.space.build(one)), name)
        seen = parts.data.train_images[judged[:images]]

        def by_images(one: Architecture) -> float:
            network = parts.space.build(one)
            return naswot(network, resized(seen, network.input_shape[2:]))

        return priced(by_images, f"{name}, {len(seen)} images")

    has_target = penalty is not None and penalty.target is not None
    fixed = parts.relaxation.fixed_options()
    return TrainedSupernet(
        parts.space, scorer, untrained, cost, 1.0 if has_target else math.inf, parts.config.seed,
        () if fixed is None else tuple(fixed.tolist()), scored,
    )  # fmt: skip
