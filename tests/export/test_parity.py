"""How far two correct programs may differ, and that a wrong one is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latbench.export import parity as module
from latbench.export.parity import FLOAT32, parity, reference_outputs, relative_error
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv, Elementwise, Flatten, GlobalAvgPool, Linear
from latbench.networks.weights import make_weights
from latbench.testing.networks import short_chain


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


@pytest.mark.parametrize(("tolerance", "expected"), [(1e-4, 1.6e-3), (1e-2, 0.16)])
def test_what_a_network_amplifies_by_itself_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tolerance: float, expected: float
) -> None:
    """Where torch itself is off by 1e-4 in float32, a limit of 1e-4 would refuse torch."""
    network = cancelling()
    exact = reference_outputs(network, double=True)

    def rounded(network: Network, double: bool = False, weights: Any = None) -> np.ndarray:
        return exact if double else exact + 1e-4 * np.abs(exact).max()

    monkeypatch.setattr(module, "reference_outputs", rounded)
    error, allowed = parity(network, exact + 0.05 * np.abs(exact).max(), tolerance)
    assert error == pytest.approx(0.05, rel=0.01)
    assert allowed == pytest.approx(expected, rel=0.01)


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
