from __future__ import annotations

import pytest

from latbench.errors import UsageError
from latbench.search import Gdas, PcDarts, SearchConfig, parse_method
from latbench.search.presets import laid_over, preset, published, train_preset


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


def test_what_was_not_published_is_refused() -> None:
    with pytest.raises(UsageError, match="no search of 'gdas' on 'imagenet' was published in"):
        preset("gdas", "imagenet")
    with pytest.raises(UsageError, match="no training on 'mnist'"):
        train_preset("mnist")


def test_published_trainings() -> None:
    c = train_preset("cifar10")
    assert (c.epochs, c.batch, c.cutout, c.drop_path, c.auxiliary) == (600, 96, 16, 0.2, 0.4)
    assert c.rate(0) == 0.025
    c = train_preset("imagenet")
    assert (c.epochs, c.batch, c.weight_decay, c.label_smoothing) == (250, 1024, 3e-5, 0.1)
    assert [c.rate(epoch) for epoch in (0, 4, 125)] == pytest.approx([0.1, 0.5, 0.25])
