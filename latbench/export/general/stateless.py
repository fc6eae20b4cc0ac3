"""A torch module of a function alone, which most layers without weights are."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Stateless(nn.Module):
    """A module that computes a function, and has no weights; ``label`` is what its repr says."""

    def __init__(self, function: Callable[..., Tensor], label: str) -> None:
        super().__init__()
        self.function, self.label = function, label

    def forward(self, *inputs: Tensor) -> Tensor:
        """Computes the function."""
        return self.function(*inputs)

    def extra_repr(self) -> str:
        """Returns the label."""
        return self.label
