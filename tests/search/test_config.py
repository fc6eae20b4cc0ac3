from __future__ import annotations

import pytest

from latbench.errors import UsageError
from latbench.search.config import SearchConfig, TrainConfig, cosine


def test_the_defaults_are_the_published_ones() -> None:
    c = SearchConfig()
    assert (c.epochs, c.batch, c.channels, c.cells) == (50, 64, 16, 8)
    assert (c.learning_rate, c.final_learning_rate, c.momentum) == (0.025, 0.001, 0.9)
    assert (c.weight_decay, c.gradient_clip) == (3e-4, 5.0)
    assert (c.alpha_learning_rate, c.alpha_weight_decay) == (3e-4, 1e-3)
    assert (c.alpha_beta1, c.alpha_beta2) == (0.5, 0.999)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch": 1}, "batch must be at least 2, got 1"),
        ({"cells": 0}, "cells must be at least 1, got 0"),
        ({"method": "gdas(5)"}, "'5' in 'gdas.5.' is not a method's setting; expected 'key=value'"),
        ({"method": 3}, "method must be a text such as .*, a table with a name, or a .*, got '3'"),
        ({"nesterov": True, "momentum": 0}, "nesterov needs a momentum above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number, got nan"),
        ({"penalty_weight": -0.1}, "penalty_weight must be at least 0, got -0.1"),
        ({"penalty_samples": 0}, "penalty_samples must be at least 1, got 0"),
        ({"alpha_beta1": 1.0}, "alpha_beta1 must be below 1, got 1.0"),
        ({"epochs": 3, "warmup_epochs": 3},
         "warmup_epochs = 3 must be below epochs = 3.* set warmup_epochs lower or epochs higher"),
        ({"alpha_learning_rate": -0.1}, "alpha_learning_rate must be at least 0, got -0.1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"precision": "float64"}, "precision must be 'float32' or .*got 'float64'"),
        ({"precision": "float16"}, "'float16' needs the device 'cuda', got 'cpu'"),
        ({"device": "gpu"}, "device must be 'cpu'.*got 'gpu'"),
    ],
)  # fmt: skip
def test_impossible_search_settings(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SearchConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"epochs": -1}, {"batch": 0}, {"cutout": -2}])
def test_impossible_training_settings(values: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(values))} must be"):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_cosine_goes_from_start_towards_end() -> None:
    rates = [cosine(1.0, 0.1, epoch, 10) for epoch in range(11)]
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(0.55)
    assert rates[10] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
