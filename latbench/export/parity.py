"""The check that a runtime computes what torch computes: the one definition of "the same work".

An output may differ from torch's in float32 by a backend's tolerance, a share of the largest output
(``latbench.backends.precision``). What a network's own layers cancel, or a long chain of them adds
up, a tolerance cannot know, but torch can: in float32 against float64, on the same weights and
input, it shows what one rounding of everything does to the output. A runtime in float32 rounds as
often, in another order, so it is allowed ``ROUNDINGS`` times that. For a runtime that rounds to a
lower precision, torch is run in that very precision and held against float32, and
``COARSE_ROUNDINGS`` times that difference is allowed. In every precision it is the tolerance at
least, and never more than ``MOST`` times the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.networks.weights import Weights, make_input, make_weights

Rounding = Literal["float32", "tf32", "float16", "bfloat16"]

# How many times torch's own rounding error a runtime in float32 may be off. Rounding errors of two
# orders of summation are alike in size; the largest of a few outputs may be several times another
# largest one.
ROUNDINGS = 16
# The same of a lower precision. Torch rounds every layer's result, while a runtime may fuse layers
# or keep some in float32. Of 420 small networks of the spaces of chains (2026-11-30), autocast to
# bfloat16 on the CPU was beyond the tolerance in 35, there by up to 6.2 times what torch in
# bfloat16 was off itself.
COARSE_ROUNDINGS = 8
# How many times its tolerance a network may stretch it, whatever it amplifies. In bfloat16 that is
# 0.2 of the largest output: where one layer computes something else, most networks differ by more
# (tests/export/test_parity.py). Three of the 420 were off by more, by 0.33 at most, and are
# refused, since nothing tells such an output from another result. In float32, 16 times torch's own
# error was below the tolerance in each of 127 networks of all spaces.
MOST = 4
# The tolerances of the precisions, as shares of the largest output.
FLOAT32, FLOAT16, BFLOAT16 = 1e-4, 1e-2, 5e-2
# What torch is run in to see what a precision does to a network. No CPU has TF32; float16 has as
# many bits, and the range of healthy weights and activations.
_RUN_IN: Mapping[str, str] = MappingProxyType(
    {"float32": "float64", "tf32": "float16", "float16": "float16", "bfloat16": "bfloat16"}
)


def reference_outputs(
    network: Network, precision: str = "float32", weights: Weights | None = None
) -> npt.NDArray[np.floating]:
    """Computes a network with torch and its own input.

    Args:
        network: The network.
        precision: What its input, weights and every layer's result are rounded to: ``"float32"``,
            ``"float64"``, ``"float16"`` or ``"bfloat16"``.
        weights: The network's weights; ``make_weights(network)`` by default.

    Returns:
        The output, float64 where it was computed so, else float32.
    """
    import torch

    from latbench.export.torch import run_layers

    dtype = getattr(torch, precision)
    x = torch.from_numpy(make_input(network)).to(dtype)
    used = make_weights(network) if weights is None else weights
    y = run_layers(network, used, x)
    array: npt.NDArray[np.floating] = (y if dtype == torch.float64 else y.float()).numpy()
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
    rounding: Rounding = "float32",
) -> tuple[float, float]:
    """Returns how far an output lies from torch's and how far it may.

    Only where the tolerance is passed does it cost a second run.

    Args:
        network: The network.
        got: What a runtime gave, of ``network.output_shape``.
        tolerance: The backend's tolerance, a share of the largest output.
        weights: The network's weights; ``make_weights(network)`` by default.
        rounding: The precision that the runtime rounds to.

    Returns:
        The difference and what is allowed, as shares of the largest output.

    Raises:
        UsageError: For another precision.
    """
    if rounding not in _RUN_IN:
        raise UsageError(f"rounding must be one of {', '.join(_RUN_IN)}, got {rounding!r}")
    expected = reference_outputs(network, weights=weights)
    error = relative_error(got, expected)
    # Where torch gives no numbers either, nothing was compared, and nothing is allowed.
    if error <= tolerance or not math.isfinite(error):
        return error, tolerance
    most = ROUNDINGS if rounding == "float32" else COARSE_ROUNDINGS
    allowed = most * _own_error(network, expected, weights, rounding)
    return error, max(tolerance, min(allowed, MOST * tolerance))


def _own_error(
    network: Network,
    expected: npt.NDArray[np.floating],
    weights: Weights | None,
    rounding: Rounding,
) -> float:
    """How far torch itself is off by such a rounding; 0 where it cannot say: where the output
    leaves the precision's range, or a layer kind from outside cannot run in it."""
    try:
        other = reference_outputs(network, _RUN_IN[rounding], weights)
    except RuntimeError:
        return 0.0
    error = relative_error(other, expected)
    return error if math.isfinite(error) else 0.0
