"""What a search and a training run share: one optimiser step, and their checks."""

from __future__ import annotations

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


def memory_format(device: str | torch.device) -> torch.memory_format:
    """The layout to train in on ``device``: channels last where that is safe.

    It saves a quarter to a third of a step. But with several threads on a CPU, torch 2.13 writes
    outside its memory in the backward pass of a 1x1 convolution of stride 2 in that layout ("double
    free or corruption"; seen with 2 threads, 15 images, 8 channels, 16 x 16).
    """
    on_cpu = torch.device(device).type == "cpu"
    unsafe = on_cpu and torch.get_num_threads() > 1
    return torch.contiguous_format if unsafe else torch.channels_last


def check_finite(loss: Tensor, what: str) -> None:
    """Raises LatbenchError when a loss is not a number, before it spoils the parameters."""
    if not torch.isfinite(loss):
        raise LatbenchError(
            f"the {what} loss became {loss.item()}; lower the learning rate or the penalty's weight"
        )


def sgd(module: nn.Module, learning_rate: float, momentum: float, weight_decay: float) -> SGD:
    """The optimiser of network weights."""
    return SGD(module.parameters(), learning_rate, momentum=momentum, weight_decay=weight_decay)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """For all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def weight_step(loss: Tensor, module: nn.Module, optimizer: Optimizer, clip: float) -> None:
    """One step of the weights, with the gradient's norm clipped to ``clip``."""
    check_finite(loss, "training")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimizer.step()


def correct(logits: Tensor, labels: Tensor) -> int:
    """How many images the logits classify as labelled."""
    return int((logits.argmax(dim=1) == labels).sum())
