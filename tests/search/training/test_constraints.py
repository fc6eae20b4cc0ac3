from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latbench.errors import UsageError
from latbench.models import Model
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import conv_bn_act
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.weights import Weights, make_weights
from latbench.search import TrainConfig, train
from latbench.search.images.images import ImageData
from latbench.search.training.constraints import Constrained, Constraints

TRAIN = TrainConfig(epochs=1, batch=32, learning_rate=0.05)


@pytest.fixture
def network() -> Network:
    b = NetworkBuilder((1, 1, 8, 8))
    x = conv_bn_act(b, b.input, 8, 3, 1, RELU)
    return b.build(classifier(b, conv_bn_act(b, x, 8, 3, 1, RELU), 10))


def halved(network: Network) -> Weights:
    weights = make_weights(network)
    weights["4.weight"][:, ::2] = 0
    return weights


def test_zeros_stay_where_that_is_asked_for(network: Network, digits: ImageData) -> None:
    weights = halved(network)
    free = train(network, digits, TRAIN, weights=weights).weights
    bound = train(
        network, digits, TRAIN, weights=weights, constraints=Constraints(zeros_stay=True)
    ).weights
    zero = weights["4.weight"] == 0
    assert (free["4.weight"][zero] != 0).any()
    assert (bound["4.weight"][zero] == 0).all()
    assert (bound["4.weight"][~zero] != weights["4.weight"][~zero]).all()


def test_weights_are_drawn_towards_others(network: Network, digits: ImageData) -> None:
    weights = make_weights(network)
    target = {"4.weight": np.zeros_like(weights["4.weight"])}

    def size(strength: float) -> float:
        constraints = Constraints(toward=target, strength=strength)
        longer = replace(TRAIN, epochs=6)  # the gradient's norm is clipped
        done = train(network, digits, longer, weights=weights, constraints=constraints)
        return float(np.square(done.weights["4.weight"]).sum())

    assert size(5.0) < 0.5 * size(0.0)


def test_the_loss_with_a_teacher_is_hintons(network: Network) -> None:
    teacher = Model("teacher", network, make_weights(network, seed=1))
    module = Model("student", network, make_weights(network)).torch()
    asked = Constraints(teacher=teacher, share=0.3, temperature=2.0)
    images, labels = torch.randn(4, 1, 8, 8), torch.tensor([1, 2, 3, 4])
    logits = module(images)
    own = F.cross_entropy(logits, labels)
    found = Constrained(asked, module, "cpu").loss(own, images, logits)
    with torch.no_grad():
        target = F.softmax(teacher.torch()(images) / 2, dim=1)
    taught = -(target * F.log_softmax(logits / 2, dim=1)).sum(dim=1).mean() * 4
    assert found.item() == pytest.approx((0.7 * own + 0.3 * taught).item(), rel=1e-5)


def test_other_constraints_are_another_training(
    network: Network, digits: ImageData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place, weights = tmp_path_factory.mktemp("training"), halved(network)
    asked = Constraints(zeros_stay=True)
    train(network, digits, TRAIN, weights=weights, constraints=asked, directory=place)
    for other in (None, replace(asked, zeros_stay=False), replace(asked, share=0.1)):
        with pytest.raises(UsageError, match="belongs to another"):
            train(network, digits, TRAIN, weights=weights, constraints=other, directory=place)
