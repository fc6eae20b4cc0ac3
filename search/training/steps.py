"""The common part of a search and a training run: one optimiser step, and their checks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from latbench.errors import LatbenchError, UsageError


def check_device(device: str) -> None:
    """Raises UsageError when torch cannot use ``device`` on this machine."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"torch cannot use the device {device!r} here; use 'cpu', or install a torch that "
            "supports it"
        ) from error


# Saves a quarter to a third of a step (2026-11-24).
LAYOUT = torch.channels_last


def prepare(module: nn.Module, device: str | torch.device) -> None:
    """Moves a module to a device in ``LAYOUT``, and its strided 1x1 convolutions out of harm's way.

    Such a convolution reads every s-th pixel; here it is given only those, which is the same. With
    several threads on a CPU, torch 2.13 writes outside its memory in its backward pass in that
    layout ("double free or corruption"; with 2 threads and 2 to 8 channels, on an AVX2 processor
    with one thread as well, 2026-11-30). An image of one channel is in both layouts at once
    and brings it about without being asked to.
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1) and conv.padding == (0, 0):
            _read_only_what_counts(conv)
    module.to(device=device, memory_format=LAYOUT)  # type: ignore[call-overload]


def _read_only_what_counts(conv: nn.Conv2d) -> None:
    down, across = conv.stride
    if (down, across) == (1, 1):
        return
    conv.stride = (1, 1)
    conv.register_forward_pre_hook(lambda _, inputs: (inputs[0][:, :, ::down, ::across],))


def check_finite(loss: Tensor, what: str) -> None:
    """Raises LatbenchError when a loss is not a number, before it spoils the parameters."""
    if not torch.isfinite(loss):
        raise LatbenchError(
            f"the {what} loss became {loss.item()}; lower the learning rate or the penalty's weight"
        )


def sgd(
    module: nn.Module, learning_rate: float, momentum: float, weight_decay: float,
    nesterov: bool = False, decay_vectors: bool = True,
) -> SGD:  # fmt: skip
    """Makes the optimiser of a module's weights: stochastic gradient descent.

    Args:
        module: The module.
        learning_rate: The first learning rate.
        momentum: The momentum.
        weight_decay: The weight decay.
        nesterov: Whether the momentum is Nesterov's.
        decay_vectors: Whether the weight decay is of tensors of one dimension as well.

    Returns:
        The optimiser.
    """
    parameters, groups = list(module.parameters()), list[dict[str, Any]]()
    if not decay_vectors:
        vectors = [p for p in parameters if p.ndim <= 1]
        parameters = [p for p in parameters if p.ndim > 1]
        groups = [{"params": vectors, "weight_decay": 0.0}]
    return SGD(
        [{"params": parameters}, *groups], learning_rate, momentum=momentum,
        weight_decay=weight_decay, nesterov=nesterov,
    )  # fmt: skip


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Sets the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def correct(logits: Tensor, labels: Tensor) -> int:
    """Counts the images that the logits classify as labelled."""
    return int((logits.argmax(dim=1) == labels).sum())
