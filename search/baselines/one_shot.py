"""The accuracy of an architecture with the weights of a trained supernet: a one-shot score.

Bender et al., 2018 (ICML), and Guo et al., 2020 (https://arxiv.org/abs/1904.00420): the supernet
runs with weights of 0 and 1, so that each variable computes one option with the weights that were
trained for all architectures at once. It ranks architectures; it is not their accuracy.

Batch norms use the statistics of the batch at hand. Their running averages were gathered over
mixtures of operations and fit no single architecture (the second paper gathers them anew for each
architecture, for the same reason).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.search.baselines.searches import Score
from latbench.search.images.images import ImageData
from latbench.search.training.steps import LAYOUT, correct
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture


def one_shot_score(
    supernet: nn.Module, space: AnySpace, data: ImageData, indices: Tensor, batch: int = 250
) -> Score:
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

    Returns:
        The function.

    Raises:
        UsageError: For fewer than two images or a batch below two.
    """
    if len(indices) < 2 or batch < 2:
        raise UsageError(
            f"a one-shot score needs 2 images or more and batches of 2 or more, got {len(indices)} "
            f"and {batch}"
        )
    frozen = _with_batch_statistics(supernet)
    device = next(frozen.parameters()).device
    # Near equal parts: a small last batch would be normalised by few images.
    parts = torch.tensor_split(indices, -(-len(indices) // batch))

    def score(architecture: Architecture) -> float:
        weights = torch.from_numpy(space.columns.weights([architecture.code])[0]).to(device)
        right = 0
        with torch.no_grad():
            for part in parts:
                images = data.train_images[part].to(device, memory_format=LAYOUT)
                right += correct(frozen(images, weights), data.train_labels[part].to(device))
        return right / len(indices)

    return score


def _with_batch_statistics(supernet: nn.Module) -> nn.Module:
    """A copy whose batch norms use each batch's own statistics, and learn nothing from them."""
    frozen = copy.deepcopy(supernet).train().requires_grad_(False)
    for module in frozen.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    return frozen
