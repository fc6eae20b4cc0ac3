"""Training the weights of a supernet by the paths of a relaxation: what every search does.

A path is a vector of the supernet's weights: one operation an edge, or a mixture of all. A method
without architecture parameters does nothing else (``weights_epoch``); the bi-level search puts a
step of its own before every one of these (``latbench.search.bilevel``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.func import functional_call

from latbench.results import SearchEpoch
from latbench.search.images.images import augment, batches, search_halves
from latbench.search.relaxations.relaxation import Teacher
from latbench.search.rng import generator
from latbench.search.search_state import SearchState, Streams
from latbench.search.supernets.dropblock import no_dropblock, set_dropblock
from latbench.search.training.steps import check_finite, correct, set_learning_rate
from latbench.spaces.streams import Purpose

# Images that the validation accuracy is measured on where no step measures it: it shows that the
# weights learn, with a standard error of 1.6 % points at most.
VALIDATED = 1_000
# Called after every step with the epochs done, a fraction.
Stepped = Callable[[float], None]


class StepBatch(NamedTuple):
    """The images ``(n, C, H, W)`` and labels ``(n,)`` of one step, on its device."""

    images: Tensor
    labels: Tensor


def draw_batch(parts: SearchState, indices: Tensor, stream: Generator) -> StepBatch:
    """Returns training images by their numbers, augmented."""
    images = augment(parts.data.train_images[indices], parts.data, stream)
    return _placed(parts, images, indices)


def _placed(parts: SearchState, images: Tensor, indices: Tensor) -> StepBatch:
    labels = parts.data.train_labels[indices]
    return StepBatch(images.to(parts.config.device), labels.to(parts.config.device))


def task_loss(
    parts: SearchState, subgraphs: Sequence[Tensor], batch: StepBatch,
    weights: Mapping[str, Tensor] | None = None, lesson: Lesson | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Runs the supernet on a batch.

    Args:
        parts: The search.
        subgraphs: The paths, or mixtures, that it runs by, all at once.
        batch: The images.
        weights: What stands in for the supernet's own weights, by name; None for nothing.
        lesson: What the sub-graphs imitate besides.

    Returns:
        The mean loss over the sub-graphs, and their mean logits without a gradient.
    """
    own = {} if weights is None else dict(weights)
    with parts.caster.cast():
        each = [functional_call(parts.supernet, own, (batch.images, w)) for w in subgraphs]
        smooth = parts.config.label_smoothing
        losses = [F.cross_entropy(one, batch.labels, label_smoothing=smooth) for one in each]
    if lesson is not None:
        losses = [loss + lesson.loss(one) for loss, one in zip(losses, each, strict=True)]
    return torch.stack(losses).mean(), torch.stack([one.detach() for one in each]).mean(dim=0)


class Lesson(NamedTuple):
    """The logits ``(n, classes)`` that sub-graphs imitate in a step, and how they do so; see
    ``Teacher``."""

    logits: Tensor
    teacher: Teacher

    def loss(self, logits: Tensor) -> Tensor:
        """Returns what a sub-graph's logits ``(n, classes)`` lose against the teacher's."""
        t = self.teacher.temperature
        given, wanted = (torch.log_softmax(x.float() / t, dim=1) for x in (logits, self.logits))
        imitation = F.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return self.teacher.share * t * t * imitation


def _lesson(parts: SearchState, batch: StepBatch, step: int) -> Lesson | None:
    """What the whole supernet teaches in a step: its logits for the same images, with the
    statistics of this batch, no block dropped and nothing left for a gradient."""
    teacher = parts.relaxation.teacher(step)
    if teacher is None:
        return None
    with torch.no_grad(), no_dropblock(parts.supernet):
        return Lesson(task_loss(parts, [teacher.weights], batch)[1], teacher)


