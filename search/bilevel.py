"""The bi-level search: architecture parameters on one half of the images, weights on the other.

DARTS (Liu et al., 2019, algorithm 1) for any relaxation and any space that can be searched: each
step moves the architecture parameters down the validation loss plus the latency penalty, and then
the weights down the training loss. First order (ξ = 0), or second
(``latbench.search.second_order``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latbench.results import SearchEpoch
from latbench.search.images.images import batches, search_halves
from latbench.search.search_state import SearchState, Streams
from latbench.search.second_order import Ahead
from latbench.search.supernets.dropblock import held_blocks
from latbench.search.training.path_training import (
    StepBatch,
    Stepped,
    begin_epoch,
    draw_batch,
    in_turns,
    task_loss,
    validation_accuracy,
    weight_step,
)
from latbench.search.training.steps import check_finite, correct


def bilevel_epoch(parts: SearchState, epoch: int, stepped: Stepped | None) -> SearchEpoch:
    """Runs one pass over both halves. Accuracies are those of the steps' own batches, before each
    step.

    The weights never train on the half that gives the validation accuracy. While the architecture
    parameters rest, nothing runs on it, and its accuracy is measured after the last step.
    """
    config, streams = parts.config, begin_epoch(parts, epoch)
    trained, validated, images, others = 0, 0, 0, 0
    weight_half, alpha_half = search_halves(len(parts.data.train_labels), config.seed)
    both = zip(
        batches(weight_half, config.batch, streams.images),
        batches(alpha_half, config.batch, streams.images),
        strict=False,  # the halves may differ by one image
    )
    for step, (weight_batch, alpha_batch) in enumerate(both):
        validation = draw_batch(parts, alpha_batch, streams.images)
        training = draw_batch(parts, weight_batch, streams.images)
        if config.rests(epoch):
            # Drawn all the same, as the batch above: the weights' step has the random numbers that
            # it had when the resting parameters were looked at in every step.
            parts.relaxation.subgraphs(streams.relaxation)
        else:
            if parts.constraint is not None:
                moved = images > 0 or epoch > config.first_moved
                parts.constraint.observe(parts.relaxation, parts.derived_cost()[1], epoch, moved)
            validated += _alpha_step(parts, validation, training, streams)
        trained += weight_step(parts, training, streams, step)
        images, others = images + len(weight_batch), others + len(alpha_batch)
        if stepped is not None:
            stepped(epoch + images / len(weight_half))
    resting = config.rests(epoch)
    return _record(
        parts, streams,
        SearchEpoch(
            epoch, trained / images,
            validation_accuracy(parts, epoch) if resting else validated / others,
            math.nan, parts.relaxation.entropy(), architecture=str(parts.relaxation.derive()),
        ),
    )  # fmt: skip


def _record(parts: SearchState, streams: Streams, epoch: SearchEpoch) -> SearchEpoch:
    """The record of an epoch with what is known of costs; the constraint takes it down."""
    if parts.penalty is not None:
        expected = parts.penalty.expected(parts.relaxation, streams.penalty)
        epoch = replace(epoch, expected=expected)
    if parts.constraint is None:
        return epoch
    derived, relative = parts.derived_cost()
    parts.constraint.keep(parts.relaxation, relative, epoch.epoch)
    return replace(epoch, derived=derived, multiplier=parts.constraint.multiplier.item())


def _alpha_step(
    parts: SearchState, validation: StepBatch, training: StepBatch, streams: Streams
) -> int:
    """Architecture parameters down the validation loss; number of images classified right."""
    assert parts.alpha_optimizer is not None
    subgraphs = parts.relaxation.subgraphs(streams.relaxation)
    ahead = _one_step_ahead(parts, training, streams) if parts.method.order == 2 else None
    turns, more = in_turns(parts, subgraphs), _besides(parts, streams)
    alphas = [p for p in parts.relaxation.parameters() if p.requires_grad]
    # Not loss.backward(): the weights' gradients are not needed, and are half of the work
    # (2026-11-24).
    if len(turns) == 1:
        loss, logits = task_loss(parts, turns[0], validation, ahead and ahead.weights)
        credit = parts.relaxation.credit(loss.detach())
        loss = loss if credit is None else loss + credit
        loss = loss if more is None else loss + more
        check_finite(loss, "validation")
        gradients = (ahead or parts.caster).gradients(loss, alphas)
    else:
        logits, gradients = _gradients_in_turns(parts, turns, validation, more, alphas)
    for alpha in parts.relaxation.parameters():
        alpha.grad = None  # of those that rest
    for alpha, gradient in zip(alphas, gradients, strict=True):
        alpha.grad = gradient
    parts.alpha_optimizer.step()
    parts.relaxation.stepped()
    return correct(logits, validation.labels)


def _besides(parts: SearchState, streams: Streams) -> Tensor | None:
    """What the validation loss has besides the task: the penalty, and what the relaxation adds."""
    loss = parts.relaxation.regulariser()
    if parts.penalty is None or not (parts.penalty.weight > 0 or parts.constraint is not None):
        return loss
    term = parts.penalty.term(parts.relaxation, streams.penalty, parts.constraint).loss
    return term if loss is None else term + loss


def _gradients_in_turns(
    parts: SearchState, turns: list[Sequence[Tensor]], batch: StepBatch, more: Tensor | None,
    alphas: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """The mean logits and the gradient by ``alphas``, one turn after another in memory.

    Each turn gives the gradient by its sub-graphs' weights; these together are then followed to the
    parameters.
    """
    logits, weights, by_weights = list[Tensor](), list[Tensor](), list[Tensor]()
    for turn in turns:
        gradients, of = _gradients_by_weights(parts, turn, batch, len(turns))
        by_weights += gradients
        weights += turn
        logits.append(of)
    if more is not None:
        check_finite(more, "validation")
        weights, by_weights = [*weights, more], [*by_weights, torch.ones_like(more)]
    moved = [(w, g) for w, g in zip(weights, by_weights, strict=True) if w.requires_grad]
    found: Sequence[Tensor] = [torch.zeros_like(alpha) for alpha in alphas]
    if moved:
        outputs, of_outputs = zip(*moved, strict=True)
        found = torch.autograd.grad(
            outputs, alphas, of_outputs, allow_unused=True, materialize_grads=True
        )
    return torch.stack(logits).mean(dim=0), list(found)


def _gradients_by_weights(
    parts: SearchState, turn: Sequence[Tensor], batch: StepBatch, turns: int
) -> tuple[list[Tensor], Tensor]:
    """The gradient of one turn's share of the loss by its sub-graphs' weights, and its logits.

    A function of its own, so that its graph is gone before the next turn: what only leads to the
    supernet's own weights is not freed by going back to the sub-graphs'.
    """
    cut = [one.detach().requires_grad_() for one in turn]
    loss, logits = task_loss(parts, cut, batch)
    check_finite(loss, "validation")
    return parts.caster.gradients(loss / turns, cut), logits


def _one_step_ahead(parts: SearchState, training: StepBatch, streams: Streams) -> Ahead:
    """The weights after the step on ``training`` that comes next."""

    same_blocks = held_blocks(parts.supernet)

    def loss(weights: Mapping[str, Tensor]) -> Tensor:
        same_blocks()  # differences of gradients are to be of the weights alone
        subgraphs = parts.relaxation.subgraphs(streams.relaxation)
        return task_loss(parts, subgraphs, training, weights)[0]

    return Ahead.of(parts.supernet, loss, parts.weight_optimizer)
