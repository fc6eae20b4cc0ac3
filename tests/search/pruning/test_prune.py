"""Pruning in rounds, by multiply-accumulates in the place of a latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.models import Model, read_model, save_model
from latbench.networks.blocks import RELU, classifier
from latbench.networks.channels import channels_of, narrowed
from latbench.networks.mobile_blocks import conv_bn_act, inverted_residual
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import ChannelShuffle
from latbench.networks.weights import make_weights
from latbench.predictors.counted import counted_model
from latbench.search import TrainConfig, train
from latbench.search.images.images import ImageData
from latbench.search.pruning.budget import kept_units
from latbench.search.pruning.importance import importance
from latbench.search.pruning.prune import Budget, PruneConfig, prune
from latbench.search.training.train import evaluate
from latbench.spaces import make_space
from latbench.spaces.architecture import Architecture
from latbench.spaces.internal.widths_space import WidthsSpace

TRAIN = TrainConfig(epochs=4, batch=16, learning_rate=0.02)
CONFIG = PruneConfig(rounds=2, batches=2, batch=16)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory, digits: ImageData) -> Path:
    folder = tmp_path_factory.mktemp("dense") / "model"
    settings = {"stem": "cifar", "widths": (8, 16), "depths": (1,), "in_channels": 1,
                "classes": 10, "resolution": 8}  # fmt: skip
    space = make_space("resnet", settings)
    network = space.build(space.parse("block=basic;stem=cifar;1.width=8;1.depth=1;2.width=16;"
                                      "2.depth=1"))  # fmt: skip
    done = train(network, digits, replace(TRAIN, epochs=8, learning_rate=0.1))
    save_model(Model("a net", network, done.weights), folder)
    return folder


def parts(dense: Path, share: float) -> tuple[WidthsSpace, Model, Budget]:
    space = make_space("widths", {"model": str(dense), "step": 2})
    assert isinstance(space, WidthsSpace)
    counted = counted_model(space, "macs")
    whole = float(counted.predict([space.reference()])[0])
    return space, read_model(dense), Budget(counted.predict, "macs", whole, share * whole)


@pytest.mark.parametrize("share", [0.7, 0.3])
def test_every_round_keeps_its_limit(
    share: float, dense: Path, digits: ImageData, tmp_path: Path
) -> None:
    space, model, budget = parts(dense, share)
    pruned, rounds = prune(space, model, digits, budget, CONFIG, TRAIN, directory=tmp_path)
    limits = [budget.whole * share**0.5, budget.most]
    assert [one.limit for one in rounds] == pytest.approx(limits)
    assert all(one.predicted <= one.limit for one in rounds)
    assert pruned.network == space.build(space.parse(rounds[-1].architecture))
    assert pruned.network.macs <= budget.most
    assert pruned.weights is not None
    module = to_torch(pruned.network, pruned.weights)
    assert evaluate(module, digits) == rounds[-1].accuracy
    first, second = (space.widths(space.parse(one.architecture)) for one in rounds)
    assert all(second[name] <= first[name] for name in first)
    assert read_model(tmp_path / "round-2") == pruned


def test_it_goes_on_where_it_stopped(dense: Path, digits: ImageData, tmp_path: Path) -> None:
    """Within the second round."""
    space, model, budget = parts(dense, 0.5)
    straight = prune(space, model, digits, budget, CONFIG, TRAIN, directory=tmp_path / "a")
    seen = list[tuple[int, int]]()

    def stop(number: int, epoch: object) -> None:
        seen.append((number, getattr(epoch, "epoch", -1)))
        if seen[-1] == (1, 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(space, model, digits, budget, CONFIG, TRAIN, directory=tmp_path / "b", progress=stop)
    assert seen == [(0, 0), (0, 1), (1, 0)]
    seen.clear()
    again = prune(space, model, digits, budget, CONFIG, TRAIN, directory=tmp_path / "b",
                  progress=lambda n, e: seen.append((n, e.epoch)))  # fmt: skip
    assert seen == [(1, 1)]
    assert again == straight


def test_a_choice_is_corrected_by_what_it_was_measured_to_cost(
    dense: Path, digits: ImageData, tmp_path: Path
) -> None:
    """The measured cost is half as much again as the predicted one."""
    space, model, budget = parts(dense, 0.5)
    asked = list[Architecture]()

    def measured(one: Architecture) -> float:
        asked.append(one)
        return 1.5 * float(budget.cost([one])[0])

    one_round = replace(CONFIG, rounds=1)
    _, (found,) = prune(space, model, digits, replace(budget, measured=measured), one_round, TRAIN,
                        directory=tmp_path)  # fmt: skip
    assert found.measured is not None
    assert found.measured <= budget.most
    assert len(asked) in (2, 3)
    assert found.measured == pytest.approx(1.5 * found.predicted)


def test_what_is_needed_least_is_missed_least(dense: Path, digits: ImageData) -> None:
    """A quarter of every group, without a step of training, on the images of the training."""
    digits = replace(digits, test_images=digits.train_images, test_labels=digits.train_labels)
    model = read_model(dense)
    assert model.weights is not None
    channels = channels_of(model.network)
    needed = importance(channels, model.weights, digits, batches=8, batch=32)
    widths = {group.name: group.size * 3 // 4 for group in channels.groups}
    accuracy = []
    for sign in (1, -1):
        kept = kept_units({name: sign * of for name, of in needed.items()}, widths)
        accuracy.append(evaluate(to_torch(*narrowed(channels, model.weights, kept)), digits))
    assert accuracy[0] > accuracy[1] + 0.2


def test_of_what_keeps_the_limit_the_best_is_taken(
    dense: Path, digits: ImageData, tmp_path: Path
) -> None:
    """The first choice keeps it by far, and what comes after it does not."""
    space, model, budget = parts(dense, 0.5)
    asked = list[Architecture]()

    def measured(one: Architecture) -> float:
        asked.append(one)
        return budget.most * (0.9 if len(asked) == 1 else 1.05)

    one_round = replace(CONFIG, rounds=1)
    _, (found,) = prune(space, model, digits, replace(budget, measured=measured), one_round, TRAIN,
                        directory=tmp_path)  # fmt: skip
    assert len(asked) > 1
    assert found.architecture == str(asked[0])
    assert found.measured == pytest.approx(0.9 * budget.most)


def test_depthwise_convolutions_and_shuffles_are_narrowed_to_one(
    digits: ImageData, tmp_path: Path
) -> None:
    """In two rounds: what is left of a depthwise convolution with one channel is none."""
    b = NetworkBuilder((2, 1, 8, 8))
    x = conv_bn_act(b, b.input, 4, 3)
    x = inverted_residual(b, x, 4, 3, 1, 8, RELU, None, residual=True)
    x = b.add(ChannelShuffle(4), conv_bn_act(b, x, 8, 1))
    network = b.build(classifier(b, x, 10))
    save_model(Model("a net", network, make_weights(network)), tmp_path / "net")
    space = make_space("widths", {"model": str(tmp_path / "net"), "step": 1, "least": 1})
    assert isinstance(space, WidthsSpace)

    def cost(networks: Sequence[Architecture]) -> npt.NDArray[np.float64]:
        return np.array([float(space.build(one).macs) for one in networks])

    whole, narrowest = cost([space.reference(), space.of((0,) * len(space.forest.variables))])
    budget = Budget(cost, "macs", float(whole), 1.02 * float(narrowest))
    for rounds in (2, 3):
        pruned, _ = prune(space, read_model(tmp_path / "net"), digits, budget,
                          replace(CONFIG, rounds=rounds), TRAIN,
                          directory=tmp_path / str(rounds))  # fmt: skip
        assert pruned.network.macs <= budget.most


def test_impossible_prunings_are_refused_before_anything_is_written(
    dense: Path, digits: ImageData, tmp_path: Path
) -> None:
    space, model, budget = parts(dense, 0.5)
    folder = tmp_path / "out"
    for other, config, training, why in (
        (replace(budget, most=1.0), CONFIG, TRAIN, "with all widths at their least it costs"),
        (budget, PruneConfig(rounds=5), TRAIN, "5 rounds need an epoch each, got epochs = 4"),
    ):
        with pytest.raises(UsageError, match=why):
            prune(space, model, digits, other, config, training, directory=folder)
    with pytest.raises(UsageError, match="has no weights"):
        prune(space, Model("x", model.network), digits, budget, CONFIG, TRAIN, directory=folder)
    with pytest.raises(UsageError, match="below what the network costs"):
        replace(budget, most=2 * budget.whole)
    with pytest.raises(UsageError, match="must be above 0"):
        replace(budget, most=float(np.float64(0)))
    assert not folder.exists()
