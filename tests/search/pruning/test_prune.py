"""Pruning in rounds, by multiply-accumulates in the place of a latency."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.models import Model, read_model, save_model
from latbench.predictors.counted import counted_model
from latbench.search import TrainConfig, train
from latbench.search.images.images import ImageData
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


def test_what_is_needed_least_goes(dense: Path, digits: ImageData, tmp_path: Path) -> None:
    """At once and without a step of training it is better than what is needed most."""
    space, model, budget = parts(dense, 0.8)
    still = replace(TRAIN, epochs=1, learning_rate=1e-12)
    config = PruneConfig(rounds=1, batches=8, batch=32)
    _, (found,) = prune(space, model, digits, budget, config, still, directory=tmp_path)
    assert found.accuracy > 0.2  # chance is 0.1


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
