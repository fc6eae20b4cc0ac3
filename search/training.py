"""Training a derived network from fresh weights, to know its accuracy.

DARTS' evaluation recipe (quark0/darts, cnn/train.py) without drop path and auxiliary head: SGD with
momentum, cosine learning rate, clipped gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from latbench.export.torch import NetworkModule
from latbench.network import Network
from latbench.search.config import TrainConfig
from latbench.search.data import ImageData, augment, batches
from latbench.search.precision import Caster
from latbench.search.rng import generator, seeded
from latbench.search.steps import (
    LAYOUT,
    check_device,
    check_finite,
    correct,
    prepare,
    set_learning_rate,
    sgd,
)
from latbench.weights import Weights


@dataclass(frozen=True)
class TrainEpoch:
    """One epoch: mean training loss (nats) and accuracy on the augmented images (fraction)."""

    epoch: int
    loss: float
    train_accuracy: float


@dataclass(frozen=True)
class TrainOutcome:
    """Accuracy on the test split after the last epoch (fraction), weights by the names of
    ``network.tensors()``, and one record an epoch."""

    test_accuracy: float
    weights: Weights
    history: tuple[TrainEpoch, ...]


def train(
    network: Network,
    data: ImageData,
    config: TrainConfig,
    progress: Callable[[TrainEpoch], None] | None = None,
) -> TrainOutcome:
    """Trains ``network`` from fresh weights; ``progress`` is called after every epoch.

    Deterministic given the seed (on a CPU with the same number of threads); torch's global
    generator is left as it was. The test split is looked at once, at the end.
    Raises UsageError when the data do not fit the network.
    """
    data.check_fits(network.input_shape, network.output_shape[1])
    check_device(config.device)
    module = seeded(config.seed, lambda: NetworkModule(network))
    prepare(module, config.device)
    caster = Caster(config.precision, config.device)
    optimizer = sgd(module, config.learning_rate, config.momentum, config.weight_decay)
    history = []
    for epoch in range(config.epochs):
        set_learning_rate(optimizer, config.rate(epoch))
        history.append(_run_epoch(module, optimizer, caster, data, config, epoch))
        if progress is not None:
            progress(history[-1])
    accuracy = evaluate(module, data, config.batch, config.device)
    return TrainOutcome(accuracy, module.weights(), tuple(history))


def _run_epoch(
    module: NetworkModule, optimizer: torch.optim.SGD, caster: Caster, data: ImageData,
    config: TrainConfig, epoch: int,
) -> TrainEpoch:  # fmt: skip
    module.train()
    stream = generator(config.seed, epoch)
    total, right, seen = 0.0, 0, 0
    for batch in batches(torch.arange(len(data.train_labels)), config.batch, stream):
        images = augment(data.train_images[batch], data, stream, config.cutout).to(config.device)
        labels = data.train_labels[batch].to(config.device)
        with caster.cast():
            logits = module(images.contiguous(memory_format=LAYOUT))
            loss = F.cross_entropy(logits, labels)
        check_finite(loss, "training")
        caster.step(loss, module, optimizer, config.gradient_clip)
        total, right = total + loss.item() * len(batch), right + correct(logits, labels)
        seen += len(batch)
    return TrainEpoch(epoch, total / seen, right / seen)


def evaluate(module: NetworkModule, data: ImageData, batch: int = 96, device: str = "cpu") -> float:
    """Accuracy on the test split (fraction), in eval mode, which the module is left in."""
    module.eval()
    right = 0
    with torch.no_grad():
        for images, labels in zip(
            torch.split(data.test_images, batch), torch.split(data.test_labels, batch), strict=True
        ):
            images = images.contiguous(memory_format=LAYOUT).to(device)
            right += correct(module(images), labels.to(device))
    return right / len(data.test_labels)
