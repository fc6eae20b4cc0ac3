"""A lookup table: a network costs what its layers cost.

FBNet (Wu et al., 2019, https://arxiv.org/abs/1812.03443) and ProxylessNAS (Cai et al., 2019,
https://arxiv.org/abs/1812.00332) time every operation by itself and add up. ``measure_layers`` in
``latbench.campaign.layers`` times them; networks that were measured whole then fit

    y = scale * sum of table + overhead * layers + offset,    scale >= 0

because runtimes fuse layers, and because a layer that runs alone pays for a whole run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.errors import UsageError
from latbench.layer_encodings import LAYER_FEATURES, unpack_layers
from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.roofline import relative_nnls
from latbench.predictors.state import Arrays, take

if TYPE_CHECKING:
    import torch

MAX_TABLE = 100_000


def _counts(X: Floats) -> Floats:
    return np.asarray(unpack_layers(X)[..., 0])


class LookupTable(LatencyPredictor):
    """``table`` holds what each of the space's layers takes alone, in their order, in any unit.

    Without a table each layer's cost is fitted from the rows instead, non-negative: an additive
    model that needs about as many rows as the space has layers. Fitted: ``costs_`` (of each layer)
    and ``offset_``.
    """

    name: ClassVar[str] = "lookup"
    encoding: ClassVar[str] = "layers"

    def __init__(self, table: tuple[float, ...] = ()) -> None:
        self.table = table

    def check_params(self) -> None:
        """Raises UsageError unless ``table`` is a tuple of positive numbers."""
        if not isinstance(self.table, tuple) or len(self.table) > MAX_TABLE:
            raise UsageError(f"table must be a tuple of up to {MAX_TABLE:,} numbers")
        for value in self.table:
            check_number("a value of table", value, 1e-12, 1e12)

    def _fit(self, X: Floats, y: Floats) -> None:
        counts = _counts(X)
        one = np.ones((len(y), 1))
        if not self.table:
            x, _ = relative_nnls(np.hstack([counts, one]), y)
            self.costs_, self.offset_ = x[:-1], float(x[-1])
            return
        if len(self.table) != counts.shape[1]:
            raise UsageError(
                f"the table has {len(self.table)} layers, the space has {counts.shape[1]}; measure "
                "the layers of this space"
            )
        table = np.array(self.table)
        total, layers = counts @ table, counts.sum(axis=1)
        # Only the scale is kept from being negative: fusion makes the overhead so.
        A = np.column_stack([total, layers, -layers, one, -one])
        x, _ = relative_nnls(A, y)
        self.costs_ = x[0] * table + (x[1] - x[2])
        self.offset_ = float(x[3] - x[4])

    def _predict(self, X: Floats) -> Floats:
        return np.asarray(_counts(X) @ self.costs_ + self.offset_)

    def as_module(self) -> torch.nn.Module:
        """See the base class; linear in the counts."""
        from latbench.predictors.modules import LinearLatency

        self._require_fitted()
        coef = np.zeros((len(self.costs_), len(LAYER_FEATURES)))
        coef[:, 0] = self.costs_
        return LinearLatency(np.zeros(coef.size), coef.ravel(), self.offset_, self._bounds())

    def _arrays(self) -> Arrays:
        return {"costs": self.costs_, "offset": np.array([self.offset_])}

    def _restore(self, arrays: Arrays) -> int:
        self.costs_ = take(arrays, "costs", (None,), np.float64)
        self.offset_ = float(take(arrays, "offset", (1,), np.float64)[0])
        return len(self.costs_) * len(LAYER_FEATURES)
