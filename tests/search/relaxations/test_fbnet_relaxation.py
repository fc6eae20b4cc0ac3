from __future__ import annotations

import pytest
import torch
from torch import Generator

from latbench.errors import UsageError
from latbench.search.methods import make_method
from latbench.search.relaxations.fbnet_relaxation import FBNetRelaxation
from latbench.spaces import nasbench201

SPACE = nasbench201()


def relaxation(temperature: float = 5.0) -> FBNetRelaxation:
    return FBNetRelaxation(SPACE, Generator().manual_seed(0), temperature)


def test_the_temperature_falls_by_a_factor_an_epoch() -> None:
    made = relaxation()
    found = []
    for epoch in range(3):
        made.begin_epoch(epoch, 90)
        found.append(made.temperature)
    assert found == pytest.approx([5.0, 5.0 * 0.956, 5.0 * 0.956**2])


def test_a_search_of_any_length_ends_as_cold() -> None:
    """Unless it says by how much the temperature falls."""
    coldest, told = [], relaxation()
    for epochs in (2, 12, 90, 300):
        told.begin_epoch(0, epochs)
        assert told.temperature == 5.0
        told.begin_epoch(epochs - 1, epochs)
        coldest.append(told.temperature)
    assert coldest == pytest.approx([5.0 * 0.956**89] * 4)
    told.begin_epoch(0, 1)
    assert told.temperature == 5.0
    asked = FBNetRelaxation(SPACE, Generator().manual_seed(0), 5.0, 0.956)
    asked.begin_epoch(11, 12)
    assert asked.temperature == pytest.approx(5.0 * 0.956**11)


@pytest.mark.parametrize(("temperature", "largest"), [(100.0, 0.25), (0.01, 0.99)])
def test_all_options_run_at_first_and_nearly_one_at_last(
    temperature: float, largest: float
) -> None:
    (weights,) = relaxation(temperature).subgraphs(Generator().manual_seed(1))
    rows = weights.detach().view(6, 5)
    torch.testing.assert_close(rows.sum(-1), torch.ones(6))
    assert (rows.amax(-1) < 0.25).all() if largest < 0.5 else rows.amax(-1).mean() > largest


def test_the_winner_is_drawn_by_the_odds() -> None:
    made = relaxation(0.01)
    made.alpha.data[2] = 2.0
    stream = Generator().manual_seed(1)
    draws = torch.stack([made.subgraphs(stream)[0].detach()[:5].round() for _ in range(2000)])
    odds = torch.softmax(made.alpha.detach()[:5], -1)
    assert (draws.mean(0) - odds).abs().max() < 0.04


def test_every_option_of_a_variable_gets_a_gradient() -> None:
    made = relaxation()
    (weights,) = made.subgraphs(Generator().manual_seed(2))
    weights[1].backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    assert (made.alpha.grad[:5] != 0).all()
    assert not made.alpha.grad[5:].any()


@pytest.mark.parametrize("decay", [1.0, 1.5])
def test_a_decay_of_1_or_more_is_refused(decay: float) -> None:
    with pytest.raises(UsageError, match=f"decay must be below 1, got {decay}"):
        make_method("fbnet", {"decay": decay})
