from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, spaces

from latbench.encodings import (
    COST_FEATURES,
    ENCODINGS,
    Encoding,
    cost_of,
    encode,
    encode_networks,
    encoding_of,
)
from latbench.encodings.by_name import width_of
from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.spaces import SPACES, AnySpace, make_space, nasbench201

every_space = pytest.mark.parametrize("name", SPACES)
OF_NETWORKS = ("cost", "layers", "graph")
SMALL = nasbench201(channels=2, cells=1)


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
    assert len(vectors) == len(rows)
    width = width_of(space, encoding)
    assert vectors.shape[1] == width or width is None
    for row, architecture in zip(vectors, rows, strict=True):
        (alone,) = encode(space, [architecture], encoding)
        np.testing.assert_array_equal(row[: len(alone)], alone)
        assert not row[len(alone) :].any()


@every_space
def test_encodings_are_the_spaces_own(name: str) -> None:
    space = make_space(name)
    a = space.sample(0, 0)
    np.testing.assert_array_equal(encode(space, [a], "one_hot")[0], space.one_hot(a))
    np.testing.assert_array_equal(encode(space, [a], "counts")[0], space.counts(a))


@every_space
def test_cost_is_that_of_the_network(name: str) -> None:
    space = make_space(name, make_space(name).small)
    architecture = space.sample(0, 1)
    network = space.build(architecture)
    assert COST_FEATURES == ("macs", "parameters", "bytes_moved", "layers")
    np.testing.assert_allclose(
        encode(space, [architecture], "cost")[0],
        [network.macs, network.parameters, network.bytes_moved, len(network.layers)],
    )
    np.testing.assert_array_equal(encode(space, [architecture], "cost")[0], cost_of(network))


@every_space
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_architectures_give_no_rows_of_the_right_width(name: str, encoding: str) -> None:
    space = make_space(name, make_space(name).small)
    width = encode(space, [space.reference()], encoding).shape[1]
    assert encode(space, [], encoding).shape == (0, width)
    assert width_of(space, encoding) == (None if encoding == "graph" else width)


@pytest.mark.parametrize("encoding", OF_NETWORKS)
def test_networks_need_no_space(encoding: str) -> None:
    some = [SMALL.sample(0, i) for i in range(3)]
    vectors = encode_networks([SMALL.build(a) for a in some], encoding)
    assert vectors.dtype == np.float32
    assert len(vectors) == 3
    if encoding != "layers":  # whose slots are by size then
        np.testing.assert_array_equal(vectors, encode(SMALL, some, encoding))


@pytest.mark.parametrize("encoding", ["one_hot", "counts"])
def test_what_a_space_defines_needs_it(encoding: str) -> None:
    with pytest.raises(UsageError, match=f"the encoding '{encoding}' is of a space's architect"):
        encode_networks([SMALL.build(SMALL.reference())], encoding)
    with pytest.raises(UsageError, match="there is no network to encode"):
        encode_networks([], "cost")


@every_space
def test_what_is_linear_in_the_choices_says_how(name: str) -> None:
    space = make_space(name, make_space(name).small)
    for encoding in ENCODINGS:
        matrix = encoding_of(encoding).one_hot_matrix(space)
        if encoding in ("one_hot", "counts"):
            assert matrix is not None
            for index in range(5000, 5050):
                a = space.sample(1, index)
                one_hot = space.one_hot(a)
                np.testing.assert_array_equal(one_hot @ matrix, encode(space, [a], encoding)[0])
        else:
            assert matrix is None


@pytest.mark.parametrize("encoding", ["", "onehot", "ONE_HOT", "flops"])
def test_unknown_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UsageError, match="expected one of one_hot, counts, cost, layers, graph"):
        encode(SMALL, [SMALL.reference()], encoding)


def work(networks: Sequence[Network]) -> Any:
    return [[network.macs, 2.5] for network in networks]


class Own(Encoding):
    """An encoding from outside: what ``gives`` makes of the networks."""

    name = "own"

    def __init__(self, gives: Any = work) -> None:
        self.gives = gives

    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Any:
        return self.gives(networks)


def test_ones_own_is_asked_with_networks_that_are_built_on_demand() -> None:
    some = [SMALL.sample(0, i) for i in range(5)]
    vectors = encode(SMALL, some, Own())
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[SMALL.build(a).macs, 2.5] for a in some])
    sliced = Own(lambda networks: [[n.macs] for n in (*networks[:2], *networks[2:])])
    np.testing.assert_array_equal(encode(SMALL, some, sliced)[:, 0], vectors[:, 0])
    (alone,) = encode_networks([SMALL.build(some[3])], Own())
    np.testing.assert_array_equal(alone, vectors[3])


def test_a_network_that_no_encoding_asks_for_is_not_built() -> None:
    class Unbuildable(type(SMALL)):  # type: ignore[misc]
        def build(self, architecture: Any) -> Network:
            raise AssertionError

    space = Unbuildable(SMALL.config)
    assert encode(space, [space.reference()], "one_hot").shape == (1, 30)
    with pytest.raises(AssertionError):
        encode(space, [space.reference()], Own())


class Taken(Own):
    name = "counts"


class Nameless(Own):
    name = ""


class Unversioned(Own):
    version = "1"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        (Own, "an object of a class that derives from latbench.encodings.base.Encoding; got"),
        (7, "an encoding is one of one_hot, counts, cost, layers, graph, or an object"),
        (Taken(), "needs a name of its own, .*; Taken has 'counts'"),
        (Nameless(), "needs a name of its own, .*; Nameless has ''"),
        (Unversioned(), "the encoding 'own' needs a version from 1, it has '1'"),
        (Own(lambda networks: [[1.0]] * 3), r"gave numbers of shape \(3, 1\) for 1 networks"),
        (Own(lambda networks: 1.0), r"gave numbers of shape \(\) for 1 networks"),
        (Own(lambda networks: [["a"]]), r"the encoding 'own' must give numbers \(n, d\)"),
    ],
)
def test_what_is_no_encoding_is_one_sentence(encoding: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        encode(SMALL, [SMALL.reference()], encoding)
    assert "\n" not in str(raised.value)
