from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, spaces

from latbench.errors import UsageError
from latbench.spaces import SPACES, AnySpace, make_space
from latbench.spaces.encodings import COST_FEATURES, ENCODINGS, encode

every_space = pytest.mark.parametrize("name", SPACES)


@st.composite
def samples(draw: Any) -> tuple[AnySpace, list[Any]]:
    space = draw(spaces())
    return space, draw(st.lists(architectures(space), max_size=4))


@settings(deadline=None, max_examples=30)
@given(samples(), st.sampled_from(ENCODINGS))
def test_there_is_one_row_for_each_architecture(
    sample: tuple[AnySpace, list[Any]], encoding: str
) -> None:
    space, rows = sample
    vectors = encode(space, rows, encoding)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(rows), encode(space, [space.reference()], encoding).shape[1])
    for row, architecture in zip(vectors, rows, strict=True):
        np.testing.assert_array_equal(row, encode(space, [architecture], encoding)[0])


@every_space
def test_encodings_are_the_spaces_own(name: str) -> None:
    space = make_space(name)
    a = space.sample(0, 0)
    np.testing.assert_array_equal(encode(space, [a], "one_hot")[0], space.one_hot(a))
    np.testing.assert_array_equal(encode(space, [a], "counts")[0], space.counts(a))


@every_space
def test_cost_is_that_of_the_network(name: str) -> None:
    space = make_space(name, {"cells": 3, "channels": 4})
    architecture = space.sample(0, 1)
    network = space.build(architecture)
    assert COST_FEATURES == ("macs", "parameters", "bytes_moved", "layers")
    np.testing.assert_allclose(
        encode(space, [architecture], "cost")[0],
        [network.macs, network.parameters, network.bytes_moved, len(network.layers)],
    )


@every_space
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_architectures_give_no_rows_of_the_right_width(name: str, encoding: str) -> None:
    space = make_space(name, {"cells": 3})
    width = encode(space, [space.reference()], encoding).shape[1]
    assert encode(space, [], encoding).shape == (0, width)


@pytest.mark.parametrize("encoding", ["", "onehot", "ONE_HOT", "flops"])
def test_unknown_encodings_are_refused(encoding: str) -> None:
    space = make_space("nasbench201")
    with pytest.raises(UsageError, match="expected one of one_hot, counts, cost, layers, graph"):
        encode(space, [space.reference()], encoding)
