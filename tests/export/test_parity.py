"""How far two correct programs may differ, and that a wrong one is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latbench.export import parity as module
from latbench.export.parity import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    parity,
    reference_outputs,
    relative_error,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv, Elementwise, Flatten, GlobalAvgPool, Linear
from latbench.networks.weights import make_weights
from latbench.testing.networks import default_networks, short_chain


def cancelling() -> Network:
    """Its outputs are small differences of large ones, as those of no healthy network are."""
    b = NetworkBuilder((1, 8, 16, 16))
    x = b.add(Conv(64, 3, padding=1), b.input)
    y = b.add(GlobalAvgPool(), x)
    return b.build(b.add(Linear(10), b.add(Flatten(), b.add(Elementwise("add"), y))))


def test_the_error_is_a_share_of_the_largest_output() -> None:
    expected = np.array([[1.0, -4.0]])
    assert relative_error(np.array([[1.0, -3.0]]), expected) == 0.25
    assert relative_error(np.array([[np.nan, -4.0]]), expected) == np.inf


def test_the_same_work_costs_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    network = short_chain()
    got, calls = reference_outputs(network), []

    def counted(network: Network, double: bool = False, weights: Any = None) -> np.ndarray:
        calls.append(double)
        return reference_outputs(network, double, weights)

    monkeypatch.setattr(module, "reference_outputs", counted)
    assert parity(network, got, FLOAT32) == (0.0, FLOAT32)
    assert calls == [False]


@pytest.mark.parametrize("tolerance", [1e-4, 1e-2])
def test_another_result_is_not_allowed(tolerance: float) -> None:
    network = short_chain()
    error, allowed = parity(network, reference_outputs(network) * 1.05, tolerance)
    assert error == pytest.approx(0.05, rel=0.01)
    assert allowed == tolerance  # torch's own rounding is far below it


@pytest.mark.parametrize(
    ("tolerance", "own", "expected"),
    [
        (1e-4, 1e-4, 1.6e-3),
        (1e-3, 1e-4, 1.6e-3),  # somebody's limit in float32
        (1e-2, 1e-6, 4 * 2**13 * 1e-6),  # in units of float16, which are 2^13 of float32's
        (2e-2, 1e-6, 4 * 2**13 * 1e-6),
        (5e-2, 1e-6, 4 * 2**16 * 1e-6),
        (5e-2, 1e-7, 5e-2),
        (5e-2, 1e-4, 0.5),  # more is another result
    ],
)
def test_what_a_network_amplifies_by_itself_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tolerance: float, own: float, expected: float
) -> None:
    """Where torch itself is off by 1e-4 in float32, a limit of 1e-4 would refuse torch."""
    network = cancelling()
    exact = reference_outputs(network, double=True)

    def rounded(network: Network, double: bool = False, weights: Any = None) -> np.ndarray:
        return exact if double else exact + own * np.abs(exact).max()

    monkeypatch.setattr(module, "reference_outputs", rounded)
    error, allowed = parity(network, exact + 0.06 * np.abs(exact).max(), tolerance)
    assert error == pytest.approx(0.06, rel=0.01)
    assert allowed == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("tolerance", [FLOAT32, FLOAT16, BFLOAT16])
def test_other_weights_are_seen_in_every_network(tolerance: float) -> None:
    """Whatever a network amplifies, what it is allowed leaves the check able to fail."""
    for label, network in default_networks():
        other = reference_outputs(network, weights=make_weights(network, seed=1))
        error, allowed = parity(network, other, tolerance)
        assert error > allowed, label


def test_given_weights_are_what_is_compared_with() -> None:
    network = short_chain()
    weights = make_weights(network, seed=1)
    got = reference_outputs(network, weights=weights)
    assert parity(network, got, FLOAT32, weights) == (0.0, FLOAT32)
    error, allowed = parity(network, got, FLOAT32)
    assert error > allowed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_is_alike_that_is_no_number(value: float) -> None:
    network = short_chain()
    weights = {name: np.full_like(w, value) for name, w in make_weights(network).items()}
    for got in (reference_outputs(network, weights=weights), reference_outputs(network)):
        assert parity(network, got, FLOAT32, weights) == (np.inf, FLOAT32)
