"""A supernet for ``search_nb201.py``: one-shot scores and differentiable searches with its weights.

One supernet (one cell a stage, 8 channels, images averaged to 16 x 16) is trained once, on one half
of the images, by latbench's own search with architecture parameters that rest: GDAS then draws
every edge's operation uniformly. All limits, devices and seeds share its weights, so the spread
over seeds does not hold that of the supernet's training.

A search is ``latbench.search`` itself: GDAS with the limit as target and the device's predictor in
the penalty, from the supernet's weights, on the half that those were not trained on. It is short,
156 steps of both optimisers where the published one has about 98,000 from fresh weights, so alpha
moves at 0.05 and not at 3e-4, and the temperature rests at 1 (from 10 to 0.1, more of the probable
cells were dead; tried at one limit of one device). Its candidates are the derived cell, and then
300 that are drawn from the final probabilities, within what the predictor allows.

What it costs is CPU seconds; no training of a cell is bought for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from nb201_searchers import Found, Searcher, Timed, beyond
from nb201_table import SPACE, Device, Table
from torch import Generator

from latbench.search.baselines.one_shot import one_shot_score
from latbench.search.baselines.searches import Score
from latbench.search.checkpoint import fingerprint
from latbench.search.config import SearchConfig
from latbench.search.images.images import ImageData, search_halves
from latbench.search.loop import CHECKPOINT, search
from latbench.search.methods.sampled_operations import Gdas
from latbench.search.penalty import LatencyPenalty
from latbench.search.search_state import read_supernet
from latbench.search.supernets.searchable import make_supernet
from latbench.search.training.steps import prepare
from latbench.spaces import AnySpace

TRAINING = SearchConfig(
    "gdas", epochs=100, alpha_learning_rate=0.0, channels=8, cells=1, learning_rate=0.05,
    weight_decay=5e-4, nesterov=True,
)  # fmt: skip
# The weights' rate is where their training had come down to half.
SEARCH = replace(
    TRAINING, epochs=2, batch=32, alpha_learning_rate=0.05, penalty_samples=32,
    learning_rate=0.025, method=Gdas(temperature=1.0, final_temperature=1.0),
)  # fmt: skip

DRAWN = 300


@dataclass(frozen=True)
class Budget:
    """Epochs of the supernet's training and of a search, and the images of a score."""

    training: int = TRAINING.epochs
    search: int = SEARCH.epochs
    images: int = 250


class TrainedSupernet:
    """The supernet of ``space``, a NAS-Bench-201 space of the images' size, trained in ``folder``.

    ``seconds`` are the CPU's for the ``epochs`` that were not there yet, ``search_seconds`` those
    of each search that was run.
    """

    def __init__(self, space: AnySpace, data: ImageData, folder: Path, budget: Budget) -> None:
        self.space, self.data, self.folder, self.budget = space, data, folder, budget
        config = replace(TRAINING, epochs=budget.training)
        start = time.process_time()
        trained = search(space, data, config, directory=folder / "supernet")
        self.seconds = time.process_time() - start
        self.epochs = config.epochs - trained.resumed_from
        self.weights = read_supernet(folder / "supernet" / CHECKPOINT)
        self.held_out = search_halves(len(data.train_labels), config.seed)[1]
        self.search_seconds: list[float] = []

    def one_shot(self) -> Timed:
        """The accuracy of a cell with the supernet's weights, on images held out from them."""
        relaxation = Gdas().relaxation(self.space, Generator())
        supernet = make_supernet(self.space, TRAINING, relaxation)
        prepare(supernet, "cpu")
        supernet.load_state_dict(self.weights)
        images = self.held_out[: self.budget.images]
        score: Score = one_shot_score(supernet, self.space, self.data, images)
        label = f"supernet {fingerprint(self.weights)}, {len(images)} images"
        return Timed(score, self.folder / "one-shot.jsonl", label)

    def probabilities(self, device: Device, limit: float, seed: int) -> np.ndarray:  # type: ignore[type-arg]
        """Of the operations of each edge, ``(6, 5)``, where a search for the device ended."""
        config = replace(SEARCH, epochs=self.budget.search, target=limit, seed=seed)
        penalty = LatencyPenalty(
            device.model.as_module(), limit, 0.0, config.penalty_samples, limit
        )
        unseen = replace(
            self.data, train_images=self.data.train_images[self.held_out],
            train_labels=self.data.train_labels[self.held_out],
        )  # fmt: skip
        place = self.folder / "searches" / f"{device.name}-{limit:.6g}-{seed}"
        start = time.process_time()
        found = search(self.space, unseen, config, penalty, directory=place, weights=self.weights)
        if found.resumed_from == 0:
            self.search_seconds.append(time.process_time() - start)
        return np.stack(list(found.probabilities.values()))


def differentiable(table: Table, supernet: TrainedSupernet) -> Searcher:
    """The differentiable search as a searcher: the most probable cell, then ``DRAWN`` others."""
    encoded = np.stack([SPACE.one_hot(cell) for cell in table.cells])

    @cache  # its shortlist begins with the same search
    def run(device: Device, limit: float, seed: int) -> Found:
        probabilities = supernet.probabilities(device, limit, seed)
        within = np.flatnonzero(device.predicted <= beyond(device, limit))
        logarithms = encoded[within] @ np.log(np.maximum(probabilities, 1e-30)).ravel()
        # Draws without replacement: the largest sums with Gumbel noise.
        noise = np.random.default_rng([seed, 1]).gumbel(size=len(within))
        drawn = within[np.argsort(-(logarithms + noise), kind="stable")][:DRAWN]
        likeliest = int(within[np.argmax(logarithms)])
        return Found(list(dict.fromkeys([likeliest, *drawn.tolist()])))

    return run
