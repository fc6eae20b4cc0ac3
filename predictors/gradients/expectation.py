"""The expected cost of independent choices, which is exact where a predictor is a sum.

The mean over all networks of a sum over layers is the sum of what each layer costs times the odds
that it is there; the mean of an affine function of one-hot encodings is its value at the mean
encoding. A cost at the mean width or size is neither: a latency is a step function of both.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from latbench.predictors.gradients.expected_layers import OneHotToLayers
from latbench.predictors.gradients.modules import LinearLatency, OneHotTo


class Odds(NamedTuple):
    """The odds of choices that are made independently of each other.

    ``given (1, columns)`` are those of each option where its variable exists, ``one_hot (1, d)``
    the mean encoding of the networks.
    """

    given: Tensor
    one_hot: Tensor


def expected_cost(module: nn.Module, odds: Odds) -> Tensor | None:
    """Returns the expected value ``(1,)`` of a module of ``LatencyModel.as_module`` over the
    networks of the choices; None where only samples tell it.

    The bounds that a prediction is kept within are those of the mean.
    """
    if isinstance(module, OneHotToLayers):
        value: Tensor = module.inner(module.layers(odds.given))
        return value
    inner = module.inner if isinstance(module, OneHotTo) else module
    if isinstance(inner, LinearLatency):
        value = module(odds.one_hot)
        return value
    return None
