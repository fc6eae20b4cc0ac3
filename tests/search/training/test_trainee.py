from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.export.torch import NetworkModule
from latbench.networks.ops import BatchNorm, Concat, Elementwise, Pool
from latbench.search import TrainConfig, train
from latbench.search.images.images import ImageData
from latbench.search.rng import seeded
from latbench.search.training.train import TrainEpoch
from latbench.search.training.trainee import Trainee, auxiliary_head
from latbench.spaces import darts, nasbench201

SPACE = darts(channels=4, cells=3, resolution=32, in_channels=1)
CELL = SPACE.reference()
NETWORK, PLACES = SPACE.build(CELL), SPACE.landmarks(CELL)
CONFIG = TrainConfig(epochs=4, batch=16, drop_path=0.4, auxiliary=0.4)


def batch() -> tuple[Tensor, Tensor]:
    images = torch.randn(8, 1, 32, 32, generator=Generator().manual_seed(1))
    return images, torch.arange(8)


def test_landmarks_are_the_edges_but_for_identities() -> None:
    assert PLACES is not None
    chosen = [(name, op) for name, op in CELL.values().items() if op == "skip_connect"]
    identities = sum(name.startswith("normal") for name, _ in chosen)
    reduced = sum(name.startswith("reduce") and int(name[-1]) > 1 for name, _ in chosen)
    assert len(PLACES.edges) == (8 - identities) + 2 * (8 - reduced)
    sums = {
        i for layer in NETWORK.layers if isinstance(layer.op, Elementwise) for i in layer.inputs
    }
    assert set(PLACES.edges) <= sums
    assert all(isinstance(NETWORK.layers[i].op, BatchNorm | Pool) for i in PLACES.edges)
    assert isinstance(NETWORK.layers[PLACES.auxiliary].op, Concat)
    assert NETWORK.layers[PLACES.auxiliary].shape == (1, 64, 8, 8)
    other = nasbench201()
    assert other.landmarks(other.reference()) is None


def test_drop_path_leaves_out_edges_of_single_images_in_training_only() -> None:
    trainee = seeded(0, lambda: Trainee(NETWORK, replace(CONFIG, auxiliary=0), PLACES))
    plain = seeded(0, lambda: NetworkModule(NETWORK))
    assert PLACES is not None
    edge = PLACES.edges[0]
    found: list[Tensor] = []
    trainee.network.layers[str(edge)].register_forward_hook(lambda *a: found.append(a[2]))
    whole: list[Tensor] = []
    plain.layers[str(edge)].register_forward_hook(lambda *a: whole.append(a[2]))
    images, labels = batch()
    trainee.begin_epoch(2, Generator().manual_seed(3))  # of 4 epochs: 0.2
    trainee.loss(images, labels)
    plain(images)
    ratio = (found[0] / whole[0]).flatten(1)
    assert (ratio.max(1).values - ratio.min(1).values < 1e-4).all()  # the same for a whole image
    kept = ratio.mean(1)
    assert all(min(abs(k), abs(k - 1.25)) < 1e-4 for k in kept.tolist())
    trainee.begin_epoch(0, Generator())
    assert torch.equal(trainee.loss(images, labels)[1], plain(images))
    trainee.begin_epoch(3, Generator())
    trainee.load_state_dict({f"network.{k}": v for k, v in plain.state_dict().items()})
    assert torch.equal(trainee.eval().network(images), plain.eval()(images))


def test_the_auxiliary_head_adds_its_loss_and_trains_what_it_reads() -> None:
    images, labels = batch()
    config = replace(CONFIG, drop_path=0.0)
    both = seeded(0, lambda: Trainee(NETWORK, config, PLACES))
    alone = seeded(0, lambda: Trainee(NETWORK, replace(config, auxiliary=0)))
    more, logits = both.loss(images, labels)
    less, same = alone.loss(images, labels)
    assert torch.equal(logits, same)
    assert more > less
    assert both.head is not None
    more.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in both.head.parameters())
    assert len(both.network.weights()) == len(alone.network.weights())


def test_the_auxiliary_head_is_as_published() -> None:
    cifar = auxiliary_head((1, 576, 8, 8), 10, imagenet=False)
    assert cifar.parameters == 576 * 128 + 2 * 128 + 128 * 768 * 4 + 2 * 768 + 768 * 10 + 10
    imagenet = auxiliary_head((1, 768, 7, 7), 1000, imagenet=True)
    assert imagenet.parameters == 768 * 128 + 2 * 128 + 128 * 768 * 4 + 768 * 1000 + 1000
    with pytest.raises(UsageError, match=r"needs 8 x 8 pixels.*got 2 x 2"):
        auxiliary_head((1, 16, 2, 2), 10, imagenet=False)


def test_both_need_landmarks() -> None:
    with pytest.raises(UsageError, match="need the network's landmarks"):
        Trainee(NETWORK, CONFIG)


def test_a_training_goes_on_where_it_stopped(digits: ImageData, tmp_path: Path) -> None:
    space = darts(channels=4, cells=3, resolution=8, in_channels=1)
    network, places = space.build(CELL), space.landmarks(CELL)
    config = TrainConfig(epochs=2, batch=32, drop_path=0.4, label_smoothing=0.1)

    def interrupt(epoch: TrainEpoch) -> None:
        with pytest.raises(UsageError, match="another search or training is at work"):
            train(network, digits, config, landmarks=places, directory=tmp_path)
        raise KeyboardInterrupt

    straight = train(network, digits, config, landmarks=places)
    with pytest.raises(KeyboardInterrupt):
        train(network, digits, config, interrupt, landmarks=places, directory=tmp_path)
    seen: list[TrainEpoch] = []
    resumed = train(network, digits, config, seen.append, landmarks=places, directory=tmp_path)
    assert [epoch.epoch for epoch in seen] == [1]
    assert resumed.history == straight.history
    assert all(np.array_equal(resumed.weights[k], straight.weights[k]) for k in straight.weights)
    other = replace(config, seed=1)
    with pytest.raises(UsageError, match=r"its config.seed is 0, this one's is 1"):
        train(network, digits, other, landmarks=places, directory=tmp_path)
