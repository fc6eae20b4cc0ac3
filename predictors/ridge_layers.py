"""Ridge on how much work a network is and, more weakly, on how often it has each distinct layer.

The totals (multiply-accumulates, bytes moved, layers) say most from ten rows on; what each kind of
layer costs beyond them is learnt as rows come in. The counts of all kinds together weigh as much in
the penalty as one total: each is scaled by one over the root of their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.errors import ParseError
from latbench.layer_encodings import LAYER_FEATURES, unpack_layers
from latbench.predictors.base import Floats
from latbench.predictors.ridge import Ridge
from latbench.predictors.state import Arrays

if TYPE_CHECKING:
    import torch

TOTALS = 3


class RidgeLayers(Ridge):
    """Fitted as ``Ridge``, on the totals and then a count for each distinct layer."""

    name: ClassVar[str] = "ridge-layers"
    encoding: ClassVar[str] = "layers"

    def _features(self, X: Floats) -> Floats:
        count, macs, moved = np.moveaxis(unpack_layers(X), -1, 0)
        totals = [(count * macs).sum(axis=1), (count * moved).sum(axis=1), count.sum(axis=1)]
        return np.concatenate([np.stack(totals, axis=1), count], axis=1)

    def _gains(self, features: int) -> Floats:
        gains = np.full(features, 1 / np.sqrt(max(1, features - TOTALS)))
        gains[:TOTALS] = 1
        return gains

    def _restore(self, arrays: Arrays) -> int:
        layers = super()._restore(arrays) - TOTALS
        if layers < 1:
            raise ParseError("the saved ridge has no layer in it; save it again")
        return layers * len(LAYER_FEATURES)

    def as_module(self) -> torch.nn.Module:
        """See the base class; differentiable in counts, multiply-accumulates and bytes."""
        from latbench.predictors.layer_modules import TotalsAndCounts

        return TotalsAndCounts(super().as_module())
