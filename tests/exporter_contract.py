"""What an exporter to a runtime's own format must keep: its outputs are torch's, layer by layer.

A test module subclasses ``ExporterContract`` and says how its format is written and run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from strategies import ACTIVATIONS, OPS, networks, spaces_and_architectures

from latbench.errors import BackendError, UsageError
from latbench.export.torch import to_torch
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Linear, Op
from latbench.networks.weights import Array, Weights, make_input, make_weights
from latbench.spaces import AnySpace
from latbench.testing.networks import impossible_network

# Every subclass runs the same property, which hypothesis would take for a mistake.
_SETTINGS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.differing_executors],
}


def folded(activation: Any, groups: int, affine: bool, bias: bool) -> Network:
    """A convolution and what runtimes fold into it: a batch norm and an activation."""
    b = NetworkBuilder((2, 4, 7, 6))
    x = b.add(Conv(4, 3, groups=groups, bias=bias), b.input)
    return b.build(b.add(Activation(activation), b.add(BatchNorm(affine, 0.1), x)))


def read_elsewhere() -> Network:
    """The same, where something else reads what is in between, so that it must not be folded."""
    b = NetworkBuilder((1, 4, 7, 6))
    conv = b.add(Conv(4, 3), b.input)
    norm = b.add(BatchNorm(), conv)
    return b.build(b.add(Elementwise("add"), b.add(Activation("relu"), norm), norm, conv))


class ExporterContract(ABC):
    @abstractmethod
    def outputs(self, network: Network, weights: Weights | None) -> Iterator[Array]:
        """What the exported network gives on ``make_input``, in each way to run it."""

    def assert_agrees(self, network: Network, weights: Weights | None = None) -> None:
        with torch.no_grad():
            expected = to_torch(network, weights)(torch.from_numpy(make_input(network))).numpy()
        scale = float(np.abs(expected).max())
        for actual in self.outputs(network, weights):
            assert actual.shape == expected.shape
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * scale + 1e-7)

    @settings(max_examples=100, **_SETTINGS)
    @given(network=networks())
    def test_random_networks_agree_with_torch(self, network: Network) -> None:
        self.assert_agrees(network)

    @settings(max_examples=10, **_SETTINGS)
    @given(pair=spaces_and_architectures())
    def test_random_architectures_agree_with_torch(self, pair: tuple[AnySpace, Any]) -> None:
        space, architecture = pair
        self.assert_agrees(space.build(architecture))

    @pytest.mark.parametrize("op", OPS, ids=str)
    @pytest.mark.parametrize("scale", [1, 10])
    def test_every_kind_of_layer_by_itself(self, op: Op, scale: int) -> None:
        b = NetworkBuilder((2, 4, 7, 6))
        network = b.build(b.add(op, b.add(BatchNorm(), b.input)))
        weights = make_weights(network)
        weights["1.weight"] *= scale
        self.assert_agrees(network, weights)

    @pytest.mark.parametrize("kind", ACTIVATIONS)
    @pytest.mark.parametrize("groups", [1, 4])
    @pytest.mark.parametrize("affine", [True, False])
    @pytest.mark.parametrize("bias", [True, False])
    def test_a_convolution_takes_over_what_follows(
        self, kind: Any, groups: int, affine: bool, bias: bool
    ) -> None:
        network = folded(kind, groups, affine, bias)
        weights = make_weights(network)
        weights["1.weight"] *= 5  # so that both bends of an activation show
        self.assert_agrees(network, weights)

    def test_what_is_read_elsewhere_is_not_taken_over(self) -> None:
        self.assert_agrees(read_elsewhere())

    def test_a_network_of_vectors(self) -> None:
        b = NetworkBuilder((3, 5))
        self.assert_agrees(b.build(b.add(Activation("relu"), b.add(Linear(4), b.input))))

    def test_a_network_that_does_nothing(self) -> None:
        b = NetworkBuilder((2, 3, 4, 5))
        self.assert_agrees(b.build(b.input))

    def test_an_unknown_layer_kind_is_named(self) -> None:
        with pytest.raises(BackendError, match=r"no layer kind UnknownOp in the [\w ]+ export"):
            list(self.outputs(impossible_network(), None))

    def test_the_weights_must_be_the_networks(self) -> None:
        b = NetworkBuilder((1, 2, 4, 4))
        with pytest.raises(UsageError, match=r"lack '1\.weight'"):
            next(self.outputs(b.build(b.add(Conv(1, 1), b.input)), {}))
