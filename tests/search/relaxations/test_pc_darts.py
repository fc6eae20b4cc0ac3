from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from latbench.errors import UsageError
from latbench.search.relaxations.pc_darts import PartialOperation, PcDartsRelaxation
from latbench.search.supernets.mixed_edge import MixedOperation
from latbench.spaces.genotypes import OPERATIONS


def relaxation() -> PcDartsRelaxation:
    return PcDartsRelaxation(Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_part_of_the_channels_runs_and_the_rest_bypasses(stride: int) -> None:
    edge = PartialOperation((2, 8, 7, 7), stride, 4)
    x, weights = torch.randn(2, 8, 7, 7), 0.3 * torch.softmax(torch.randn(8), dim=0)
    out = edge(x, weights, range(8))
    mixed = edge.part(x[:, :2], weights, range(8))
    rest = x[:, 2:] if stride == 1 else F.max_pool2d(x[:, 2:], 2, ceil_mode=True)
    expected = torch.cat([mixed, 0.3 * rest], dim=1)
    # Two rows of four are written, four columns of two are read.
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    torch.testing.assert_close(out, expected[:, order])
    assert sum(p.numel() for p in edge.parameters()) == sum(
        p.numel() for p in edge.part.parameters()
    )
    assert isinstance(edge.part, MixedOperation)


def test_channels_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot run 1/4 of 6 channels"):
        PartialOperation((2, 6, 8, 8), 1, 4)


def test_the_weights_of_a_node_sum_to_one() -> None:
    made = relaxation()
    made.beta.data.normal_(generator=Generator().manual_seed(1))
    (weights,) = made.subgraphs(Generator())
    sums = [weights[:, edges].sum((1, 2)) for edges in (slice(0, 2), slice(2, 5), slice(9, 14))]
    for found in sums:
        torch.testing.assert_close(found, torch.ones(2))


def test_derivation_weighs_operations_by_their_edge() -> None:
    made = relaxation()
    made.alpha.data.zero_()
    made.beta.data.zero_()
    made.alpha.data[:, 2:5, 4] = 1.0  # node 1: equals
    made.alpha.data[:, 2, 4] = 1.5  # its first edge is the best by alpha ...
    made.beta.data[0, 2] = -3.0  # ... and the worst by beta, in the normal cell
    found = made.derive()
    name = OPERATIONS[4]
    assert found.normal[1] == ((name, 1), (name, 2))
    assert found.reduce[1] == ((name, 0), (name, 1))
