from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from latbench.errors import UsageError
from latbench.predictors.counted import counted_model
from latbench.search import (
    Gdas,
    LatencyPenalty,
    MsgDas,
    PcDarts,
    SearchConfig,
    SinglePath,
    TrainConfig,
    parse_method,
    search,
)
from latbench.search.images.images import ImageData
from latbench.search.presets import laid_over, preset, published, train_preset, train_settings
from latbench.search.rng import generator
from latbench.spaces import AnySpace, make_space, nasbench201
from latbench.spaces.cells.darts_space import IMAGENET
from latbench.spaces.streams import Purpose


def test_published_searches() -> None:
    assert preset("darts", "cifar10") == SearchConfig()
    c = preset("pc-darts", "cifar10")
    assert (c.batch, c.learning_rate, c.final_learning_rate) == (256, 0.1, 0.0)
    assert (c.alpha_learning_rate, c.warmup_epochs, c.method) == (6e-4, 15, "pc-darts")
    c = preset("pc-darts", "imagenet")
    assert (c.batch, c.learning_rate, c.rising_epochs) == (1024, 0.5, 5)
    assert (c.alpha_learning_rate, c.warmup_epochs) == (6e-3, 35)
    assert parse_method(str(c.method)) == PcDarts(partial_channels=2)
    c = preset("gdas", "cifar10")
    assert (c.epochs, c.batch, c.weight_decay, c.nesterov) == (250, 256, 5e-4, True)
    assert parse_method(str(c.method)) == Gdas(temperature=10.0, final_temperature=0.1)
    assert preset("gdas(temperature=5)", "cifar10").method == "gdas(temperature=5)"
    c = preset("gdas", "nasbench201")
    assert (c.epochs, c.batch, c.channels, c.cells) == (250, 64, 16, 5)
    assert preset("darts", "nasbench201").epochs == 50


def test_settings_of_another_space_are_refused() -> None:
    assert published("gdas", "nasbench201", "nasbench201")["cells"] == 5
    with pytest.raises(UsageError, match="in the space 'nasbench201'; known: darts on nasbench201"):
        published("gdas", "cifar10", "nasbench201")
    with pytest.raises(UsageError, match="known: none"):
        published("gdas", "cifar10", "mobilenet")


def test_the_methods_own_settings_stand_over_the_published_ones() -> None:
    found = laid_over("imagenet", {"method": "pc-darts(partial_channels=8)", "batch": 32}, "darts")
    assert (found["method"], found["batch"]) == ("pc-darts(partial_channels=8)", 32)
    found = laid_over("imagenet", {"method": {"name": "pc-darts"}}, "darts")
    assert found["method"] == "pc-darts(partial_channels=2)"
    assert SearchConfig(**found).batch == 1024
    with pytest.raises(UsageError, match="no search of 'single-path' on 'cifar10' was published"):
        laid_over("cifar10", {"method": "single-path(budget=3)"}, "darts")


def test_a_warm_up_that_outlasts_the_search_is_refused_by_name() -> None:
    assert laid_over("cifar10", {"method": "pc-darts"}, "darts")["warmup_epochs"] == 15
    assert laid_over("cifar10", {"method": "pc-darts", "epochs": 16}, "darts")["epochs"] == 16
    for given in ({"epochs": 3}, {"epochs": 15}, {"warmup_epochs": 50}):
        values = {"warmup_epochs": 15, "epochs": 50} | given
        with pytest.raises(UsageError) as refused:
            laid_over("cifar10", {"method": "pc-darts", **given}, "darts")
        for word in ("'cifar10'", *(f"{name} = {value}" for name, value in values.items())):
            assert word in str(refused.value)
    laid_over("cifar10", {"method": "pc-darts", "epochs": "few"}, "darts")  # refused with the rest


