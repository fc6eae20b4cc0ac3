"""The accuracy of an architecture with the weights of a trained supernet: a one-shot score.

Bender et al., 2018 (ICML), and Guo et al., 2020 (https://arxiv.org/abs/1904.00420): the supernet
runs with weights of 0 and 1, so that each variable computes one option with the weights that were
trained for all architectures at once. It ranks architectures; it is not their accuracy.

Batch norms use the statistics of the batch at hand, or those that are gathered anew for each
architecture, from nothing, over some training images (as the second paper does). Their running
averages were gathered over mixtures of operations and fit no single architecture.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.search.baselines.searches import Score
from latbench.search.images.images import ImageData
from latbench.search.training.steps import LAYOUT, correct
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture


def one_shot_score(
    supernet: nn.Module, space: AnySpace, data: ImageData, indices: Tensor, batch: int = 250,
    calibration: Tensor | None = None,
) -> Score:  # fmt: skip
    """Returns a function from an architecture to its accuracy with the supernet's weights.

    The images go in fixed batches, because a batch is normalised as one, so the accuracy (a
    fraction) is the same every time.

    Args:
        supernet: A module ``supernet(images, weights) -> logits``, ``Supernet`` or alike; a copy is
            kept, on its device.
        space: The space of the architectures.
        data: The images.
        indices: Those of the training images to judge by: the half that the weights were not
            trained on (``search_halves``), 2 or more.
        batch: The number of images a batch, 2 or more.
        calibration: Those of the training images that batch norms gather their statistics over,
            2 or more; None leaves each batch its own.

    Returns:
        The function.

    Raises:
        UsageError: For fewer than two images or a batch below two.
    """
    if len(indices) < 2 or batch < 2 or (calibration is not None and len(calibration) < 2):
        raise UsageError(
            f"a one-shot score needs 2 images or more and batches of 2 or more, got {len(indices)} "
            f"and {batch}"
            + ("" if calibration is None else f", and {len(calibration)} to calibrate")
        )
    frozen = _with_batch_statistics(supernet)
    norms = [m for m in frozen.modules() if isinstance(m, nn.BatchNorm2d)]
    device = next(frozen.parameters()).device

    def split(of: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        # Near equal parts: a small last batch would be normalised by few images.
        for part in torch.tensor_split(of, -(-len(of) // batch)):
            images = data.train_images[part].to(device, memory_format=LAYOUT)
            yield images, data.train_labels[part].to(device)

    def score(architecture: Architecture) -> float:
        weights = torch.from_numpy(space.columns.weights([architecture.code])[0]).to(device)
        right = 0
        with torch.no_grad():
            if calibration is not None:
                _forget(norms, device)
                for images, _ in split(calibration):
                    frozen(images, weights)
                for norm in norms:
                    norm.eval()
            for images, labels in split(indices):
                right += correct(frozen(images, weights), labels)
        return right / len(indices)

    return score


def _forget(norms: Sequence[nn.BatchNorm2d], device: torch.device) -> None:
    """Makes batch norms gather the mean of their batches' statistics from nothing, those too that
    never had any."""
    for norm in norms:
        norm.train()
        norm.momentum, norm.track_running_stats = None, True
        if norm.running_mean is None:
            norm.running_mean = torch.zeros(norm.num_features, device=device)
            norm.running_var = torch.ones(norm.num_features, device=device)
            norm.num_batches_tracked = torch.zeros((), dtype=torch.long, device=device)
        norm.reset_running_stats()


def _with_batch_statistics(supernet: nn.Module) -> nn.Module:
    """A copy whose batch norms use each batch's own statistics, and learn nothing from them."""
    frozen = copy.deepcopy(supernet).train().requires_grad_(False)
    for module in frozen.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    return frozen
