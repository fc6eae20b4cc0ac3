"""The bi-level search: architecture parameters on one half of the images, weights on the other.

DARTS (Liu et al., 2019, algorithm 1) for any relaxation and any space that can be searched: each
step moves the architecture parameters down the validation loss plus the latency penalty, and then
the weights down the training loss. First order (ξ = 0), or second (``darts-2nd``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.func import functional_call
from torch.optim import Adam

from latbench.results import SearchEpoch
from latbench.search import checkpoint
from latbench.search.config import CHECKPOINT, SearchConfig, check_settings
from latbench.search.constraint import Constraint
from latbench.search.images.images import ImageData, augment, batches, search_halves
from latbench.search.penalty import LatencyPenalty, check_penalty
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.rng import generator, seeded
from latbench.search.search_state import SearchState, Streams
from latbench.search.second_order import Ahead
from latbench.search.supernets.searchable import make_relaxation, make_supernet
from latbench.search.tensorboard import tensorboard_log
from latbench.search.training.mixed_precision import Caster
from latbench.search.training.steps import (
    check_device,
    check_finite,
    correct,
    prepare,
    set_learning_rate,
    sgd,
)
from latbench.spaces import AnySpace
from latbench.spaces.streams import Purpose

__all__ = ["CHECKPOINT", "Progress", "SearchOutcome", "search"]

Progress = Callable[[SearchEpoch], None]


@dataclass(frozen=True)
class SearchOutcome:
    """The outcome of a search.

    It has the architecture, the final odds of each variable's options (those of its absence first)
    by its name, one record an epoch, and the architecture parameters after every epoch,
    ``(epochs, *shape)`` by name.
    ``resumed_from`` is the number of epochs that a checkpoint already had. ``met`` is whether the
    architecture keeps the target, as predicted; None without a target.
    """

    architecture: Any
    probabilities: Mapping[str, npt.NDArray[np.float32]]
    history: tuple[SearchEpoch, ...]
    course: Mapping[str, npt.NDArray[np.float32]]
    resumed_from: int = 0
    met: bool | None = None


def search(
    space: AnySpace,
    data: ImageData,
    config: SearchConfig,
    penalty: LatencyPenalty | None = None,
    *,
    directory: Path | str,
    relaxation: Callable[[Generator], Relaxation] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    progress: Progress | None = None,
    stepped: Callable[[float], None] | None = None,
    log_dir: Path | str | None = None,
) -> SearchOutcome:
    """Searches an architecture of a space, which is the network that will be derived and built.

    Called again with the same arguments, an interrupted search goes on from its last checkpoint and
    ends as if it had not been interrupted (bit for bit on a CPU with the same number of threads).
    Torch's global generator is left as it was.

    Args:
        space: The space, which gives the supernet its input, classes and stem.
        data: The images.
        config: The settings, which give the supernet its size.
        penalty: What is paid for. One of weight 0 only reports the expected cost; with a target,
            what is found is the last derived architecture that kept it, if there was one after the
            warm-up.
        directory: The folder that takes a checkpoint of every epoch.
        relaxation: Makes the relaxation instead of ``config.method``.
        weights: The weights that the supernet starts from, such as those of ``read_supernet``.
        progress: Called after every checkpoint with the epoch.
        stepped: Called after every step with the epochs done, a fraction.
        log_dir: The folder that takes logs for TensorBoard.

    Returns:
        What the search found.

    Raises:
        UsageError: When the space cannot be searched or not by the method, the data or weights do
            not fit it, the penalty is not the one that ``config`` describes, the checkpoint belongs
            to another search, or another search is at work in the directory.
    """
    check_settings(space.name, config)
    data.check_fits(space.config.input_shape, space.config.classes)
    check_device(config.device)
    check_penalty(penalty, config.penalty_weight, config.target, config.penalty_samples)
    parts = _prepare(space, data, config, penalty, relaxation)
    identity = parts.identity()
    if weights is not None:
        identity["weights"] = parts.start_from(weights)
    path = Path(directory) / CHECKPOINT
    path.parent.mkdir(parents=True, exist_ok=True)
    with checkpoint.alone(path), ExitStack() as opened:
        course = parts.load(path, identity)
        parts = parts._replace(streams=course.streams)
        resumed_from = len(course.epochs)
        log = opened.enter_context(tensorboard_log(log_dir, resumed_from))
        for epoch in range(resumed_from, config.epochs):
            course.add(_run_epoch(parts, epoch, stepped), parts.relaxation)
            parts.save(path, identity, course)
            log(course.epochs[-1], parts.relaxation)
            if progress is not None:
                progress(course.epochs[-1])
    found, met = parts.relaxation, None
    if parts.constraint is not None:
        found, met = parts.constraint.kept_or(parts.relaxation), parts.constraint.met
    return SearchOutcome(
        found.derive(), {n: p.cpu().numpy() for n, p in found.probabilities().items()},
        tuple(course.epochs),
        course.arrays(), resumed_from, met,
    )  # fmt: skip


def _prepare(
    space: AnySpace, data: ImageData, config: SearchConfig, penalty: LatencyPenalty | None,
    relaxation: Callable[[Generator], Relaxation] | None,
) -> SearchState:  # fmt: skip
    stream = generator(Purpose.SEARCH, config.seed, 0)
    made = make_relaxation(space, config, stream) if relaxation is None else relaxation(stream)
    alphas = made.to(config.device)
    supernet = seeded(config.seed, lambda: make_supernet(space, config, alphas))
    prepare(supernet, config.device)
    held = penalty is not None and penalty.target is not None
    return SearchState(
        space, data, config, None if penalty is None else penalty.to(config.device),
        Constraint(alphas, config.alpha_learning_rate, config.warmup_epochs) if held else None,
        alphas, supernet,
        sgd(
            supernet, config.learning_rate, config.momentum, config.weight_decay, config.nesterov
        ),
        Adam(
            alphas.parameters(), config.alpha_learning_rate,
            (config.alpha_beta1, config.alpha_beta2), weight_decay=config.alpha_weight_decay,
        ),
        Caster(config.precision, config.device),
    )  # fmt: skip


def _run_epoch(
    parts: SearchState, epoch: int, stepped: Callable[[float], None] | None
) -> SearchEpoch:
    """One pass over both halves. Accuracies are those of the steps' own batches, before each step.

    The weights never train on the half that gives the validation accuracy.
    """
    config, streams = parts.config, Streams.of(parts.config.seed, epoch, parts.streams)
    set_learning_rate(parts.weight_optimizer, config.rate(epoch))
    parts.supernet.train()
    parts.relaxation.begin_epoch(epoch, config.epochs)
    trained, validated, images, others = 0, 0, 0, 0
    weight_half, alpha_half = search_halves(len(parts.data.train_labels), config.seed)
    for weight_batch, alpha_batch in zip(
        batches(weight_half, config.batch, streams.images),
        batches(alpha_half, config.batch, streams.images),
        strict=False,  # the halves may differ by one image
    ):
        validation = _batch(parts, alpha_batch, streams.images)
        training = _batch(parts, weight_batch, streams.images)
        frozen = config.rests(epoch)
        if parts.constraint is not None and not frozen:
            moved = images > 0 or epoch > config.warmup_epochs
            parts.constraint.observe(parts.relaxation, parts.derived_cost()[1], epoch, moved)
        validated += _alpha_step(parts, validation, training, streams, frozen)
        trained += _weight_step(parts, training, streams)
        images, others = images + len(weight_batch), others + len(alpha_batch)
        if stepped is not None:
            stepped(epoch + images / len(weight_half))
    expected = math.nan
    if parts.penalty is not None:
        expected = parts.penalty.expected(parts.relaxation, streams.penalty)
    record = SearchEpoch(
        epoch, trained / images, validated / others, expected, parts.relaxation.entropy(),
        architecture=str(parts.relaxation.derive()),
    )  # fmt: skip
    if parts.constraint is None:
        return record
    derived, relative = parts.derived_cost()
    parts.constraint.keep(parts.relaxation, relative, epoch)
    return replace(record, derived=derived, multiplier=parts.constraint.multiplier.item())


class _Batch(NamedTuple):
    images: Tensor
    labels: Tensor


def _batch(parts: SearchState, indices: Tensor, stream: Generator) -> _Batch:
    images = augment(parts.data.train_images[indices], parts.data, stream)
    labels = parts.data.train_labels[indices]
    return _Batch(images.to(parts.config.device), labels.to(parts.config.device))


def _task_loss(
    parts: SearchState, subgraphs: Sequence[Tensor], batch: _Batch,
    weights: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, int]:  # fmt: skip
    """Mean cross-entropy over the sub-graphs, and how many images their mean logits get right.

    ``weights`` stand in for the supernet's own.
    """
    own = {} if weights is None else dict(weights)
    with parts.caster.cast():
        each = [functional_call(parts.supernet, own, (batch.images, w)) for w in subgraphs]
        losses = [F.cross_entropy(one, batch.labels) for one in each]
    return torch.stack(losses).mean(), correct(torch.stack(each).mean(dim=0), batch.labels)


def _alpha_step(
    parts: SearchState, validation: _Batch, training: _Batch, streams: Streams, frozen: bool
) -> int:
    """Architecture parameters down the validation loss; number of images classified right."""
    subgraphs = parts.relaxation.subgraphs(streams.relaxation)
    if frozen:
        with torch.no_grad():
            return _task_loss(parts, subgraphs, validation)[1]
    ahead = None
    if parts.config.method == "darts-2nd":
        ahead = _one_step_ahead(parts, training, streams)
    loss, right = _task_loss(parts, subgraphs, validation, ahead and ahead.weights)
    if parts.penalty is not None and (parts.penalty.weight > 0 or parts.constraint is not None):
        term = parts.penalty.term(parts.relaxation, streams.penalty, parts.constraint)
        loss = loss + term.loss
    check_finite(loss, "validation")
    alphas = list(parts.relaxation.parameters())
    # Not loss.backward(): the weights' gradients are not needed, and are half of the work
    # (2026-11-24).
    gradients = (ahead or parts.caster).gradients(loss, alphas)
    for alpha, gradient in zip(alphas, gradients, strict=True):
        alpha.grad = gradient
    parts.alpha_optimizer.step()
    return right


def _one_step_ahead(parts: SearchState, training: _Batch, streams: Streams) -> Ahead:
    """The weights after the step on ``training`` that comes next."""

    def loss(weights: Mapping[str, Tensor]) -> Tensor:
        subgraphs = parts.relaxation.subgraphs(streams.relaxation)
        return _task_loss(parts, subgraphs, training, weights)[0]

    return Ahead.of(parts.supernet, loss, parts.weight_optimizer)


def _weight_step(parts: SearchState, batch: _Batch, streams: Streams) -> int:
    """Weights down the training loss; number of images classified right."""
    subgraphs = [w.detach() for w in parts.relaxation.subgraphs(streams.relaxation)]
    loss, right = _task_loss(parts, subgraphs, batch)
    check_finite(loss, "training")
    parts.caster.step(loss, parts.supernet, parts.weight_optimizer, parts.config.gradient_clip)
    return right
