"""The check that a runtime computes what torch computes: the one definition of "the same work".

An output may differ from torch's in float32 by a backend's tolerance, a share of the largest output
(``latbench.backends.precision``). What a network's own layers cancel, or a long chain of them adds
up, a tolerance cannot know. How much more it is, the network says itself: torch in float32 against
torch in float64, on the same weights and input, is what one rounding of everything does to its
output. A runtime in float32 rounds as often, in another order, so it is allowed ``ROUNDINGS`` times
that. One in a lower precision rounds a unit of that precision as often: in float32 the network's
error grows by the ratio of the two units, 8,192 for TF32 and float16 and 65,536 for bfloat16. It is
allowed ``COARSE_ROUNDINGS`` times that, but never more than ``MOST``, and always the tolerance.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from latbench.networks.network import Network
from latbench.networks.weights import Weights, make_input, make_weights

# How many times torch's own rounding error a runtime in float32 may be off. Rounding errors of two
# orders of summation are alike in size; the largest of a few outputs may be several times another
# largest one.
ROUNDINGS = 16
# The same of a lower precision, which rounds what it stores and adds up in float32 as torch does,
# so that less is left to the order. Measured with torch's bfloat16 on the CPU (2026-11-30), the
# error was 0.1 to 0.5 times the float32 error times the ratio of units in 18 networks of 1000
# outputs, of the spaces of chains at their published widths, and up to 3.2 times in 216 networks of
# 10 outputs.
COARSE_ROUNDINGS = 4
# What is off by half of the largest output is another result, whatever a network amplifies.
MOST = 0.5
# The tolerances of the precisions, as shares of the largest output.
FLOAT32, FLOAT16, BFLOAT16 = 1e-4, 1e-2, 5e-2
# The half of the gap behind 1, the most by which a value is rounded; TF32 has float16's bits.
_UNITS = {FLOAT32: 2.0**-24, FLOAT16: 2.0**-11, BFLOAT16: 2.0**-8}


def reference_outputs(
    network: Network, double: bool = False, weights: Weights | None = None
) -> npt.NDArray[np.floating]:
    """Computes a network with torch and its own input, in float32 or float64.

    ``weights`` default to ``make_weights(network)``.
    """
    import torch

    from latbench.export.torch import run_layers

    dtype = torch.float64 if double else torch.float32
    x = torch.from_numpy(make_input(network)).to(dtype)
    used = make_weights(network) if weights is None else weights
    array: npt.NDArray[np.floating] = run_layers(network, used, x).numpy()
    return array


def relative_error(got: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> float:
    """Returns the largest absolute difference over the largest absolute value; infinite where
    either has NaN or infinity."""
    if not (np.isfinite(got).all() and np.isfinite(expected).all()):
        return float("inf")
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(got - expected).max()) / scale


def parity(
    network: Network,
    got: npt.NDArray[np.floating],
    tolerance: float,
    weights: Weights | None = None,
) -> tuple[float, float]:
    """Returns how far an output lies from torch's and how far it may.

    Only where the tolerance is passed does it cost a second run, in float64.

    Args:
        network: The network.
        got: What a runtime gave, of ``network.output_shape``.
        tolerance: The backend's tolerance, a share of the largest output.
        weights: The network's weights; ``make_weights(network)`` by default.

    Returns:
        The difference and what is allowed, as shares of the largest output.
    """
    expected = reference_outputs(network, weights=weights)
    error = relative_error(got, expected)
    # Where torch gives no numbers either, nothing was compared, and nothing is allowed.
    if error <= tolerance or not math.isfinite(error):
        return error, tolerance
    own = relative_error(expected, reference_outputs(network, True, weights))
    return error, max(tolerance, min(MOST, own * _growth(tolerance)))


def _growth(tolerance: float) -> float:
    """How many times torch's own error in float32 is allowed; a tolerance is that of the coarsest
    precision whose own one is not above it."""
    coarse = [unit for limit, unit in _UNITS.items() if FLOAT32 < limit <= tolerance]
    return COARSE_ROUNDINGS * max(coarse) / _UNITS[FLOAT32] if coarse else ROUNDINGS
