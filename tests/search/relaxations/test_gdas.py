from __future__ import annotations

import pytest
import torch
from torch import Generator, nn

from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.search.supernets.mixed_edge import MixedOperation, used_operations


def test_the_temperature_falls_linearly_as_published() -> None:
    made = GdasRelaxation(Generator().manual_seed(0))
    found = []
    for epoch in range(4):
        made.begin_epoch(epoch, 4)
        found.append(made.temperature)
    assert found == pytest.approx([10.0, 6.7, 3.4, 0.1])
    made.begin_epoch(0, 1)
    assert made.temperature == 10.0


def test_operations_are_sampled_by_their_probability_whatever_the_temperature() -> None:
    made = GdasRelaxation(Generator().manual_seed(0))
    made.alpha.data[0, 0, 3] = 2.0
    stream = Generator().manual_seed(1)
    draws = torch.stack([made.subgraphs(stream)[0].detach()[0, 0] for _ in range(2000)])
    assert ((draws == 0) | (draws == 1)).all()
    assert (draws.mean(0) - made.probabilities()[0, 0]).abs().max() < 0.04


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_the_gradient_is_that_of_the_softmax_at_the_temperature(temperature: float) -> None:
    made = GdasRelaxation(Generator().manual_seed(0), temperature=temperature)
    (weights,) = made.subgraphs(Generator().manual_seed(2))
    used = used_operations(weights)[0][0]
    weights[0, 0, used].backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    row = made.alpha.grad[0, 0]
    assert row[used] > 0
    assert (row[torch.arange(8) != used] < 0).all()  # the others pay
    assert made.alpha.grad[1:].abs().max() == 0
    # Both temperatures drew the same; the colder one is closer to flat.
    assert 0 < row[used] <= 0.25 / temperature


def test_an_edge_of_none_gives_zeros_with_a_gradient() -> None:
    edge = MixedOperation(nn.ModuleList([nn.Identity()]), 2)
    weights = torch.tensor([1.0, 0.0], requires_grad=True)
    out = edge(torch.randn(2, 3, 5, 5), weights, used_operations(weights[None])[0])
    assert out.shape == (2, 3, 3, 3)
    assert out.abs().max() == 0
    out.sum().backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() == 0
