"""The second-order step of DARTS (Liu et al., 2019, equations 7 and 8).

The architecture's gradient is taken at the weights one step ahead, w' = w - ξ dL_train/dw:

    dL_val(w', a)/da - ξ (dL_train(w+, a)/da - dL_train(w-, a)/da) / 2ε,   w± = w ± ε dL_val/dw'

with ε = 0.01 / ||dL_val/dw'||. As in the published code (quark0/darts, cnn/architect.py), ξ is the
weights' learning rate, and the step ahead has the weights' momentum and weight decay. There as here
it is the step of plain momentum: without their gradient clipping, and without Nesterov's momentum
where their optimiser has that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD

Weights = dict[str, Tensor]
# Training loss of this step's batch at given weights, differentiable by the architecture.
TrainingLoss = Callable[[Mapping[str, Tensor]], Tensor]

_RADIUS = 0.01


def _gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True)]


class Ahead(NamedTuple):
    """The weights one step ahead (``weights``), with what it takes for the gradient there."""

    now: Weights
    weights: Weights
    loss: TrainingLoss
    optimizer: SGD

    @staticmethod
    def of(module: nn.Module, loss: TrainingLoss, optimizer: SGD) -> Ahead:
        """Computes the weights after w - ξ (dL_train/dw + decay w + momentum buffer), none of it
        clipped.

        ξ, decay, momentum and the buffer are those of ``optimizer``, which is left as it is; its
        ``nesterov`` is not looked at.
        """
        now: Weights = dict(module.named_parameters())
        group = optimizer.param_groups[0]
        gradients = _gradients(loss(now), list(now.values()))
        ahead = {}
        with torch.no_grad():
            for (name, w), gradient in zip(now.items(), gradients, strict=True):
                step = gradient + group["weight_decay"] * w
                momentum = optimizer.state.get(w, {}).get("momentum_buffer")
                if momentum is not None:
                    step = step + group["momentum"] * momentum
                ahead[name] = (w - group["lr"] * step).requires_grad_()
        return Ahead(now, ahead, loss, optimizer)

    def gradients(self, validation_loss: Tensor, alphas: Sequence[Tensor]) -> list[Tensor]:
        """Computes the gradient above. ``validation_loss`` was computed at ``weights``.

        Whatever else it holds of the architecture alone (a latency penalty) is not affected.
        """
        found = _gradients(validation_loss, [*alphas, *self.weights.values()])
        direct, vector = found[: len(alphas)], found[len(alphas) :]
        length = torch.sqrt(torch.stack([v.square().sum() for v in vector]).sum())
        epsilon = _RADIUS / float(length.clamp_min(1e-12))
        rate = self.optimizer.param_groups[0]["lr"]
        both = zip(
            direct, self._moved(alphas, vector, epsilon), self._moved(alphas, vector, -epsilon),
            strict=True,
        )  # fmt: skip
        return [g - rate * (plus - minus) / (2 * epsilon) for g, plus, minus in both]

    def _moved(self, alphas: Sequence[Tensor], vector: Sequence[Tensor], by: float) -> list[Tensor]:
        """The training loss' gradient, the weights moved along ``vector``."""
        with torch.no_grad():
            pairs = zip(self.now.items(), vector, strict=True)
            moved = {name: w + by * v for (name, w), v in pairs}
        return _gradients(self.loss(moved), alphas)