def test_presets_of_msg_das_and_toponas() -> None:
    c = preset("msg-das", "cifar10")
    assert (c.epochs, c.batch, c.dropblock, c.dropblock_size) == (250, 256, 0.3, 5)
    assert parse_method(str(c.method)) == MsgDas(subgraphs=2, guidance=1.0)
    c = preset("msg-das", "imagenet")
    assert (c.batch, c.learning_rate, c.warmup_epochs, c.dropblock) == (256, 0.125, 35, 0.3)
    assert preset("msg-das", "nasbench201").cells == 5
    c = preset("darts", "toponas-cifar10")
    assert (c.topology, c.topology_warmup_epochs, c.topology_margin) == ("any", 15, 1.0)
    assert (c.batch, c.learning_rate) == (64, 0.025)
    assert preset("darts-2nd", "toponas-cifar10").topology == "any"
    c = preset("pc-darts", "toponas-cifar10")
    assert (c.topology, c.batch, c.warmup_epochs) == ("any", 256, 15)
    c = preset("pc-darts", "toponas-imagenet")
    assert (c.batch, c.topology_warmup_epochs, c.warmup_epochs) == (256, 35, 35)
    assert parse_method(str(c.method)) == PcDarts(partial_channels=2)
    with pytest.raises(UsageError, match="with the preset 'toponas-cifar10', topology_warmup_ep"):
        laid_over("toponas-cifar10", {"method": "darts", "epochs": 10}, "darts")


def test_presets_of_single_paths() -> None:
    c = preset("single-path", "imagenet")
    assert (c.epochs, c.batch, c.learning_rate, c.weight_decay) == (240, 1024, 0.5, 4e-5)
    assert [c.rate(epoch) for epoch in (0, 120, 240)] == pytest.approx([0.5, 0.25, 0])
    assert c.label_smoothing == 0.1
    assert parse_method(str(c.method)) == SinglePath(
        images=8000, calibration=25_600, crossover=0.5, bins=7
    )
    assert published("hurricane(budget=9)", "imagenet", "operators")["method"].startswith(
        "hurricane(budget=9, population=50, images=8000"
    )


def test_what_was_not_published_is_refused() -> None:
    with pytest.raises(UsageError, match="no search of 'gdas' on 'imagenet' was published in"):
        preset("gdas", "imagenet")
    with pytest.raises(UsageError, match=r"no training on 'mnist'.* known: cifar10 in darts, "):
        train_preset("mnist")
    with pytest.raises(UsageError, match="no training on 'cifar10' was published in the space 'sp"):
        train_preset("cifar10", "spos")


def test_published_trainings() -> None:
    c = train_preset("cifar10")
    assert (c.epochs, c.batch, c.cutout, c.drop_path, c.auxiliary) == (600, 96, 16, 0.2, 0.4)
    assert c.rate(0) == 0.025
    c = train_preset("imagenet")
    assert (c.epochs, c.batch, c.weight_decay, c.label_smoothing) == (250, 1024, 3e-5, 0.1)
    assert [c.rate(epoch) for epoch in (0, 4, 125)] == pytest.approx([0.1, 0.5, 0.25])


@pytest.mark.parametrize("space", ["spos", "operators"])
def test_what_single_paths_find_is_trained_by_the_recipe_of_the_supernet(space: str) -> None:
    """Of all images instead of half of them: 300,000 steps instead of 150,000."""
    searched = SearchConfig(**published("single-path", "imagenet", space))
    trained = train_preset("imagenet", space)
    for name in (f.name for f in dataclasses.fields(trained)):
        if hasattr(searched, name):
            assert getattr(trained, name) == getattr(searched, name), name
    images = 1_281_167
    assert round(trained.epochs * images / trained.batch, -4) == 300_000
    assert round(searched.epochs * images / 2 / searched.batch, -4) == 150_000
    assert not trained.decay_vectors


def test_a_training_has_the_searchs_device_and_the_presets_settings() -> None:
    where = {"device": "cuda", "precision": "bfloat16", "epochs": 3}
    found = TrainConfig(**train_settings("imagenet", "spos", where, {"batch": 8}))
    assert (found.device, found.precision, found.batch) == ("cuda", "bfloat16", 8)
    assert (found.epochs, found.learning_rate, found.decay_vectors) == (240, 0.5, False)
    assert TrainConfig(**train_settings("", "spos", {}, {})) == TrainConfig()
    assert train_settings("toponas-cifar10", "darts", {}, {"device": "mps"}) == {"device": "mps"}


