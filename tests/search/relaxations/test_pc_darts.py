from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from own_spaces import Odd, conv
from torch import Generator

from latbench.errors import UsageError
from latbench.networks.ops import Shape
from latbench.networks.supernet_ops import Mixed
from latbench.search.relaxations.pc_darts import PartialMixed, PcDartsRelaxation
from latbench.search.supernets.mixed import MixedModule, PassWeights
from latbench.spaces import darts, nasbench201
from latbench.spaces.assembly import Step
from latbench.spaces.cells.darts_space import _options
from latbench.spaces.cells.genotypes import OPERATIONS
from latbench.spaces.supernet import SupernetBuilder
from latbench.spaces.variables import One

SPACE = darts()
EDGES = [(node, source) for node in range(4) for source in range(node + 2)]


def relaxation() -> PcDartsRelaxation:
    return PcDartsRelaxation(SPACE, Generator().manual_seed(0))


def edge(shape: Shape, stride: int) -> Mixed:
    b = SupernetBuilder(SPACE, True, shape)
    b.one("normal.0.0", _options(stride), b.input)
    op = b._layers[-1].op
    assert isinstance(op, Mixed)
    return op


@pytest.mark.parametrize("stride", [1, 2])
def test_a_part_of_the_channels_runs_and_the_rest_bypasses(stride: int) -> None:
    module = PartialMixed(edge((2, 8, 7, 7), stride), (2, 8, 7, 7), 4)
    x, row = torch.randn(2, 8, 7, 7), 0.3 * torch.softmax(torch.randn(7), dim=0)
    name, scale = "normal.0.0", torch.tensor(0.3)
    weights = PassWeights({name: row.unbind()}, {name: list(range(7))}, {name: scale})
    mixed = module.part(x[:, :2], weights)
    rest = x[:, 2:] if stride == 1 else F.max_pool2d(x[:, 2:], 2, ceil_mode=True)
    expected = torch.cat([mixed, 0.3 * rest], dim=1)
    # Two rows of four are written, four columns of two are read.
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    torch.testing.assert_close(module(x, weights), expected[:, order])
    count = [sum(p.numel() for p in m.parameters()) for m in (module, module.part)]
    assert count[0] == count[1]
    assert isinstance(module.part, MixedModule)


def test_channels_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot run 1/4 of 6 channels"):
        PartialMixed(edge((2, 6, 8, 8), 1), (2, 6, 8, 8), 4)
    fixed = partial(Mixed, "normal.0.0")
    op = edge((2, 8, 8, 8), 1)
    with pytest.raises(UsageError, match="it needs options that keep the channels"):
        PartialMixed(fixed(op.alternatives, lambda shape: op.alternatives), (2, 8, 8, 8), 4)


def test_options_of_fixed_channels_are_refused_in_the_words_of_the_method() -> None:
    """A part of the channels then gives options of different shapes."""
    options: dict[str, Step] = {"conv": partial(conv, 8), "skip": lambda b, x: x}
    space = Odd([One("op", tuple(options))], lambda b: b.one("op", options, conv(8, b, b.input)))
    op = next(la.op for la in space.supernet().layers if isinstance(la.op, Mixed))
    with pytest.raises(UsageError, match=r"a part of the channels of 'op'; .* from b\.shape\(x\)"):
        PartialMixed(op, (2, 8, 8, 8), 4)


def test_a_space_without_inputs_to_weigh_is_refused() -> None:
    with pytest.raises(UsageError, match="'pc-darts' cannot search the space 'nasbench201'"):
        PcDartsRelaxation(nasbench201(), Generator())


def test_the_weights_of_a_node_sum_to_one() -> None:
    made = relaxation()
    made.beta.data.normal_(generator=Generator().manual_seed(1))
    (weights,) = made.subgraphs(Generator())
    forest = SPACE.forest
    for i, v in enumerate(forest.variables):
        if v.kind == "input":
            members = weights[forest.offsets[i] : forest.offsets[i + 1]]
            torch.testing.assert_close(members.sum(), torch.tensor(1.0))


def test_derivation_weighs_operations_by_their_edge() -> None:
    made = relaxation()
    made.alpha.data.zero_()
    made.beta.data.zero_()
    alpha = made.alpha.data.view(2, 14, 8)
    alpha[:, 2:5, 4] = 1.0  # node 1: equals
    alpha[:, 2, 4] = 1.5  # its first edge is the best by alpha ...
    made.beta.data[2] = -3.0  # ... and the worst by beta, in the normal cell
    found = made.derive()
    assert found["normal.1"] == ("1", "2")
    assert found["reduce.1"] == ("0", "1")
    assert {found[f"normal.1.{s}"] for s in (1, 2)} == {OPERATIONS[3]}
