from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.search import TrainConfig, train
from latbench.search.images.images import ImageData
from latbench.search.training.train import TrainEpoch, evaluate
from latbench.spaces import darts

SPACE = darts(channels=4, cells=3, resolution=8, in_channels=1)
NETWORK = SPACE.build(SPACE.reference())
CONFIG = TrainConfig(epochs=12, batch=16, learning_rate=0.05, cutout=2)


def test_training_learns_and_returns_its_weights(digits: ImageData) -> None:
    seen: list[TrainEpoch] = []
    before = torch.get_rng_state()
    # Tested on what it was trained on: 64 images are too few to generalise.
    data = replace(digits, test_images=digits.train_images, test_labels=digits.train_labels)
    outcome = train(NETWORK, data, CONFIG, seen.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert outcome.test_accuracy > 0.5  # chance is 0.1
    assert outcome.history[-1].loss < outcome.history[0].loss
    assert tuple(seen) == outcome.history
    assert evaluate(to_torch(NETWORK, outcome.weights), data) == outcome.test_accuracy


def test_the_seed_decides_everything(digits: ImageData) -> None:
    config = replace(CONFIG, epochs=1)
    first, again, other = (
        train(NETWORK, digits, replace(config, seed=seed)).weights for seed in (0, 0, 1)
    )
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert not all(np.array_equal(first[k], other[k]) for k in first)


def test_it_goes_on_from_given_weights(digits: ImageData, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, learning_rate=1e-9)
    first = train(NETWORK, digits, replace(CONFIG, epochs=2))
    again = train(NETWORK, digits, config, weights=first.weights, directory=tmp_path)
    trained = [name for name, _, is_trained in NETWORK.tensors() if is_trained]
    for name in trained:
        assert again.weights[name] == pytest.approx(first.weights[name], abs=1e-6)
    with pytest.raises(UsageError, match="another"):
        train(NETWORK, digits, config, weights=again.weights, directory=tmp_path)


def test_a_training_whose_vectors_do_not_decay_goes_on_where_it_stopped(
    digits: ImageData, tmp_path: Path
) -> None:
    """Its momenta are of two groups."""
    config = replace(CONFIG, epochs=2, weight_decay=0.1, decay_vectors=False)
    straight = train(NETWORK, digits, config)

    def stop(epoch: TrainEpoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, digits, config, stop, directory=tmp_path)
    resumed = train(NETWORK, digits, config, directory=tmp_path)
    assert all(np.array_equal(straight.weights[k], resumed.weights[k]) for k in straight.weights)
    decayed = train(NETWORK, digits, replace(config, decay_vectors=True)).weights
    assert not all(np.array_equal(straight.weights[k], decayed[k]) for k in decayed)


def test_data_of_another_shape_are_refused(digits: ImageData) -> None:
    network = darts(channels=4, cells=3, resolution=16, in_channels=1)
    with pytest.raises(UsageError, match=r"\(1, 16, 16\) in 10 classes.*\(1, 8, 8\)"):
        train(network.build(network.reference()), digits, CONFIG)
