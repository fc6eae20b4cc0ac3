"""Fitted predictors as frozen torch modules: vectors ``(m, d)`` to values ``(m,)``.

A value is in the unit of what the predictor was fitted on: seconds, bytes or joules.

All values are float32 buffers: a search moves them to its device and never trains them. Features
are centred before they are multiplied, so that float32 is enough for FLOPs of 10^8 and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


def _buffer(module: nn.Module, name: str, value: npt.ArrayLike) -> None:
    module.register_buffer(name, torch.from_numpy(np.array(value, dtype=np.float32)))


class LinearLatency(nn.Module):
    """A module ``(x - center) @ coef + intercept``, kept within ``bounds``."""

    center: Tensor
    coef: Tensor
    intercept: Tensor

    def __init__(
        self,
        center: npt.NDArray[np.float64],
        coef: npt.NDArray[np.float64],
        intercept: float,
        bounds: tuple[float, float],
    ) -> None:
        super().__init__()
        _buffer(self, "center", center)
        _buffer(self, "coef", coef)
        _buffer(self, "intercept", intercept)
        self.bounds = bounds

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for raw encodings ``(m, d)``."""
        return ((x.to(self.coef) - self.center) @ self.coef + self.intercept).clamp(*self.bounds)


class LogMlp(nn.Module):
    """A module ``exp(net((x - center) / scale) * spread + level)``, kept within ``bounds``.

    ``layers`` are weights ``(out, in)`` and biases ``(out,)``, ReLU between them.
    """

    center: Tensor

    def __init__(
        self,
        center: npt.NDArray[np.float32],
        scale: float,
        level: float,
        spread: float,
        layers: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
        bounds: tuple[float, float],
    ) -> None:
        super().__init__()
        self.scale, self.level, self.spread = scale, level, spread
        self.bounds = bounds
        self.depth = len(layers)
        _buffer(self, "center", center)
        for i, (weight, bias) in enumerate(layers):
            _buffer(self, f"weight{i}", weight)
            _buffer(self, f"bias{i}", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for raw encodings ``(m, d)``."""
        x = (x.to(self.center) - self.center) / self.scale
        for i in range(self.depth):
            x = nn.functional.linear(x, getattr(self, f"weight{i}"), getattr(self, f"bias{i}"))
            x = torch.relu(x) if i < self.depth - 1 else x
        low, high = (float(v) for v in np.log(self.bounds))
        return (x[:, 0] * self.spread + self.level).clamp(low, high).exp()


class OneHotTo(nn.Module):
    """A module that feeds ``one_hot @ matrix`` to one that reads another encoding."""

    matrix: Tensor

    def __init__(self, matrix: npt.NDArray[Any], inner: nn.Module) -> None:
        super().__init__()
        _buffer(self, "matrix", matrix)
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Returns values ``(m,)`` for one-hot encodings, or mixtures of them, ``(m, d)``."""
        out: Tensor = self.inner(x.to(self.matrix) @ self.matrix)
        return out
