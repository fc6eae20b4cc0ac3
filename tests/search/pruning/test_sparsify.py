"""Pruning groups of weights, by a table that is counted instead of measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.models import Model
from latbench.networks.weights import Weights
from latbench.search import TrainConfig, train
from latbench.search.images.images import ImageData
from latbench.search.pruning.sparsify import GroupBudget, SparsifyConfig, sparsify
from latbench.search.training.train import evaluate
from latbench.spaces import make_space
from latbench.sparse.groups import group_energies, prunable_layers
from latbench.sparse.latency_tables import LatencyTable

TRAIN = TrainConfig(epochs=4, batch=16, learning_rate=0.02)
GROUP = 8


@pytest.fixture(scope="module")
def dense(digits: ImageData) -> Model:
    settings = {"stem": "cifar", "widths": (8, 16), "depths": (1,), "in_channels": 1,
                "classes": 10, "resolution": 8}  # fmt: skip
    space = make_space("resnet", settings)
    text = "block=basic;stem=cifar;1.width=8;1.depth=1;2.width=16;2.depth=1"
    network = space.build(space.parse(text))
    done = train(network, digits, replace(TRAIN, epochs=8, learning_rate=0.1))
    return Model("a net", network, done.weights)


def table(model: Model) -> LatencyTable:
    """A microsecond a group and pixel, and some of them for the rest."""
    layers = {}
    for layer in prunable_layers(model.network):
        groups = group_energies(model.arrays[f"{layer}.weight"], GROUP).size
        pixels = model.network.layers[layer].shape[2] ** 2
        layers[layer] = ((1, groups), (1e-6 * pixels, 1e-6 * pixels * groups))
    return LatencyTable(1e-3, layers)


def budget(model: Model, share: float, **values: object) -> GroupBudget:
    of = table(model)
    return GroupBudget(of, GROUP, share * of.whole, **values)  # type: ignore[arg-type]


def kept(model: Model) -> dict[int, int]:
    return {
        layer: int((group_energies(model.arrays[f"{layer}.weight"], GROUP) > 0).sum())
        for layer in prunable_layers(model.network)
    }


@pytest.mark.parametrize("method", ["magnitude", "admm"])
def test_the_budget_is_kept_and_zeros_stay_zero(
    method: str, dense: Model, digits: ImageData, tmp_path: Path
) -> None:
    limits = budget(dense, 0.6)
    config = SparsifyConfig(method, rounds=2)  # type: ignore[arg-type]
    epochs: list[tuple[int, int]] = []
    pruned, rounds = sparsify(
        dense, digits, limits, config, TRAIN, directory=tmp_path,
        progress=lambda done, total: epochs.append((done, total)),
    )  # fmt: skip
    assert epochs == [(n, 4) for n in range(1, 5)]
    assert limits.table.latency(kept(pruned)) <= limits.most
    assert rounds[-1].predicted == pytest.approx(limits.table.latency(kept(pruned)))
    assert rounds[-1].predicted > 0.97 * limits.most
    assert len(rounds) == (2 if method == "magnitude" else 1)
    if method == "magnitude":
        assert limits.most < rounds[0].predicted <= rounds[0].limit
    assert all(0 < d <= 1 for one in rounds for d in one.densities.values())
    found = evaluate(to_torch(pruned.network, pruned.weights), digits)
    assert rounds[-1].accuracy == pytest.approx(found)
    assert found > 0.2  # of few images; chance is a tenth
    whole = [name for name, a in pruned.arrays.items() if a.ndim == 4 and (a != 0).all()]
    assert whole  # what is not in the table stays as it is


def test_a_run_goes_on_where_it_stopped(dense: Model, digits: ImageData, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Stopped

    for method in ("magnitude", "admm"):
        config = SparsifyConfig(method, rounds=2)
        straight, _ = sparsify(
            dense, digits, budget(dense, 0.5), config, TRAIN, directory=tmp_path / method
        )
        place = tmp_path / f"stopped {method}"
        with pytest.raises(Stopped):
            sparsify(
                dense, digits, budget(dense, 0.5), config, TRAIN, directory=place, progress=stop
            )
        again, _ = sparsify(dense, digits, budget(dense, 0.5), config, TRAIN, directory=place)
        assert all(np.array_equal(a, again.arrays[name]) for name, a in straight.arrays.items())


def test_the_last_choice_is_corrected_by_what_was_measured(
    dense: Model, digits: ImageData, tmp_path: Path
) -> None:
    asked: list[float] = []

    def measured(model: Model) -> float:
        seconds = 1.2 * table(model).latency(kept(model))
        asked.append(seconds)
        return seconds

    limits = budget(dense, 0.6, measured=measured)
    pruned, rounds = sparsify(
        dense, digits, limits, SparsifyConfig(rounds=2), TRAIN, directory=tmp_path
    )
    assert len(asked) == 2
    assert asked[0] > limits.most
    assert 0.95 * limits.most <= asked[1] <= limits.most
    assert [one.measured for one in rounds] == [None, asked[1]]
    assert 1.2 * limits.table.latency(kept(pruned)) <= limits.most
    sparsify(dense, digits, limits, SparsifyConfig(rounds=2), TRAIN, directory=tmp_path)
    assert len(asked) == 2  # it is in the folder


def test_admm_pulls_the_weights_towards_the_budget(
    dense: Model, digits: ImageData, tmp_path: Path
) -> None:
    def far(rho: float) -> float:
        """The share of the energy that the projection takes away, after ADMM's epochs."""
        place = tmp_path / str(rho)
        config = SparsifyConfig("admm", rounds=3, rho=rho, growth=1.0)
        sparsify(dense, digits, budget(dense, 0.4), config, TRAIN, directory=place)
        from latbench.models import read_model

        before = read_model(place / "admm-3").arrays
        after = read_model(place / "round-1").arrays
        names = [f"{layer}.weight" for layer in prunable_layers(dense.network)]
        gone = sum(float((before[n][after[n] == 0] ** 2).sum()) for n in names)
        return gone / sum(float((before[n] ** 2).sum()) for n in names)

    assert far(1.0) < 0.5 * far(1e-4)


