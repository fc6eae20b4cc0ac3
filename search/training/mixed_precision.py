"""Mixed precision: what the supernet or the network is run in (torch.amp, automatic casts).

Weights, their gradients and the optimisers stay float32, and so do losses. float16 has too small a
range for gradients, so that its losses are scaled up and the gradients down again; bfloat16 has
float32's range and needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from latbench.search.config import Precision

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Caster:
    """A caster: it casts and scales for one run on a device, as ``precision`` says."""

    def __init__(self, precision: Precision, device: str) -> None:
        self.kind = device.partition(":")[0]
        self.dtype = _TYPES[precision]
        self.scaler = GradScaler(self.kind, enabled=precision == "float16")

    def cast(self) -> torch.autocast:
        """Returns the context of a forward pass and its loss."""
        return torch.autocast(self.kind, self.dtype, enabled=self.dtype != torch.float32)

    def gradients(self, loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Returns the loss' gradient by ``tensors`` alone, with the last scale of ``step``.

        One that overflowed is zero.
        """
        if not loss.requires_grad:  # a path on which nothing was chosen
            return [torch.zeros_like(tensor) for tensor in tensors]
        scaled = torch.autograd.grad(
            self.scaler.scale(loss), tensors, allow_unused=True, materialize_grads=True
        )
        if not self.scaler.is_enabled():
            return list(scaled)
        found = [gradient / self.scaler.get_scale() for gradient in scaled]
        finite = all(bool(torch.isfinite(gradient).all()) for gradient in found)
        return found if finite else [torch.zeros_like(gradient) for gradient in found]

    def step(self, loss: Tensor, module: nn.Module, optimizer: Optimizer, clip: float) -> None:
        """Takes one step of a module's weights.

        Args:
            loss: The loss of the batch.
            module: The module.
            optimizer: The optimiser of its weights.
            clip: The largest norm of the gradient, see ``move``.
        """
        optimizer.zero_grad()
        self.backward(loss)
        self.move(module, optimizer, clip)

    def backward(self, loss: Tensor) -> None:
        """Adds a loss' gradient, scaled, to what the weights have of this step already."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def move(self, module: nn.Module, optimizer: Optimizer, clip: float) -> None:
        """Moves a module's weights by the gradient that they have.

        A step whose gradient overflowed is left out, and the scale lowered.

        Args:
            module: The module.
            optimizer: The optimiser of its weights.
            clip: The largest norm of the gradient; a larger one is clipped to it.
        """
        self.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(module.parameters(), clip)
        self.scaler.step(optimizer)
        self.scaler.update()