def in_turns(parts: SearchState, subgraphs: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """Returns the sub-graphs that run together: each by itself, or all of them."""
    if parts.relaxation.at_once or parts.method.order == 2:
        return [subgraphs]
    return [[one] for one in subgraphs]


def weight_step(parts: SearchState, batch: StepBatch, streams: Streams, step: int) -> int:
    """Moves the weights down the training loss.

    Args:
        parts: The search.
        batch: The images.
        streams: The random streams of the epoch.
        step: The number of the step in its epoch, from 0.

    Returns:
        The number of images classified right before.
    """
    turns = in_turns(parts, parts.relaxation.paths(streams.relaxation))
    lesson, logits = _lesson(parts, batch, step), list[Tensor]()
    parts.weight_optimizer.zero_grad()
    for turn in turns:
        loss, of = task_loss(parts, turn, batch, lesson=lesson)
        check_finite(loss, "training")
        parts.caster.backward(loss / len(turns))
        logits.append(of)
    parts.caster.move(parts.supernet, parts.weight_optimizer, parts.config.gradient_clip)
    return correct(torch.stack(logits).mean(dim=0), batch.labels)


def begin_epoch(parts: SearchState, epoch: int) -> Streams:
    """Sets everything that moves on with an epoch, from 0; returns its random streams."""
    set_learning_rate(parts.weight_optimizer, parts.config.rate(epoch))
    parts.supernet.train()
    parts.relaxation.begin_epoch(epoch, parts.config.epochs)
    if parts.relaxation.topology is not None:
        parts.relaxation.topology.begin_epoch(epoch, parts.config.epochs)
    if parts.config.dropblock:
        seed = generator(Purpose.SEARCH, parts.config.seed, 1 + epoch, 4, version=parts.streams)
        left = 1 - epoch / max(1, parts.config.epochs - 1)
        set_dropblock(
            parts.supernet, parts.config.dropblock * left, parts.config.dropblock_size,
            Generator(parts.config.device).manual_seed(seed.initial_seed()),
        )  # fmt: skip
    return Streams.of(parts.config.seed, epoch, parts.streams)


def validation_accuracy(parts: SearchState, epoch: int) -> float:
    """Measures the accuracy on up to 1,000 images of the half that the weights are not trained on,
    or on a batch for each of the method's fixed paths.

    They are not augmented, and each batch has paths of its own, from a stream that no step
    reads. Batch norms use the batch's statistics, as in training.
    """
    config, fixed = parts.config, parts.method.fixed_paths
    place = 0 if fixed else 1 + epoch  # no epoch has this one
    stream = generator(Purpose.SEARCH, config.seed, place, 3, version=parts.streams)
    most = fixed * config.batch if fixed else VALIDATED
    half = search_halves(len(parts.data.train_labels), config.seed)[1][:most]
    # A batch norm has no variance of one image.
    batches_of = min(fixed, len(half) // 2) if fixed else len(half) // config.batch
    right = 0
    with torch.no_grad(), no_dropblock(parts.supernet):
        for indices in torch.tensor_split(half, max(1, batches_of)):
            batch = _placed(parts, parts.data.train_images[indices], indices)
            logits = task_loss(parts, parts.relaxation.paths(stream), batch)[1]
            right += correct(logits, batch.labels)
    return right / len(half)


def weights_epoch(parts: SearchState, epoch: int, stepped: Stepped | None) -> SearchEpoch:
    """Runs one pass over the half of the images that the weights are trained on.

    Returns its record, in which nothing is expected or derived: the paths do not change.
    """
    streams, trained, images = begin_epoch(parts, epoch), 0, 0
    half, _ = search_halves(len(parts.data.train_labels), parts.config.seed)
    for step, indices in enumerate(batches(half, parts.config.batch, streams.images)):
        trained += weight_step(parts, draw_batch(parts, indices, streams.images), streams, step)
        images += len(indices)
        if stepped is not None:
            stepped(epoch + images / len(half))
    return SearchEpoch(
        epoch, trained / images, validation_accuracy(parts, epoch), math.nan, math.nan
    )
