"""The bi-level search: architecture parameters on one half of the images, weights on the other.

First-order DARTS (Liu et al., 2019, algorithm 1 with ξ = 0), for any relaxation: each step moves
the architecture parameters down the validation loss plus the latency penalty, and then the weights
down the training loss.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.optim import SGD, Adam

from latbench.errors import UsageError
from latbench.report.data import SearchEpoch
from latbench.search import checkpoint
from latbench.search.config import SearchConfig, cosine
from latbench.search.constraint import Constraint
from latbench.search.darts import DartsRelaxation
from latbench.search.data import ImageData, augment, batches, search_halves
from latbench.search.penalty import LatencyPenalty, check_penalty
from latbench.search.relaxation import Relaxation
from latbench.search.rng import generator, seeded
from latbench.search.steps import (
    check_device,
    check_finite,
    correct,
    prepare,
    set_learning_rate,
    sgd,
    weight_step,
)
from latbench.search.supernet import Supernet
from latbench.spaces import AnySpace
from latbench.spaces.darts import DartsSpace
from latbench.spaces.genotypes import Genotype

CHECKPOINT = "search.safetensors"
Progress = Callable[[SearchEpoch], None]


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found: the architecture, the final operation probabilities ``(2, 14, 8)``, and
    one record an epoch. ``resumed_from`` is the number of epochs that a checkpoint already had.
    ``met`` is whether the architecture keeps the target, as predicted; None without a target."""

    architecture: Genotype
    probabilities: npt.NDArray[np.float32]
    history: tuple[SearchEpoch, ...]
    resumed_from: int = 0
    met: bool | None = None


