from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from latbench.errors import UsageError
from latbench.search.relaxations.single_path import SinglePathRelaxation
from latbench.search.supernets.choices import Choices
from latbench.search.supernets.darts_choices import DARTS, NODE_EDGES
from latbench.search.supernets.nasbench201_supernet import NASBENCH201
from latbench.spaces import AnySpace, darts, nasbench201

SPACES: list[tuple[AnySpace, Choices]] = [(darts(), DARTS), (nasbench201(), NASBENCH201)]


@pytest.mark.parametrize(("space", "choices"), SPACES, ids=["darts", "nasbench201"])
def test_a_path_is_an_architecture(space: AnySpace, choices: Choices) -> None:
    made, stream = SinglePathRelaxation(space), Generator().manual_seed(1)
    assert list(made.parameters()) == []
    for _ in range(10):
        (path,) = made.subgraphs(stream)
        assert np.array_equal(space.one_hot(choices.architecture(path)), path.flatten().numpy())
    samples = made.sample(5, stream)
    assert len({str(choices.architecture(s.reshape(choices.shape))) for s in samples}) == 5


def test_every_choice_is_drawn_with_equal_odds() -> None:
    n, stream = 3000, Generator().manual_seed(0)
    drawn = SinglePathRelaxation(nasbench201()).sample(n, stream).mean(0)
    assert (drawn - 1 / 5).abs().max() < 5 * (0.2 * 0.8 / n) ** 0.5
    rows = SinglePathRelaxation(darts()).sample(n, stream).reshape(n, 2, 14, 8).mean(0)
    assert torch.equal(rows[..., 0], torch.zeros(2, 14))  # 'none' is no operation of a network
    for node in NODE_EDGES:
        kept = 2 / (node.stop - node.start)  # two of the edges, and one of seven operations
        odds = kept / 7
        assert (rows[:, node, 1:] - odds).abs().max() < 5 * (odds * (1 - odds) / n) ** 0.5


def test_it_stands_for_no_architecture() -> None:
    with pytest.raises(UsageError, match="nothing to derive from"):
        SinglePathRelaxation(darts()).derive()
