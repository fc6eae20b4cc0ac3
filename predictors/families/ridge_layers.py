"""Ridge on how much work a network is and, more weakly, on how often it has each distinct layer.

The totals (multiply-accumulates, bytes moved, layers) say most from ten rows on; what each kind of
layer costs beyond them is learnt as rows come in. The counts of all kinds together weigh as much in
the penalty as one total: each is scaled by one over the root of their number.

Whether the backend runs every layer, as PyTorch eager does, or leaves out what an optimiser can
(``latbench.networks.optimisation``), as ONNX Runtime does, the rows tell: both are fitted, and the
one with the smaller leave-one-out error is kept. What is left out still has a count of its own,
since a fused layer is not free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.encodings.layers import LAYER_FEATURES, unpack_layers
from latbench.errors import ParseError
from latbench.predictors.base import Floats
from latbench.predictors.families.ridge import Ridge
from latbench.predictors.safe_arrays import Arrays, take

if TYPE_CHECKING:
    import torch

TOTALS = 3


class RidgeLayers(Ridge):
    """A ridge on the totals and then two counts for each distinct layer.

    The counts are those of the layers that run, and of the fusible ones. It is fitted as ``Ridge``.

    Fitted besides: ``optimised_``, whether repeated and fusible layers do not run on their own.
    """

    name: ClassVar[str] = "ridge-layers"
    encoding: ClassVar[str] = "layers"

    def _features(self, X: Floats) -> Floats:
        layers = unpack_layers(X)
        run = layers.run(self.optimised_)
        totals = [
            (run * layers.macs).sum(axis=1), (run * layers.bytes_moved).sum(axis=1),
            run.sum(axis=1),
        ]  # fmt: skip
        fused = layers.fusible * self.optimised_
        return np.concatenate([np.stack(totals, axis=1), run, fused], axis=1)

    def _gains(self, features: int) -> Floats:
        gains = np.full(features, 1 / np.sqrt(max(1, (features - TOTALS) // 2)))
        gains[:TOTALS] = 1
        return gains

    def _fit(self, X: Floats, y: Floats) -> None:
        self.optimised_ = False
        super()._fit(X, y)
        every_layer = self.loo_error_
        self.optimised_ = True
        super()._fit(X, y)
        if every_layer <= self.loo_error_:
            self.optimised_ = False
            super()._fit(X, y)

    def _arrays(self) -> Arrays:
        return super()._arrays() | {"optimised": np.array([float(self.optimised_)])}

    def _restore(self, arrays: Arrays) -> int:
        self.optimised_ = bool(take(arrays, "optimised", (1,), np.float64)[0])
        layers, rest = divmod(super()._restore(arrays) - TOTALS, 2)
        if layers < 1 or rest:
            raise ParseError("the saved ridge is not one on layers; save it again")
        return layers * len(LAYER_FEATURES)

    def as_module(self) -> torch.nn.Module:
        """Returns a module as the base class says.

        It is differentiable in counts, multiply-accumulates and bytes.
        """
        from latbench.predictors.gradients.layer_modules import TotalsAndCounts

        return TotalsAndCounts(super().as_module(), self.optimised_)
