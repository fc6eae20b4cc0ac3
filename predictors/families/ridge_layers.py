"""Ridge on how much work a network is, of which operators and, where that fits better, of which
layers.

The totals (multiply-accumulates, bytes moved, layers) say most from ten rows on. The same sums over
the layers of one operator (``latbench.encodings.layers.layer_group``) say what a depthwise
convolution costs beyond a pointwise one, at any size: in a space of many widths and resolutions
hardly two networks share a layer. Larger layers are run more efficiently, so that sums of the
square roots of the work stand beside them. What each kind of layer costs beyond all that is learnt
as rows come in. The counts of all kinds together weigh as much in the penalty as one total: each is
scaled by one over the root of their number.

The rows tell two things, by the smaller leave-one-out error of fits of both. Whether the backend
runs every layer, as PyTorch eager does, or leaves out what an optimiser can
(``latbench.networks.optimisation``), as ONNX Runtime does; what is left out still has a count of
its own, since a fused layer is not free. And whether the kinds of layers are told apart at all: in
a space of thousands of kinds, tens of rows know hardly any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.encodings.layers import GROUPS, LAYER_FEATURES, unpack_layers
from latbench.errors import ParseError
from latbench.predictors.base import Floats
from latbench.predictors.families.ridge import Ridge
from latbench.predictors.safe_arrays import Arrays, take

if TYPE_CHECKING:
    import torch

OF_GROUP = 0.3  # how freely the sums of operators are used: the totals are what few rows tell best
# Of one operator: multiply-accumulates, bytes, layers, fused ones, and the roots of the first two.
SUMS = 6
TOTALS = 3 + SUMS * GROUPS
# Whether an optimiser leaves layers out, and whether kinds of layers are told apart.
CHOICES = ((False, True), (False, False), (True, True), (True, False))


class RidgeLayers(Ridge):
    """A ridge on the totals, the sums of each operator, and two counts for each distinct layer.

    The counts are those of the layers that run, and of the fusible ones. It is fitted as ``Ridge``.

    Fitted besides: ``optimised_``, whether repeated and fusible layers do not run on their own, and
    ``kinds_``, whether the counts are used.
    """

    name: ClassVar[str] = "ridge-layers"
    encoding: ClassVar[str] = "layers"
    sums_layers: ClassVar[bool] = True

    def _features(self, X: Floats) -> Floats:
        layers = unpack_layers(X)
        run = layers.run(self.optimised_)
        fused = layers.fusible * self.optimised_
        # Below 0, where no layer is, the roots are 0, as in the module.
        roots = [np.sqrt(np.maximum(part, 0)) for part in (layers.macs, layers.bytes_moved)]
        work = [
            run * layers.macs, run * layers.bytes_moved, run, fused,
            *(run * root for root in roots),
        ]  # fmt: skip
        totals = [part.sum(axis=1, keepdims=True) for part in work[:3]]
        of_group = np.eye(GROUPS)[layers.group[0].astype(int)]  # (slots, groups)
        return np.concatenate([*totals, *(part @ of_group for part in work), run, fused], axis=1)

    def _gains(self, features: int) -> Floats:
        count = 1 / np.sqrt(max(1, (features - TOTALS) // 2))
        gains = np.full(features, count if self.kinds_ else 0.0)
        gains[:3] = 1
        gains[3:TOTALS] = OF_GROUP
        return gains

    def _fit(self, X: Floats, y: Floats) -> None:
        errors = {}
        for self.optimised_, self.kinds_ in CHOICES:
            super()._fit(X, y)
            errors[self.optimised_, self.kinds_] = self.loo_error_
        best = min(CHOICES, key=errors.__getitem__)
        if best != (self.optimised_, self.kinds_):
            self.optimised_, self.kinds_ = best
            super()._fit(X, y)

    def _arrays(self) -> Arrays:
        chosen = np.array([float(self.optimised_), float(self.kinds_)])
        return super()._arrays() | {"optimised_kinds": chosen}

    def _restore(self, arrays: Arrays) -> int:
        optimised, kinds = take(arrays, "optimised_kinds", (2,), np.float64)
        self.optimised_, self.kinds_ = bool(optimised), bool(kinds)
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
