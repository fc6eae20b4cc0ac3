"""The methods for mobile spaces on a GPU, in mixed precision, from the first step to the training
of what was found; on a CPU the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latbench.predictors.counted import counted_model
from latbench.search import LatencyPenalty, SearchConfig, TrainConfig, load_images, search, train
from latbench.spaces import make_space

FEW = "budget=4, population=2, images=16, calibration=16"
BODY = {"classes": 10, "in_channels": 1}
METHODS = {
    f"single-path({FEW}, bins=2, lightest=0.5, heaviest=1.5)": "operators",
    f"hurricane({FEW})": "operators",
    "dmasking": "fbnetv2",
}


DEVICES = {"cpu": pytest.mark.slow, "cuda": pytest.mark.gpu}


@pytest.mark.parametrize("device", [pytest.param(d, marks=mark) for d, mark in DEVICES.items()])
@pytest.mark.parametrize("method", METHODS)
def test_a_search_for_a_limit_and_its_training(method: str, device: str, tmp_path: Path) -> None:
    small = dict(make_space(METHODS[method]).small)
    space = make_space(METHODS[method], small | BODY)
    model = counted_model(space, "macs")
    target = 1.2 * float(model.predict([space.reference()])[0])
    config = SearchConfig(
        method, epochs=2, batch=16, target=target, alpha_learning_rate=0.05, device=device,
        precision="bfloat16", decay_vectors=False,
    )  # fmt: skip
    data = load_images("digits", space.config.resolution, limit=64)
    penalty = LatencyPenalty.of(model, config)
    found = search(space, data, config, penalty, directory=tmp_path / "a")
    again = search(space, data, config, penalty, directory=tmp_path / "a")
    assert again.architecture == found.architecture
    assert [e.epoch for e in found.history] == [0, 1]
    if method != "dmasking":  # which may need more epochs
        assert found.met
        assert float(model.predict([found.architecture])[0]) <= target * (1 + 1e-6)
    network = space.build(found.architecture)
    training = TrainConfig(epochs=1, batch=16, device=device, precision="bfloat16")
    trained = train(network, data.at(network.input_shape[2]), training)
    assert 0 <= trained.test_accuracy <= 1
    assert all(torch.isfinite(torch.as_tensor(w)).all() for w in trained.weights.values())
