from __future__ import annotations

import pytest

from latbench.errors import ParseError, UsageError
from latbench.networks.ops import Concat, Conv, Elementwise
from latbench.spaces import SPACES, AnySpace, darts, nasbench201, space_from_identity
from latbench.spaces.internal.isolated import (
    IsolatedConfig,
    IsolatedLayers,
    isolated_network,
)

PARENTS = [darts(channels=4, cells=3), darts(channels=6, cells=3, stem="imagenet", resolution=33),
           nasbench201(channels=4, cells=1)]  # fmt: skip


@pytest.mark.parametrize("parent", PARENTS)
def test_every_layer_of_a_space_runs_alone(parent: AnySpace) -> None:
    space = IsolatedLayers(IsolatedConfig(of=str(parent)))
    assert space_from_identity(space.identity()) == space
    kinds = parent.layer_kinds()
    for i, kind in enumerate(kinds):
        network = space.build(space.unrank(i))
        assert network.layers[-1].op == kind[0]
        assert kind in network.kinds()
        assert space.parse(str(space.unrank(i))) == space.unrank(i) == space.unrank(i)
    assert space.size == len(kinds) + 1
    assert space.build(space.reference()) == parent.build(parent.reference())
    assert 0 <= space.rank(space.sample(0, 0)) < space.size
    assert space.one_hot(space.unrank(1)).argmax() == 1


def test_inputs_of_other_shapes_are_made_from_one() -> None:
    concat = isolated_network((Concat(), ((1, 4, 8, 8), (1, 2, 8, 8))))
    assert concat.output_shape == (1, 6, 8, 8)
    product = isolated_network((Elementwise("mul"), ((1, 4, 8, 8), (1, 4, 1, 1))))
    assert product.output_shape == (1, 4, 8, 8)
    assert len(isolated_network((Conv(3, 1), ((2, 4, 8, 8),))).layers) == 2


def test_it_is_not_offered_and_refuses_other_text() -> None:
    assert "isolated_layers" not in SPACES
    space = IsolatedLayers()
    for text in ("layer-99999", "layer--1", "7", "layer- 1"):
        with pytest.raises(ParseError, match="is none of layer-0 to"):
            space.parse(text)
    with pytest.raises(UsageError, match="unknown space"):
        IsolatedLayers(IsolatedConfig(of="nowhere")).parent  # noqa: B018
