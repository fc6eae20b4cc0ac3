"""Fitted predictors of the ``layers`` encoding as frozen torch modules, see ``modules``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from latbench.encodings.layers import GROUPS, LAYER_FEATURES


def _layers(x: Tensor, optimised: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns how many of each layer run, their work, and how many are fused; each
    ``(m, slots)``."""
    parts = x.reshape(len(x), -1, len(LAYER_FEATURES)).unbind(-1)
    count, macs, moved, repeated, fusible, _ = parts
    if not optimised:
        return count, macs, moved, torch.zeros_like(count)
    return count - repeated - fusible, macs, moved, fusible


def _root(x: Tensor) -> Tensor:
    """The square root, whose gradient at 0 is 0: a layer without work stays one."""
    return torch.where(x > 0, x.clamp_min(1e-3).sqrt(), 0)


class TotalsAndCounts(nn.Module):
    """A module that applies ``linear`` to total multiply-accumulates, bytes and layers, to those of
    each operator, and to each layer's counts, see ``RidgeLayers``."""

    def __init__(self, linear: nn.Module, optimised: bool) -> None:
        super().__init__()
        self.linear = linear
        self.optimised = optimised

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for raw encodings ``(m, d)``."""
        run, macs, moved, fused = _layers(x.float(), self.optimised)
        work = [run * macs, run * moved, run, fused, run * _root(macs), run * _root(moved)]
        totals = [part.sum(1, keepdim=True) for part in work[:3]]
        group = x.detach().reshape(len(x), -1, len(LAYER_FEATURES))[0, :, -1].long()
        none = run.new_zeros(len(x), GROUPS)
        of_groups = [none.index_add(1, group, part) for part in work]
        values: Tensor = self.linear(torch.cat([*totals, *of_groups, run, fused], dim=1))
        return values


class RooflineLatency(nn.Module):
    """A module ``sum of run * (max(a * macs, b * bytes) + c) + d``, kept within ``bounds``."""

    coefficients: Tensor

    def __init__(
        self, coefficients: npt.NDArray[np.float64], optimised: bool, bounds: tuple[float, float]
    ) -> None:
        super().__init__()
        self.optimised = optimised
        self.register_buffer("coefficients", torch.from_numpy(coefficients.astype(np.float32)))
        self.bounds = bounds

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for raw encodings ``(m, d)``."""
        run, macs, moved, _ = _layers(x.to(self.coefficients), self.optimised)
        a, b, c, d = self.coefficients
        busy = torch.maximum(a * macs, b * moved) + c
        values: Tensor = (run * busy).sum(1) + d
        return values.clamp(*self.bounds)
