"""Pruning the channels of a trained network to a budget, round by round.

Every round asks how much the network needs each channel, chooses the widths that keep the round's
limit and lose least, cuts the rest away and trains what is left. Limits fall by one factor a round,
and the last one is the budget. It is gradual magnitude pruning (Zhu and Gupta, 2017,
https://arxiv.org/abs/1710.01878) with a budget of latency in place of a share of weights, and a
first-order importance in place of magnitude; one round is pruning at once. What the schedule and
the importance are is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model, read_model, save_model
from latbench.networks.channels import channels_of, narrowed
from latbench.search.config import TrainConfig
from latbench.search.images.images import ImageData
from latbench.search.pruning.budget import (
    WidthChoice,
    check_reachable,
    keep_budget,
    kept_units,
    losses,
)
from latbench.search.pruning.importance import importance
from latbench.search.training.train import TrainEpoch, train
from latbench.spaces.architecture import Architecture
from latbench.spaces.internal.widths_space import WidthsSpace
from latbench.validation import Count, Natural, check_fields

LEAST, MOST = 0.95, 1.0  # of the budget, as measured, that need no correction
Cost = Callable[[Sequence[Architecture]], npt.NDArray[np.float64]]
Measured = Callable[[Architecture], float]


@dataclass(frozen=True)
class PruneConfig:
    """The settings of a pruning: the number of ``rounds``, how often at most a choice is
    corrected by what it was measured to cost (``corrections``, in the last round), and of how many
    ``batches`` of ``batch`` images an importance is the mean."""

    rounds: Count = 3
    corrections: Natural = 2
    batches: Count = 16
    batch: Count = 64

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class PruneRound:
    """One round: its ``limit``, the text of the widths, their cost as predicted and as measured
    (None where nothing was), and the accuracy on the test images (a fraction) after training."""

    limit: float
    architecture: str
    predicted: float
    measured: float | None
    accuracy: float


# Called after every epoch with the round, from 0, and the epoch.
Progress = Callable[[int, TrainEpoch], None]


@dataclass(frozen=True)
class Budget:
    """A budget: ``cost`` predicts what networks of certain widths cost, ``about`` is a text that
    changes with the predictor, ``whole`` is the cost of the whole network and ``most`` what is
    allowed; ``measured`` measures one network, where that can be done."""

    cost: Cost
    about: str
    whole: float
    most: float
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if not 0 < self.most < self.whole:
            raise UsageError(
                f"the budget must be above 0 and below what the network costs ({self.whole:.4g}), "
                f"got {self.most:.4g}"
            )


def prune(
    space: WidthsSpace, model: Model, data: ImageData, budget: Budget, config: PruneConfig,
    training: TrainConfig, *, directory: Path | str, progress: Progress | None = None,
) -> tuple[Model, list[PruneRound]]:  # fmt: skip
    """Removes channels of a trained network until it keeps a budget.

    Called again with the same arguments, an interrupted run goes on from the last epoch.

    Args:
        space: The widths of the network.
        model: The trained network, which has weights.
        data: The images.
        budget: What networks cost, and the budget.
        config: The settings of pruning.
        training: Those of training what is left; its epochs are divided among the rounds.
        directory: The folder that takes checkpoints and, as ``round-1`` and on, the models.
        progress: Called after every epoch.

    Returns:
        The pruned model, and all rounds.

    Raises:
        UsageError: For a model without weights, fewer epochs than rounds, data that do not fit, and
            a budget that no widths keep, before anything is trained.
    """
    if model.weights is None:
        raise UsageError(f"the model {model.name!r} has no weights, so that nothing was trained")
    check_rounds(config, training)
    data.check_fits(model.network.input_shape, model.network.output_shape[1])
    sizes = [len(v.options) for v in space.forest.variables]
    check_reachable(sizes, lambda codes: budget.cost([space.of(c) for c in codes]), budget.most)
    settings = (asdict(config), asdict(training), data.fingerprint(), str(model), budget.about)
    rounds, folder, at = list[PruneRound](), Path(directory), 1.0
    for k in range(config.rounds):
        share = (k + 1) / config.rounds
        limit = budget.whole * (budget.most / budget.whole) ** share
        inputs = content_hash(settings, budget.whole, budget.most, k)
        kept, about = folder / f"round-{k + 1}", folder / f"round-{k + 1}.json"
        if (done := reusable(about, inputs)) is None or not kept.is_dir():
            last = k == config.rounds - 1
            model, found, at = _round(
                space, model, data, budget, config, limit, at, last, _share(training, config, k),
                folder / f"training-{k + 1}",
                None if progress is None else lambda e, k=k: progress(k, e),  # type: ignore[misc]
            )  # fmt: skip
            save_model(model, kept)
            write_json(about, {"inputs": inputs, "at": at, "round": asdict(found)})
        else:
            model, at, found = read_model(kept, own=True), done["at"], PruneRound(**done["round"])
        rounds.append(found)
    return model, rounds


def check_rounds(config: PruneConfig, training: TrainConfig) -> None:
    """Raises UsageError where there are fewer epochs than rounds."""
    if training.epochs < config.rounds:
        raise UsageError(
            f"{config.rounds} rounds need an epoch each, got epochs = {training.epochs}"
        )


def _share(training: TrainConfig, config: PruneConfig, k: int) -> TrainConfig:
    """The settings of a round's training: its part of the epochs, and a seed of its own."""
    first, end = (training.epochs * n // config.rounds for n in (k, k + 1))
    return replace(training, epochs=end - first, seed=training.seed + k)


def _round(
    space: WidthsSpace, model: Model, data: ImageData, budget: Budget, config: PruneConfig,
    limit: float, at: float, last: bool, training: TrainConfig, directory: Path,
    progress: Callable[[TrainEpoch], None] | None,
) -> tuple[Model, PruneRound, float]:  # fmt: skip
    """One round, and how many times its prediction what it chose was measured to cost."""
    assert model.weights is not None
    channels = channels_of(model.network)
    needed = importance(
        channels, model.weights, data, batches=config.batches, batch=config.batch,
        seed=training.seed,
    )  # fmt: skip
    widths = [
        [int(o) for o in v.options if int(o) <= len(needed[v.name])] for v in space.forest.variables
    ]
    lost = [
        losses(needed[v.name], of) for v, of in zip(space.forest.variables, widths, strict=True)
    ]
    measured: float | None = None
    for attempt in range(1 + (config.corrections if last else 0)):
        choice: WidthChoice = keep_budget(
            lost, lambda codes: budget.cost([space.of(c) for c in codes]), limit / at
        )
        architecture = space.of(choice.code)
        if budget.measured is None:
            break
        measured = budget.measured(architecture)
        if LEAST <= measured / limit <= MOST or attempt == config.corrections:
            break
        at = measured / choice.cost
    units = kept_units(needed, space.widths(architecture))
    network, weights = narrowed(channels, model.weights, units)
    done = train(network, data, training, progress, directory=directory, weights=weights)
    found = PruneRound(limit, str(architecture), choice.cost, measured, done.test_accuracy)
    return Model(model.name, network, done.weights), found, at