@pytest.mark.parametrize(
    ("share", "config", "epochs", "why"),
    [
        (0.4, {"rounds": 5}, 4, "5 rounds of magnitude need 5 epochs, got epochs = 4"),
        (0.4, {"rounds": 4, "method": "admm"}, 4, "4 rounds of admm need 5 epochs"),
        (0.01, {}, 4, "with the fewest groups it takes"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(
    share: float, config: dict[str, object], epochs: int, why: str, dense: Model,
    digits: ImageData, tmp_path: Path,
) -> None:  # fmt: skip
    asked = SparsifyConfig(**config)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=why):
        sparsify(
            dense, digits, budget(dense, share), asked, replace(TRAIN, epochs=epochs),
            directory=tmp_path,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_budget_that_asks_for_nothing_and_bare_models_are_refused(
    dense: Model, digits: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="below what the network takes"):
        budget(dense, 1.0)
    bare = Model("bare", dense.network)
    with pytest.raises(UsageError, match="has no weights"):
        sparsify(bare, digits, budget(dense, 0.5), SparsifyConfig(), TRAIN, directory=tmp_path)


def test_the_scale_of_a_layers_weights_does_not_decide(dense: Model) -> None:
    from latbench.search.pruning.sparsify import _Groups

    groups = _Groups(dense, budget(dense, 0.5), 0.02)
    masks = groups.choose(dense.arrays, 0.5 * table(dense).whole)
    scaled: Weights = {
        name: array * np.float32(100 if name == "5.weight" else 1)
        for name, array in dense.arrays.items()
    }
    again = _Groups(Model("x", dense.network, scaled), budget(dense, 0.5), 0.02)
    same = again.choose(scaled, 0.5 * table(dense).whole)
    assert all((same[layer] == stays).all() for layer, stays in masks.items())
