from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from own_spaces import Joined, small_blocks
from torch import Generator

from latbench.errors import UsageError
from latbench.search.relaxations.single_path import Bins, SinglePathRelaxation
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.architecture import Architecture

SPACES: list[AnySpace] = [darts(), nasbench201(), small_blocks(), Joined()]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_path_is_an_architecture(space: AnySpace) -> None:
    made, stream = SinglePathRelaxation(space), Generator().manual_seed(1)
    assert list(made.parameters()) == []
    drawn = made._drawn(50, stream)
    assert len({str(space.of(code)) for code in drawn}) > 20
    for code in drawn:
        assert space.parse(str(space.of(code))).code == code
    (path,) = made.subgraphs(Generator().manual_seed(2))
    (code,) = made._drawn(1, Generator().manual_seed(2))
    assert np.array_equal(path.numpy(), space.columns.weights([code])[0])
    encoded = made.sample(1, Generator().manual_seed(2))[0]
    assert np.array_equal(encoded.numpy(), space.one_hot(space.of(code)))


def test_every_choice_is_drawn_with_equal_odds() -> None:
    n, stream = 3000, Generator().manual_seed(0)
    drawn = SinglePathRelaxation(nasbench201()).sample(n, stream).mean(0)
    assert (drawn - 1 / 5).abs().max() < 5 * (0.2 * 0.8 / n) ** 0.5
    rows = SinglePathRelaxation(darts()).sample(n, stream).reshape(n, 2, 14, 8).mean(0)
    assert torch.equal(rows[..., 0], torch.zeros(2, 14))  # 'none' is no operation of a network
    for first, edges in ((0, 2), (2, 3), (5, 4), (9, 5)):
        odds = 2 / edges / 7  # two of the edges, and one of seven operations
        found = rows[:, first : first + edges, 1:]
        assert (found - odds).abs().max() < 5 * (odds * (1 - odds) / n) ** 0.5


def test_shallow_networks_are_drawn_as_often_as_deep_ones() -> None:
    space, n = small_blocks(), 2000
    drawn = SinglePathRelaxation(space)._drawn(n, Generator().manual_seed(0))
    depths = [space.of(code)["0.depth"] for code in drawn]
    assert abs(depths.count("1") / n - 0.5) < 5 * 0.5 / n**0.5
    assert set(depths) == {"1", "2"}


def separable(architectures: Sequence[Architecture]) -> npt.NDArray[np.float64]:
    return np.array([str(one).count("sep_conv") / 8 for one in architectures])


def test_paths_come_evenly_from_bins_of_cost() -> None:
    made, stream = SinglePathRelaxation(darts(), Bins(2, 0.3, 0.5)), Generator().manual_seed(0)
    assert np.mean(separable([made.space.of(made._path(stream)) for _ in range(50)])) > 0.5
    made.take_costs(separable)
    drawn = separable([made.space.of(made._path(stream)) for _ in range(200)])
    assert set(drawn) == {3 / 8, 4 / 8}
    assert abs(np.mean(drawn == 3 / 8) - 0.5) < 5 * 0.5 / 200**0.5


def test_a_bin_without_a_path_takes_the_nearest() -> None:
    made = SinglePathRelaxation(nasbench201(), Bins(1, 5, 6))
    made.take_costs(lambda of: np.array([str(one).count("skip") / 6 for one in of]))
    drawn = [str(made.space.of(made._path(Generator().manual_seed(k)))) for k in range(5)]
    assert all(one.count("skip") >= 3 for one in drawn)  # of 256: 1.2 are drawn on average


def test_it_stands_for_no_architecture() -> None:
    with pytest.raises(UsageError, match="nothing to derive from"):
        SinglePathRelaxation(darts()).derive()
