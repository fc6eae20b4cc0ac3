"""Fitted predictors of the ``layers`` encoding as frozen torch modules, see ``modules``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from latbench.layer_encodings import LAYER_FEATURES


class TotalsAndCounts(nn.Module):
    """``linear`` of total multiply-accumulates, bytes and layers, and of each layer's count."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Values ``(m,)`` for raw encodings ``(m, d)``."""
        count, macs, moved = x.float().reshape(len(x), -1, len(LAYER_FEATURES)).unbind(-1)
        totals = [(count * macs).sum(1), (count * moved).sum(1), count.sum(1)]
        values: Tensor = self.linear(torch.cat([torch.stack(totals, 1), count], dim=1))
        return values


class RooflineLatency(nn.Module):
    """``sum of count * (max(a * macs, b * bytes) + c) + d``, kept within ``bounds``."""

    coefficients: Tensor

    def __init__(self, coefficients: npt.NDArray[np.float64], bounds: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("coefficients", torch.from_numpy(coefficients.astype(np.float32)))
        self.bounds = bounds

    def forward(self, x: Tensor) -> Tensor:
        """Values ``(m,)`` for raw encodings ``(m, d)``."""
        layers = x.to(self.coefficients).reshape(len(x), -1, len(LAYER_FEATURES))
        count, macs, moved = layers.unbind(-1)
        a, b, c, d = self.coefficients
        busy = torch.maximum(a * macs, b * moved) + c
        values: Tensor = (count * busy).sum(1) + d
        return values.clamp(*self.bounds)
