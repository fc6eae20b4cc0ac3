"""The space of HURRICANE: 32 operators, a body in which each fits every layer."""

from __future__ import annotations

import pytest

from latbench.errors import UsageError
from latbench.networks.ops import Concat, Elementwise
from latbench.networks.supernet_ops import Mixed
from latbench.spaces import make_space
from latbench.spaces.chains.operators_space import OPERATORS, OperatorsConfig


def test_there_are_32_operators_of_three_families() -> None:
    families = [one.family for one in OPERATORS.values()]
    assert {f: families.count(f) for f in families} == {"sep": 6, "mb": 18, "shuffle": 8}
    assert len(set(OPERATORS.values())) == 32
    assert make_space("operators").size == 32**20


@pytest.mark.parametrize("name", OPERATORS)
def test_each_fits_every_layer(name: str) -> None:
    space = make_space("operators", {"pools": (name,), "resolution": 32, "classes": 10})
    network = space.build(space.reference())
    operator = OPERATORS[name]
    kinds = [type(layer.op) for layer in network.layers]
    adds = sum(
        isinstance(layer.op, Elementwise) and layer.op.kind == "add" for layer in network.layers
    )
    muls = sum(
        isinstance(layer.op, Elementwise) and layer.op.kind == "mul" for layer in network.layers
    )
    layers = sum(OperatorsConfig().blocks)
    assert muls == (layers if operator.se else 0)
    assert kinds.count(Concat) == (layers if operator.family == "shuffle" else 0)
    # The first layer of a stage changes the channels, and has no residual.
    assert adds == (0 if operator.family == "shuffle" else layers - 4)


def test_an_inverted_residual_costs_about_as_much_in_every_stage() -> None:
    space = make_space("operators", {"pools": ("mb3e6",)})
    b = space.supernet(search=False)
    macs = {}
    for layer in b.layers:
        if isinstance(layer.op, Mixed) and layer.op.variable.endswith(".2"):
            macs[layer.op.variable] = layer.op.alternatives[0].macs / 1e6
    assert len(macs) == 4
    assert all(21 < value < 26 for value in macs.values())


def test_pools_restrict_each_layer() -> None:
    pools = tuple("sep3+mb3e6" if i % 2 else "shuffle_x" for i in range(20))
    space = make_space("operators", {"pools": pools})
    assert [len(v.options) for v in space.forest.variables] == [1, 2] * 10
    assert space.size == 2**10


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"pools": ("sep3", "sep5")}, "one text for all layers or one for each of the 20, got 2"),
        ({"pools": ("sep4",)}, "'sep4' is no operator.*did you mean"),
        ({"pools": ("sep3+sep3",)}, "has an operator twice"),
        ({"blocks": (1, 2)}, r"widths must be 4 numbers \(stem, 2 stages, head\), got 6"),
        ({"width": 0.1}, "each must be wider than the one before"),
    ],
)
def test_bodies_and_pools_that_do_not_fit_are_refused(config: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        make_space("operators", config)