class _Search(NamedTuple):
    """All that a step touches."""

    space: DartsSpace
    data: ImageData
    config: SearchConfig
    penalty: LatencyPenalty | None
    constraint: Constraint | None
    relaxation: Relaxation
    supernet: Supernet
    weight_optimizer: SGD
    alpha_optimizer: Adam

    def save(self, path: Path, identity: dict[str, Any], history: Sequence[SearchEpoch]) -> None:
        """Writes the checkpoint."""
        tensors = checkpoint.collect(*self._owners())
        epochs = [_without_nan(dataclasses.asdict(epoch)) for epoch in history]
        checkpoint.write(path, tensors, {"identity": identity, "history": epochs})

    def load(self, path: Path, identity: dict[str, Any]) -> list[SearchEpoch]:
        """Takes up the checkpoint, if there is one; the epochs that it holds."""
        if not path.exists():
            return []
        tensors, values = checkpoint.read(path)
        checkpoint.check_identity(path, values["identity"], identity)
        checkpoint.restore(tensors, *self._owners())
        return [SearchEpoch(**_with_nan(epoch)) for epoch in values["history"]]

    def _owners(self) -> tuple[dict[str, torch.nn.Module], dict[str, torch.optim.Optimizer]]:
        modules = {"supernet": self.supernet, "relaxation": self.relaxation}
        if self.constraint is not None:
            modules["constraint"] = self.constraint
        return (
            modules,
            {"weights": self.weight_optimizer, "alpha": self.alpha_optimizer},
        )


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN (the expected cost of a search without a penalty)."""
    return {k: None if v != v else v for k, v in values.items()}


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return values | ({"expected": math.nan} if values["expected"] is None else {})


class _Streams(NamedTuple):
    """Generators of one epoch. They are apart, so that the images come in the same order whatever
    the penalty and the relaxation draw."""

    images: Generator
    relaxation: Generator
    penalty: Generator

    @staticmethod
    def of(seed: int, epoch: int) -> _Streams:
        return _Streams(*(generator(seed, 1 + epoch, stream) for stream in range(3)))


def search(
    space: AnySpace,
    data: ImageData,
    config: SearchConfig,
    penalty: LatencyPenalty | None = None,
    *,
    directory: Path | str,
    relaxation: Callable[[Generator], Relaxation] = DartsRelaxation,
    progress: Progress | None = None,
) -> SearchOutcome:
    """Searches an architecture of ``space``, which is the network that will be derived and built.

    The supernet takes its size from ``config`` and its input, classes and stem from ``space``.
    ``directory`` holds a checkpoint of every epoch; called again with the same arguments, an
    interrupted search goes on from it and ends as if it had not been interrupted (bit for bit on a
    CPU with the same number of threads). ``progress`` is called after every checkpoint. A penalty
    of weight 0 only reports the expected cost; with a target, what is found is the last derived
    architecture that kept it, if there was one. Torch's global generator is left as it was.

    Raises UsageError when the space is not DARTS, the data do not fit it, the penalty is not the
    one that ``config`` describes, or the checkpoint belongs to another search.
    """
    if not isinstance(space, DartsSpace):
        raise UsageError(f"a search needs the space 'darts', got {space.name!r}")
    data.check_fits(space.config.input_shape, space.config.classes)
    check_device(config.device)
    check_penalty(penalty, config.penalty_weight, config.target, config.penalty_samples)
    parts = _prepare(space, data, config, penalty, relaxation)
    identity = _identity(space, parts)
    path = Path(directory) / CHECKPOINT
    path.parent.mkdir(parents=True, exist_ok=True)
    history = parts.load(path, identity)
    resumed_from = len(history)
    for epoch in range(resumed_from, config.epochs):
        history.append(_run_epoch(parts, epoch))
        parts.save(path, identity, history)
        if progress is not None:
            progress(history[-1])
    found, met = parts.relaxation, None
    if parts.constraint is not None:
        found, met = parts.constraint.kept_or(parts.relaxation), parts.constraint.met
    probabilities = found.probabilities().cpu().numpy()
    return SearchOutcome(found.derive(), probabilities, tuple(history), resumed_from, met)


def _prepare(
    space: DartsSpace, data: ImageData, config: SearchConfig, penalty: LatencyPenalty | None,
    relaxation: Callable[[Generator], Relaxation],
) -> _Search:  # fmt: skip
    alphas = relaxation(generator(config.seed, 0)).to(config.device)
    proxy = replace(space.config, channels=config.channels, cells=config.cells, batch=1)
    supernet = seeded(config.seed, lambda: Supernet(proxy, alphas.edge))
    prepare(supernet, config.device)
    held = penalty is not None and penalty.target is not None
    return _Search(
        space, data, config, None if penalty is None else penalty.to(config.device),
        Constraint(alphas, config.alpha_learning_rate) if held else None, alphas, supernet,
        sgd(supernet, config.learning_rate, config.momentum, config.weight_decay),
        Adam(
            alphas.parameters(), config.alpha_learning_rate,
            (config.alpha_beta1, config.alpha_beta2), weight_decay=config.alpha_weight_decay,
        ),
    )  # fmt: skip


def _identity(space: DartsSpace, parts: _Search) -> dict[str, Any]:
    """What must be equal for a checkpoint to be taken up."""
    return {
        "config": dataclasses.asdict(parts.config),
        "space": space.identity(),
        "data": parts.data.fingerprint(),
        "relaxation": parts.relaxation.name,
        "penalty": None if parts.penalty is None else parts.penalty.fingerprint(),
    }


def _run_epoch(parts: _Search, epoch: int) -> SearchEpoch:
    """One pass over both halves. Accuracies are those of the steps' own batches, before each step.

    The weights never train on the half that gives the validation accuracy.
    """
    config, streams = parts.config, _Streams.of(parts.config.seed, epoch)
    rate = cosine(config.learning_rate, config.final_learning_rate, epoch, config.epochs)
    set_learning_rate(parts.weight_optimizer, rate)
    parts.supernet.train()
    trained, validated, images, others = 0, 0, 0, 0
    weight_half, alpha_half = search_halves(len(parts.data.train_labels), config.seed)
    for weight_batch, alpha_batch in zip(
        batches(weight_half, config.batch, streams.images),
        batches(alpha_half, config.batch, streams.images),
        strict=False,  # the halves may differ by one image
    ):
        frozen = epoch < config.warmup_epochs
        if parts.constraint is not None and not frozen:
            parts.constraint.observe(parts.relaxation, _derived_cost(parts)[1], epoch)
        validated += _alpha_step(parts, alpha_batch, streams, frozen)
        trained += _weight_step(parts, weight_batch, streams)
        images, others = images + len(weight_batch), others + len(alpha_batch)
    expected = math.nan
    if parts.penalty is not None:
        expected = parts.penalty.expected(parts.relaxation, streams.penalty)
    entropy = parts.relaxation.entropy()
    record = SearchEpoch(epoch, trained / images, validated / others, expected, entropy)
    if parts.constraint is None:
        return record
    derived, relative = _derived_cost(parts)
    parts.constraint.keep(parts.relaxation, relative, epoch)
    return replace(record, derived=derived, multiplier=parts.constraint.multiplier.item())


def _derived_cost(parts: _Search) -> tuple[float, float]:
    """Of what would be derived now, as ``LatencyPenalty.cost_of`` gives it."""
    assert parts.penalty is not None
    encoding = torch.from_numpy(parts.space.one_hot(parts.relaxation.derive()))
    return parts.penalty.cost_of(encoding.to(parts.config.device))


def _batch(parts: _Search, indices: Tensor, stream: Generator) -> tuple[Tensor, Tensor]:
    images = augment(parts.data.train_images[indices], parts.data, stream)
    labels = parts.data.train_labels[indices]
    return images.to(parts.config.device), labels.to(parts.config.device)


def _task_loss(
    supernet: Supernet, subgraphs: Sequence[Tensor], images: Tensor, labels: Tensor
) -> tuple[Tensor, int]:
    """Mean cross-entropy over the sub-graphs, and how many images their mean logits get right."""
    logits = torch.stack([supernet(images, weights) for weights in subgraphs])
    losses = [F.cross_entropy(one, labels) for one in logits]
    return torch.stack(losses).mean(), correct(logits.mean(dim=0), labels)


def _alpha_step(parts: _Search, indices: Tensor, streams: _Streams, frozen: bool) -> int:
    """Architecture parameters down the validation loss; number of images classified right."""
    images, labels = _batch(parts, indices, streams.images)
    subgraphs = parts.relaxation.subgraphs(streams.relaxation)
    if frozen:
        with torch.no_grad():
            return _task_loss(parts.supernet, subgraphs, images, labels)[1]
    loss, right = _task_loss(parts.supernet, subgraphs, images, labels)
    if parts.penalty is not None and (parts.penalty.weight > 0 or parts.constraint is not None):
        term = parts.penalty.term(parts.relaxation, streams.penalty, parts.constraint)
        loss = loss + term.loss
    check_finite(loss, "validation")
    alphas = list(parts.relaxation.parameters())
    # Not loss.backward(): the weights' gradients are not needed, and are half of the work.
    for alpha, gradient in zip(alphas, torch.autograd.grad(loss, alphas), strict=True):
        alpha.grad = gradient
    parts.alpha_optimizer.step()
    return right


def _weight_step(parts: _Search, indices: Tensor, streams: _Streams) -> int:
    """Weights down the training loss; number of images classified right."""
    images, labels = _batch(parts, indices, streams.images)
    subgraphs = [w.detach() for w in parts.relaxation.subgraphs(streams.relaxation)]
    loss, right = _task_loss(parts.supernet, subgraphs, images, labels)
    weight_step(loss, parts.supernet, parts.weight_optimizer, parts.config.gradient_clip)
    return right
