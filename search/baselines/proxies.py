"""Scores of an architecture without any training, from its network at fresh weights.

They are for ranking alone, and only against each other on the same images, seed and configuration.
What they are worth on NAS-Bench-201 is in benchmarks/README.md (``search_nb201.py``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.export.torch import NetworkModule
from latbench.networks.network import Network
from latbench.search.rng import seeded

# Whose output is above zero where their input is.
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)


def naswot(network: Network, images: Tensor, seed: int = 0) -> float:
    """Scores how differently the network's rectifiers see ``images (N, C, H, W)``: NASWOT.

    The score is the log-determinant of the N x N matrix that counts, for two images, the rectifiers
    that are in the same state for both (Mellor et al., 2021, https://arxiv.org/abs/2006.04647,
    equations 1 and 2, summed over layers). Smooth rectifiers are on, too, where their input is
    above zero, which is ours. Batch norms use the batch's statistics. It is -inf when
    two images look the same to all of them. Raises UsageError for fewer than two images.
    """
    if len(images) < 2:
        raise UsageError(f"NASWOT needs 2 images or more, got {len(images)}")
    module = seeded(seed, lambda: NetworkModule(network)).train()
    kernel = torch.zeros(len(images), len(images))

    def add(_: nn.Module, __: Any, output: Tensor) -> None:
        on = (output > 0).flatten(1).float()
        off = 1 - on
        kernel.add_(on @ on.T + off @ off.T)

    for layer in module.modules():
        if isinstance(layer, RECTIFIERS):
            layer.register_forward_hook(add)
    with torch.no_grad():
        module(images)
    sign, logarithm = np.linalg.slogdet(kernel.double().numpy())
    return float(logarithm) if sign > 0 and math.isfinite(logarithm) else -math.inf


def synflow(network: Network, seed: int = 0) -> float:
    """Returns the logarithm of the network's synaptic flow, from no image at all: SynFlow.

    With all weights made positive and an image of ones, R is the sum of the outputs; the flow is
    the sum over weights of ``weight * dR / dweight`` (Tanaka et al., 2020,
    https://arxiv.org/abs/2006.05467, equation 1), as a score of architectures (Abdelfattah et al.,
    2021, https://arxiv.org/abs/2101.08134). Batch norms pass their input on. It is in float64,
    since the flow grows with the product of all layers. It is -inf when nothing flows.
    """
    module = seeded(seed, lambda: NetworkModule(network)).double().eval()
    weights = list(module.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.abs_()
    image = torch.ones((1, *network.input_shape[1:]), dtype=torch.float64)
    gradients = torch.autograd.grad(module(image).sum(), weights, allow_unused=True)
    flow = sum(
        float((weight.detach() * gradient).sum())
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )
    return math.log(flow) if flow > 0 else -math.inf
