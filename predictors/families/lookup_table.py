"""A lookup table: a network costs what its layers cost.

FBNet (Wu et al., 2019, https://arxiv.org/abs/1812.03443) and ProxylessNAS (Cai et al., 2019,
https://arxiv.org/abs/1812.00332) time every operation by itself and add up. ``measure_layers`` in
``latbench.campaign.layer_timing`` times them; networks that were measured whole then fit

    y = scale * sum of table + overhead * layers + offset,    scale >= 0

because runtimes fuse layers, and because a layer that runs alone pays for a whole run. Both is
tried: that every layer runs, and that those which an optimiser can save cost nothing
(``latbench.networks.optimisation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.encodings.layers import LAYER_FEATURES, unpack_layers
from latbench.errors import UsageError
from latbench.predictors.base import Floats, LatencyPredictor, check_number
from latbench.predictors.families.roofline import relative_nnls
from latbench.predictors.safe_arrays import Arrays, take

if TYPE_CHECKING:
    import torch

MAX_TABLE = 100_000
MOST = 1e15  # that is counted of a network


class LookupTable(LatencyPredictor):
    """A sum over a ``table`` of what each of the space's layers takes alone, in their order, in any
    unit.

    Without a table each layer's cost is fitted from the rows instead, non-negative: an additive
    model that needs about as many rows as the space has layers. Fitted: ``costs_`` (of each layer),
    ``offset_`` and ``optimised_``, whether repeated and fusible layers are free.
    """

    name: ClassVar[str] = "lookup"
    encoding: ClassVar[str] = "layers"
    sums_layers: ClassVar[bool] = True

    def __init__(self, table: tuple[float, ...] = ()) -> None:
        self.table = table

    @classmethod
    def exact(cls, costs: Floats) -> LookupTable:
        """Returns a table of which nothing was fitted: a network costs what its layers do,
        ``(slots,)``."""
        made = cls()
        made.costs_, made.offset_, made.optimised_ = costs, 0.0, False
        made.n_features_in_ = len(costs) * len(LAYER_FEATURES)
        made.range_ = np.array([1.0, MOST])
        return made

    def check_params(self) -> None:
        """Raises UsageError unless ``table`` is a tuple of positive numbers."""
        if not isinstance(self.table, tuple) or len(self.table) > MAX_TABLE:
            raise UsageError(f"table must be a tuple of up to {MAX_TABLE:,} numbers")
        for value in self.table:
            check_number("a value of table", value, 1e-12, 1e12)

    def _fit(self, X: Floats, y: Floats) -> None:
        layers = unpack_layers(X)
        slots = layers.counts.shape[1]
        if self.table and len(self.table) != slots:
            raise UsageError(
                f"the table has {len(self.table)} layers, the space has {slots}; measure the "
                "layers of this space"
            )
        fits = []
        for optimised in (False, True):
            error, costs, offset = self._costs(layers.run(optimised), y)
            fits.append((error, optimised, costs, offset))
        _, self.optimised_, self.costs_, self.offset_ = min(fits, key=lambda fit: fit[0])

    def _costs(self, run: Floats, y: Floats) -> tuple[float, Floats, float]:
        """The relative error with the costs of layers and of a run that fit best."""
        one = np.ones((len(y), 1))
        if not self.table:
            x, error = relative_nnls(np.hstack([run, one]), y)
            return error, x[:-1], float(x[-1])
        table = np.array(self.table)
        total, layers = run @ table, run.sum(axis=1)
        # Only the scale is kept from being negative: fusion makes the overhead so.
        x, error = relative_nnls(np.column_stack([total, layers, -layers, one, -one]), y)
        return error, x[0] * table + (x[1] - x[2]), float(x[3] - x[4])

    def _predict(self, X: Floats) -> Floats:
        return np.asarray(unpack_layers(X).run(self.optimised_) @ self.costs_ + self.offset_)

    def as_module(self) -> torch.nn.Module:
        """Returns a module with a gradient, as the base class says; it is linear in the counts."""
        from latbench.predictors.gradients.modules import LinearLatency

        self._require_fitted()
        coef = np.zeros((len(self.costs_), len(LAYER_FEATURES)))
        coef[:, LAYER_FEATURES.index("counts")] = self.costs_
        if self.optimised_:
            for saved in ("repeated", "fusible"):
                coef[:, LAYER_FEATURES.index(saved)] = -self.costs_
        return LinearLatency(np.zeros(coef.size), coef.ravel(), self.offset_, self._bounds())

    def _arrays(self) -> Arrays:
        numbers = np.array([self.offset_, float(self.optimised_)])
        return {"costs": self.costs_, "offset_optimised": numbers}

    def _restore(self, arrays: Arrays) -> int:
        self.costs_ = take(arrays, "costs", (None,), np.float64)
        offset, optimised = take(arrays, "offset_optimised", (2,), np.float64)
        self.offset_, self.optimised_ = float(offset), bool(optimised)
        return len(self.costs_) * len(LAYER_FEATURES)
