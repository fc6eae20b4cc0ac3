from __future__ import annotations

import pytest
import torch
from torch import Generator

from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.spaces import darts

SPACE = darts()
FIRST = SPACE.forest.variables[1].name  # the operation on the first node's first input


def relaxation(temperature: float = 10.0) -> GdasRelaxation:
    return GdasRelaxation(SPACE, Generator().manual_seed(0), temperature)


def row(weights: torch.Tensor) -> torch.Tensor:
    start = SPACE.forest.offsets[1]
    return weights[start : start + 7]


def test_the_temperature_falls_linearly_as_published() -> None:
    made = relaxation()
    found = []
    for epoch in range(4):
        made.begin_epoch(epoch, 4)
        found.append(made.temperature)
    assert found == pytest.approx([10.0, 6.7, 3.4, 0.1])
    made.begin_epoch(0, 1)
    assert made.temperature == 10.0


def test_operations_are_sampled_by_their_probability_whatever_the_temperature() -> None:
    made = relaxation()
    made.alpha.data[3] = 2.0
    stream = Generator().manual_seed(1)
    draws = torch.stack([row(made.subgraphs(stream)[0].detach()) for _ in range(2000)])
    assert ((draws == 0) | (draws == 1)).all()
    assert (draws.mean(0) - made.probabilities()[FIRST][1:]).abs().max() < 0.04


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_the_gradient_is_that_of_the_softmax_at_the_temperature(temperature: float) -> None:
    made = relaxation(temperature)
    (weights,) = made.subgraphs(Generator().manual_seed(2))
    used = int(row(weights.detach()).argmax())
    assert row(weights)[used] == 1
    row(weights)[used].backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    of = made.alpha.grad[:8]  # 'none' first
    assert of[1 + used] > 0
    assert (of[torch.arange(8) != 1 + used] < 0).all()  # the others pay
    assert made.alpha.grad[8:].abs().max() == 0
    # Both temperatures drew the same; the colder one is closer to flat.
    assert 0 < of[1 + used] <= 0.25 / temperature