def test_presets_of_dmasking() -> None:
    c = preset("dmasking", "imagenet")
    assert (c.epochs, c.warmup_epochs, c.batch, c.precision) == (90, 10, 256, "bfloat16")
    assert (c.learning_rate, c.final_learning_rate, c.weight_decay) == (0.1, 0.0, 1e-4)
    assert (c.alpha_learning_rate, c.alpha_weight_decay) == (0.01, 5e-4)
    with pytest.raises(UsageError, match=r"no search of 'dmasking' on 'imagenet' .* 'ofa'"):
        published("dmasking", "imagenet", "ofa")


def _random_images(space: AnySpace, n: int) -> ImageData:
    stream = torch.Generator().manual_seed(0)
    shape = (n, *space.config.input_shape[1:])
    labels = torch.randint(space.config.classes, (n,), generator=stream)
    images = torch.randint(0, 256, shape, generator=stream, dtype=torch.uint8)
    scaled = images.float() / 255 - 0.5
    return ImageData(
        "random", scaled, labels, scaled[:8], labels[:8], space.config.classes,
        torch.full((shape[1],), -0.5), 0, True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "space"), [("single-path", "spos"), ("single-path", "operators"),
                          ("hurricane", "operators")]
)  # fmt: skip
def test_steps_of_single_paths_at_full_size(method: str, space: str, tmp_path: Path) -> None:
    """The preset but for its batch, which takes more memory than a machine without a GPU has, the
    number of epochs, and an evolution of few networks by few images."""
    few = f"{method}(budget=4, population=2, images=8, calibration=8)"
    made = make_space(space, {})
    config = SearchConfig(**laid_over("imagenet", {"method": few, "batch": 8}, space))
    config = dataclasses.replace(config, epochs=2, target=1.0)
    assert "bins=7" in str(config.method)
    counted = counted_model(made, "macs")
    target = float(counted.predict([made.reference()])[0])
    config = dataclasses.replace(config, target=target)
    ends = list[float]()
    found = search(made, _random_images(made, 32), config, LatencyPenalty.of(counted, config),
                   directory=tmp_path, stepped=ends.append)  # fmt: skip
    assert ends == [0.5, 1.0, 1.5, 2.0]
    assert found.met
    assert all(np.isfinite(epoch.train_accuracy) for epoch in found.history)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "name"),
    [("msg-das", "cifar10"), ("msg-das", "imagenet"), ("msg-das", "nasbench201"),
     ("darts", "toponas-cifar10"), ("darts-2nd", "toponas-cifar10"),
     ("pc-darts", "toponas-cifar10"),
     ("pc-darts", "toponas-imagenet")],
)  # fmt: skip
def test_two_steps_at_full_size(method: str, name: str, tmp_path: Path) -> None:
    """The preset as it is, but for one epoch of four batches and no warm-up."""
    published = preset(method, name)
    batch = published.batch
    config = dataclasses.replace(
        published, epochs=1, batch=batch, warmup_epochs=0, topology_warmup_epochs=0
    )  # fmt: skip
    if name == "nasbench201":
        space: AnySpace = nasbench201()
    else:
        most = {"least_inputs": 1, "most_inputs": 5} if published.topology else {}
        size = {} if "cifar10" in name else dataclasses.asdict(IMAGENET)
        space = make_space("darts", size | most)
    data = _random_images(space, 4 * batch)
    ends = list[float]()
    found = search(space, data, config, directory=tmp_path, stepped=ends.append)
    assert ends == [0.5, 1.0]
    assert np.isfinite(found.history[0].train_accuracy)
    made = parse_method(str(config.method)).relaxation(space, generator(Purpose.SEARCH, 0, 0))
    moved = np.abs(found.course["alpha"][0] - made.state_dict()["alpha"].numpy())
    # Two of Adam's first steps have the size of the learning rate each.
    assert 0 < moved.max() < 2.1 * config.alpha_learning_rate
    assert np.isfinite(found.course["alpha"]).all()
    if published.topology:
        assert np.isfinite(found.course["topology.beta"]).all()
