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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model, read_model, save_model
from latbench.networks.channels import Channels, channels_of, narrowed
from latbench.search.config import TrainConfig
from latbench.search.images.images import ImageData
from latbench.search.pruning.budget import (
    WidthChoice,
    check_reachable,
    keep_budget,
    kept_units,
    losses,
)
from latbench.search.pruning.correction import best_kept, corrected
from latbench.search.pruning.importance import importance
from latbench.search.training.train import TrainEpoch, train
from latbench.spaces.architecture import Architecture
from latbench.spaces.internal.widths_space import WidthsSpace
from latbench.validation import Count, Natural, check_fields

Cost = Callable[[Sequence[Architecture]], npt.NDArray[np.float64]]
Measured = Callable[[Architecture], float]


@dataclass(frozen=True)
class PruneConfig:
    """The settings of a pruning: the number of ``rounds``, how often at most the last choice is
    corrected by what it was measured to cost (``corrections``), and of how many ``batches`` of
    ``batch`` images an importance is the mean."""

    rounds: Count = 3
    corrections: Natural = 2
    batches: Count = 16
    batch: Count = 64

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class PruneRound:
    """One round: its ``limit``, the text of the widths, their cost as predicted and, in the last
    round, as measured (None where nothing was), and the accuracy on the test images (a fraction)
    after training."""

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
    check_budget(space, budget)
    settings = (
        asdict(config), asdict(training), data.fingerprint(), str(model), space.identity(),
        budget.about, budget.whole, budget.most,
    )  # fmt: skip
    channels, rounds, folder = channels_of(model.network), list[PruneRound](), Path(directory)
    for k in range(config.rounds):
        inputs = content_hash(settings, k)
        limit = budget.whole * (budget.most / budget.whole) ** ((k + 1) / config.rounds)
        chosen = _chosen(
            space, model, channels, data, budget, config, limit, k,
            folder / f"choice-{k + 1}.json", inputs,
        )  # fmt: skip
        kept = {name: np.array(units) for name, units in chosen["kept"].items()}
        network, weights = narrowed(channels, model.weights or {}, kept)
        channels = channels.left(network, kept)
        about, saved = folder / f"round-{k + 1}.json", folder / f"round-{k + 1}"
        done = reusable(about, inputs)
        if done is None or not saved.is_dir():
            trained = train(
                network, data, _share(training, config, k),
                None if progress is None else partial(progress, k),
                # Of another budget or predictor it is another training.
                directory=folder / f"training-{k + 1}-{inputs[:8]}", weights=weights,
            )  # fmt: skip
            model = Model(model.name, network, trained.weights)
            save_model(model, saved)
            done = {"inputs": inputs, "accuracy": trained.test_accuracy}
            write_json(about, done)
        else:
            model = read_model(saved, own=True)
        rounds.append(
            PruneRound(
                limit, chosen["architecture"], chosen["predicted"], chosen["measured"],
                done["accuracy"],
            )
        )  # fmt: skip
    return model, rounds


def check_budget(space: WidthsSpace, budget: Budget) -> None:
    """Raises UsageError for a budget that no widths keep."""
    sizes = [len(v.options) for v in space.forest.variables]
    check_reachable(sizes, lambda codes: budget.cost([space.of(c) for c in codes]), budget.most)


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


def _chosen(
    space: WidthsSpace, model: Model, channels: Channels, data: ImageData, budget: Budget,
    config: PruneConfig, limit: float, k: int, path: Path, inputs: str,
) -> dict[str, Any]:  # fmt: skip
    """What a round keeps; in a file, since what is measured again is another number."""
    if (done := reusable(path, inputs)) is not None:
        return done
    assert model.weights is not None
    needed = importance(
        channels, model.weights, data, batches=config.batches, batch=config.batch, seed=k
    )
    widths = [
        [int(o) for o in v.options if int(o) <= len(needed[v.name])] for v in space.forest.variables
    ]
    lost = [
        losses(needed[v.name], of) for v, of in zip(space.forest.variables, widths, strict=True)
    ]
    last = k == config.rounds - 1
    choice, measured = _within(space, lost, budget, limit, config.corrections if last else None)
    architecture = space.of(choice.code)
    kept = kept_units(needed, space.widths(architecture))
    found = {
        "inputs": inputs, "architecture": str(architecture), "predicted": choice.cost,
        "measured": measured, "kept": {name: units.tolist() for name, units in kept.items()},
    }  # fmt: skip
    write_json(path, found)
    return found


def _within(
    space: WidthsSpace, lost: Sequence[npt.NDArray[np.float64]], budget: Budget, limit: float,
    corrections: int | None,
) -> tuple[WidthChoice, float | None]:  # fmt: skip
    """The choice that keeps a limit and loses least, and what it was measured to cost.

    Corrected by that so many times at most; None measures nothing. Where no choice was measured to
    keep it, it is the one that costs least.
    """

    def cost(codes: Sequence[tuple[int, ...]]) -> npt.NDArray[np.float64]:
        return budget.cost([space.of(code) for code in codes])

    narrowest = float(cost([tuple(0 for _ in lost)])[0])
    if budget.measured is None or corrections is None:
        return keep_budget(lost, cost, max(limit, narrowest)), None
    measure = budget.measured
    tried = corrected(
        lambda asked: keep_budget(lost, cost, max(asked, narrowest)), lambda one: one.cost,
        lambda one: measure(space.of(one.code)), limit, corrections,
    )  # fmt: skip
    return tried[best_kept(tried, limit, lambda one: one.loss)]
