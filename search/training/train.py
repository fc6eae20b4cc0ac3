"""Training a derived network from fresh weights, to know its accuracy.

It is DARTS' evaluation recipe (quark0/darts, cnn/train.py): SGD with momentum, an annealed learning
rate, clipped gradients, and where the settings ask for them drop path and an auxiliary head.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from latbench.export.torch import NetworkModule, to_torch
from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.weights import Weights
from latbench.search import checkpoint
from latbench.search.config import TrainConfig
from latbench.search.images.images import ImageData, augment, batches
from latbench.search.rng import STREAMS, generator, seeded
from latbench.search.training.constraints import Constrained, Constraints
from latbench.search.training.mixed_precision import Caster
from latbench.search.training.steps import (
    LAYOUT,
    check_device,
    check_finite,
    correct,
    prepare,
    set_learning_rate,
    sgd,
)
from latbench.search.training.trainee import Trainee
from latbench.spaces.landmarks import Landmarks
from latbench.spaces.streams import Purpose

TRAINING_CHECKPOINT = "training.safetensors"


@dataclass(frozen=True)
class TrainEpoch:
    """One epoch: mean training loss (nats, the auxiliary head's share included) and accuracy on the
    augmented images (fraction)."""

    epoch: int
    loss: float
    train_accuracy: float


@dataclass(frozen=True)
class TrainOutcome:
    """The outcome of a training: accuracy on the test split after the last epoch (fraction),
    weights by the names of ``network.tensors()``, and one record an epoch."""

    test_accuracy: float
    weights: Weights
    history: tuple[TrainEpoch, ...]


class _Run(NamedTuple):
    """All that a training step touches."""

    trainee: Trainee
    data: ImageData
    config: TrainConfig
    optimizer: torch.optim.SGD
    caster: Caster
    constrained: Constrained
    start: str | None = None  # a digest of the weights that it started from, and of constraints

    def save(
        self, path: Path, identity: dict[str, Any], history: list[TrainEpoch], streams: int
    ) -> None:
        tensors = checkpoint.collect({"trainee": self.trainee}, {"weights": self.optimizer})
        values = {
            "identity": identity,
            "history": [dataclasses.asdict(epoch) for epoch in history],
            "scaler": self.caster.scaler.state_dict(),
            "streams": streams,
        }
        checkpoint.write(path, tensors, values)

    def load(self, path: Path, identity: dict[str, Any]) -> tuple[list[TrainEpoch], int]:
        """Returns what the checkpoint has seen, and with which version of the random streams."""
        if not path.exists():
            return [], STREAMS
        tensors, values = checkpoint.read(path)
        checkpoint.check_identity(path, values["identity"], identity)
        checkpoint.restore(tensors, {"trainee": self.trainee}, {"weights": self.optimizer})
        if self.caster.scaler.is_enabled():
            self.caster.scaler.load_state_dict(values["scaler"])
        return [TrainEpoch(**epoch) for epoch in values["history"]], values.get("streams", 1)


def train(
    network: Network,
    data: ImageData,
    config: TrainConfig,
    progress: Callable[[TrainEpoch], None] | None = None,
    *,
    landmarks: Landmarks | None = None,
    directory: Path | str | None = None,
    weights: Weights | None = None,
    constraints: Constraints | None = None,
) -> TrainOutcome:
    """Trains a network from fresh weights, or from given ones.

    It is deterministic given the seed (on a CPU with the same number of threads); torch's global
    generator is left as it was. The test split is looked at once, at the end.

    Args:
        network: The network.
        data: The images.
        config: The settings.
        progress: Called after every epoch.
        landmarks: The places for drop path and an auxiliary head, which need them
            (``SearchSpace.landmarks``).
        directory: The folder that takes a checkpoint of every epoch, from which the same call goes
            on.
        weights: The weights to start from, by the names of ``network.tensors()``; None for fresh
            ones.
        constraints: What the training has to keep; None for nothing.

    Returns:
        The accuracy, the weights and the course.

    Raises:
        UsageError: When the data do not fit the network, landmarks are missing, the weights are
            another network's, the checkpoint belongs to another training, or another one is at
            work in the directory.
    """
    data.check_fits(network.input_shape, network.output_shape[1])
    check_device(config.device)
    trainee = seeded(config.seed, lambda: Trainee(network, config, landmarks))
    if weights is not None:
        trainee.network.load_state_dict(to_torch(network, weights).state_dict())
    prepare(trainee, config.device)
    optimizer = sgd(
        trainee, config.learning_rate, config.momentum, config.weight_decay,
        decay_vectors=config.decay_vectors,
    )  # fmt: skip
    caster = Caster(config.precision, config.device)
    start = None if weights is None else Model("start", network, weights).digest
    if constraints is not None:
        start = f"{start} {constraints.identity}"
    constrained = Constrained(constraints or Constraints(), trainee.network, config.device)
    run = _Run(trainee, data, config, optimizer, caster, constrained, start)
    history = _all_epochs(run, directory, progress)
    accuracy = evaluate(trainee.network, data, config.batch, config.device)
    return TrainOutcome(accuracy, trainee.network.weights(), tuple(history))


def _identity(run: _Run) -> dict[str, Any]:
    layers = repr(run.trainee.network.network.layers).encode()
    identity = {
        "config": dataclasses.asdict(run.config),
        "data": run.data.fingerprint(),
        "network": hashlib.sha256(layers).hexdigest()[:16],
    }
    return identity if run.start is None else identity | {"start": run.start}


def _all_epochs(
    run: _Run, directory: Path | str | None, progress: Callable[[TrainEpoch], None] | None
) -> list[TrainEpoch]:
    if directory is None:
        return _epochs(run, [], STREAMS, lambda history: None, progress)
    path, identity = Path(directory) / TRAINING_CHECKPOINT, _identity(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with checkpoint.alone(path):
        history, streams = run.load(path, identity)
        return _epochs(
            run, history, streams, lambda h: run.save(path, identity, h, streams), progress
        )


def _epochs(
    run: _Run,
    history: list[TrainEpoch],
    streams: int,
    save: Callable[[list[TrainEpoch]], None],
    progress: Callable[[TrainEpoch], None] | None,
) -> list[TrainEpoch]:
    """The history with the epochs that it lacks; each is saved and then reported."""
    for epoch in range(len(history), run.config.epochs):
        history.append(_run_epoch(run, epoch, streams))
        save(history)
        if progress is not None:
            progress(history[-1])
    return history


def _run_epoch(run: _Run, epoch: int, version: int) -> TrainEpoch:
    config, data, trainee = run.config, run.data, run.trainee
    set_learning_rate(run.optimizer, config.rate(epoch))
    trainee.train()
    stream = generator(Purpose.TRAINING, config.seed, epoch, version=version)
    drops = generator(Purpose.TRAINING, config.seed, epoch, 1, version=version)
    trainee.begin_epoch(epoch, drops)
    total, right, seen = 0.0, 0, 0
    for batch in batches(torch.arange(len(data.train_labels)), config.batch, stream):
        images = augment(data.train_images[batch], data, stream, config.cutout).to(config.device)
        labels = data.train_labels[batch].to(config.device)
        with run.caster.cast():
            images = images.contiguous(memory_format=LAYOUT)
            loss, logits = trainee.loss(images, labels)
            loss = run.constrained.loss(loss, images, logits)
        check_finite(loss, "training")
        run.caster.step(loss, trainee, run.optimizer, config.gradient_clip)
        run.constrained.after_step()
        total, right = total + loss.item() * len(batch), right + correct(logits, labels)
        seen += len(batch)
    return TrainEpoch(epoch, total / seen, right / seen)


def evaluate(module: NetworkModule, data: ImageData, batch: int = 96, device: str = "cpu") -> float:
    """Measures the accuracy on the test split, in eval mode, which the module is left in.

    Args:
        module: The network.
        data: The images.
        batch: The number of images a batch.
        device: Torch's name of the device.

    Returns:
        The accuracy, a fraction.
    """
    module.eval()
    right = 0
    with torch.no_grad():
        for indices in torch.split(torch.arange(len(data.test_labels)), batch):
            images = data.test_images[indices].contiguous(memory_format=LAYOUT).to(device)
            right += correct(module(images), data.test_labels[indices].to(device))
    return right / len(data.test_labels)
