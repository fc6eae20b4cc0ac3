"""Pruning groups of weights of a trained network to a latency budget.

The groups are those of the engine: so many consecutive filters at one channel, row and column of a
kernel. Which stay is decided by a projection onto the budget (``projection``), with the energy of a
group, the sum of its squares, as a share of the mean of its layer's groups in the network that was
trained; without that, layers whose weights are small by a batch norm behind them would go first.

``magnitude`` prunes in rounds whose limits fall by one factor to the budget, and trains what is
left after each (gradual magnitude pruning, Zhu and Gupta, 2017, https://arxiv.org/abs/1710.01878);
one round is pruning at once. ``admm`` is ALCS (arXiv 2109.00170) as we read its abstract: for some
epochs all weights W are trained with the augmented term ``rho / 2 * ||W - Z + U||^2``; after each
of them Z becomes the projection of W + U, and U becomes U + W - Z; rho rises. Then the weights are
projected for good and what is left is trained. Its constants are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.files import content_hash, reusable, write_json
from latbench.models import Model, read_model, save_model
from latbench.networks.weights import Weights
from latbench.search.config import TrainConfig
from latbench.search.images.images import ImageData
from latbench.search.pruning.correction import best_kept, corrected
from latbench.search.pruning.projection import kept_groups, project
from latbench.search.training.constraints import Constraints
from latbench.search.training.train import TrainEpoch, train
from latbench.sparse.groups import group_energies, with_groups
from latbench.sparse.latency_tables import LatencyTable
from latbench.validation import Count, Natural, Positive, Share, check_fields

Progress = Callable[[int, int], None]  # epochs that are done, of how many
Masks = dict[int, npt.NDArray[np.bool_]]  # which groups stay, by layer


@dataclass(frozen=True)
class SparsifyConfig:
    """The settings of pruning groups.

    A ``method`` has ``rounds``, of which ADMM's are those of one epoch each before the weights are
    projected for good; ``rho`` starts as it is given, relative to the mean loss of a weight's
    place, and is multiplied by ``growth`` after each. The last choice is corrected by what it was
    measured to take at most ``corrections`` times. Of each layer a share of ``least`` of the groups
    stays. ``distillation`` is the share of the loss that the network before pruning teaches.
    """

    method: Literal["magnitude", "admm"] = "magnitude"
    rounds: Count = 3
    rho: Positive = 0.01
    growth: Positive = 1.5
    corrections: Natural = 2
    least: Share = 0.02
    distillation: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class SparseRound:
    """One round: its ``limit`` in seconds, what the table says that the network takes, what it was
    measured to take (None where nothing was), the share of groups that each layer keeps, and the
    accuracy on the test images (a fraction) after training."""

    limit: float
    predicted: float
    measured: float | None
    densities: dict[int, float]
    accuracy: float


@dataclass(frozen=True)
class GroupBudget:
    """A budget in seconds: the ``table`` of the network's latency for ``group`` filters a group,
    the ``most`` that is allowed, and ``measured``, which measures a network where that can be
    done."""

    table: LatencyTable
    group: int
    most: float
    measured: Callable[[Model], float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.most < self.table.whole:
            raise UsageError(
                f"the budget must be above 0 and below what the network takes "
                f"({1e3 * self.table.whole:.4g} ms), got {1e3 * self.most:.4g} ms"
            )


class _Groups:
    """The groups of a network's layers, and the choice among them."""

    def __init__(self, model: Model, budget: GroupBudget, least: float) -> None:
        self.group, self.table = budget.group, budget.table
        energies = self.energies(model.arrays)
        self.scale = {layer: max(float(e.mean()), 1e-30) for layer, e in energies.items()}
        there = {layer: kept[-1] for layer, (kept, _) in budget.table.layers.items()}
        self.least = {
            layer: min(max(1, round(least * e.size)), there[layer]) for layer, e in energies.items()
        }

    def energies(self, weights: Weights) -> dict[int, npt.NDArray[np.float64]]:
        return {
            layer: group_energies(weights[f"{layer}.weight"], self.group)
            for layer in self.table.layers
        }

    def choose(self, weights: Weights, limit: float) -> Masks:
        scaled = {k: e / self.scale[k] for k, e in self.energies(weights).items()}
        flat = {layer: e.reshape(-1) for layer, e in scaled.items()}
        kept = project(flat, self.table, limit, self.least)
        return {layer: kept_groups(e, kept[layer]) for layer, e in scaled.items()}

    def masked(self, weights: Weights, masks: Masks) -> Weights:
        return with_groups(weights, masks, self.group)

    def predicted(self, masks: Masks) -> float:
        return self.table.latency({layer: int(stays.sum()) for layer, stays in masks.items()})

    def fewest(self) -> float:
        return self.table.latency(self.least)


def sparsify(
    model: Model, data: ImageData, budget: GroupBudget, config: SparsifyConfig,
    training: TrainConfig, *, directory: Path | str, progress: Progress | None = None,
) -> tuple[Model, list[SparseRound]]:  # fmt: skip
    """Removes groups of weights of a trained network until it keeps a budget.

    Called again with the same arguments, an interrupted run goes on from the last epoch.

    Args:
        model: The trained network, which has weights.
        data: The images.
        budget: The table and the budget.
        config: The settings of pruning.
        training: Those of training; its epochs are divided among the rounds, or with ADMM among the
            rounds of one epoch each and what is left after the projection.
        directory: The folder that takes checkpoints and models.
        progress: Called after every epoch.

    Returns:
        The pruned model, and the rounds after which weights were zero.

    Raises:
        UsageError: For a model without weights, too few epochs, data that do not fit, and a budget
            below what the network takes with the fewest groups, before anything is trained.
    """
    if model.weights is None:
        raise UsageError(f"the model {model.name!r} has no weights, so that nothing was trained")
    check_epochs(config, training)
    data.check_fits(model.network.input_shape, model.network.output_shape[1])
    check_budget(model, budget, config)
    groups = _Groups(model, budget, config.least)
    settings = (
        asdict(config), asdict(training), data.fingerprint(), str(model), asdict(budget.table),
        budget.group, budget.most,
    )  # fmt: skip
    run = _Pruning(model, data, budget, config, training, groups, Path(directory),
                   content_hash(settings), progress)  # fmt: skip
    return run.admm() if config.method == "admm" else run.gradual()


def check_budget(model: Model, budget: GroupBudget, config: SparsifyConfig) -> None:
    """Raises UsageError for a budget below what the network takes with the fewest groups."""
    _Groups(model, budget, config.least).choose(model.arrays, budget.most)


def check_epochs(config: SparsifyConfig, training: TrainConfig) -> None:
    """Raises UsageError where there are fewer epochs than the rounds need."""
    needed = config.rounds + (config.method == "admm")
    if training.epochs < needed:
        raise UsageError(
            f"{config.rounds} rounds of {config.method} need {needed} epochs, got epochs = "
            f"{training.epochs}"
        )


@dataclass(frozen=True)
class _Pruning:
    model: Model
    data: ImageData
    budget: GroupBudget
    config: SparsifyConfig
    training: TrainConfig
    groups: _Groups
    folder: Path
    settings: str
    progress: Progress | None

    def gradual(self) -> tuple[Model, list[SparseRound]]:
        whole, most, rounds = self.budget.table.whole, self.budget.most, self.config.rounds
        model, found = self.model, list[SparseRound]()
        for k in range(rounds):
            first, end = (self.training.epochs * n // rounds for n in (k, k + 1))
            limit = max(whole * (most / whole) ** ((k + 1) / rounds), self.groups.fewest())
            model, one = self.round(model, limit, f"round-{k + 1}", first, end, k + 1 == rounds)
            found.append(one)
        return model, found

    def admm(self) -> tuple[Model, list[SparseRound]]:
        weights = self.model.arrays
        names = {layer: f"{layer}.weight" for layer in self.groups.table.layers}
        dual = {name: np.zeros_like(weights[name]) for name in names.values()}
        near = self.projected(weights, dual)
        # The augmented term is a sum over all weights, the loss a mean over images.
        rho = self.config.rho
        for k in range(self.config.rounds):
            constraints = Constraints(
                toward={name: near[name] - dual[name] for name in names.values()}, strength=rho,
                teacher=self.teacher, share=self.config.distillation,
            )  # fmt: skip
            flat = replace(
                self.training, epochs=1, rising_epochs=0, seed=self.training.seed + k,
                final_learning_rate=self.training.learning_rate,
            )  # fmt: skip
            model = self.trained(weights, f"admm-{k + 1}", flat, constraints, k)[0]
            weights = model.arrays
            near = self.projected(weights, dual)
            dual = {name: dual[name] + weights[name] - near[name] for name in names.values()}
            rho *= self.config.growth
            dual = {name: array / self.config.growth for name, array in dual.items()}
        last, one = self.round(
            Model(self.model.name, self.model.network, weights), self.budget.most, "round-1",
            self.config.rounds, self.training.epochs, True,
        )  # fmt: skip
        return last, [one]

    def projected(self, weights: Weights, dual: Weights) -> Weights:
        moved = {**weights, **{name: weights[name] + dual[name] for name in dual}}
        return self.groups.masked(moved, self.groups.choose(moved, self.budget.most))

    @property
    def teacher(self) -> Model | None:
        return self.model if self.config.distillation else None

    def round(
        self, model: Model, limit: float, name: str, first: int, end: int, last: bool
    ) -> tuple[Model, SparseRound]:
        """Zeros what a limit does not leave, and trains the rest."""
        masks, measured = self.within(model, limit, name, last)
        weights = self.groups.masked(model.arrays, masks)
        settings = replace(self.training, epochs=end - first, seed=self.training.seed + first)
        constraints = Constraints(
            zeros_stay=True, teacher=self.teacher, share=self.config.distillation
        )
        trained, accuracy = self.trained(weights, name, settings, constraints, first)
        densities = {layer: float(stays.mean()) for layer, stays in masks.items()}
        predicted = self.groups.predicted(masks)
        return trained, SparseRound(limit, predicted, measured, densities, accuracy)

    def within(
        self, model: Model, limit: float, name: str, last: bool
    ) -> tuple[Masks, float | None]:
        """The groups that keep a limit, corrected by measurement in the last round; in a file,
        since what is measured again is another number."""
        weights, path = model.arrays, self.folder / f"choice-{name}.json"
        inputs = content_hash(self.settings, name, model.digest)
        fewest = self.groups.fewest()
        if (done := reusable(path, inputs)) is not None:
            return self.groups.choose(weights, done["limit"]), done["measured"]
        asked, value = limit, None
        if last and self.budget.measured is not None:
            measure = self.budget.measured

            def takes(asked: float) -> float:
                masks = self.groups.choose(weights, asked)
                return measure(Model(name, model.network, self.groups.masked(weights, masks)))

            tried = corrected(
                lambda asked: max(asked, fewest),
                lambda asked: self.groups.predicted(self.groups.choose(weights, asked)), takes,
                limit, self.config.corrections,
            )  # fmt: skip
            asked, value = tried[best_kept(tried, limit, lambda asked: -asked)]
        write_json(path, {"inputs": inputs, "limit": asked, "measured": value})
        return self.groups.choose(weights, asked), value

    def trained(
        self, weights: Weights, name: str, settings: TrainConfig, constraints: Constraints,
        first: int,
    ) -> tuple[Model, float]:  # fmt: skip
        """A model trained from weights, and its accuracy; read where it was saved."""
        inputs = content_hash(self.settings, name, Model(name, self.model.network, weights).digest)
        about, saved = self.folder / f"{name}.json", self.folder / name
        done = reusable(about, inputs)
        if done is not None and saved.is_dir():
            return read_model(saved, own=True), done["accuracy"]

        def report(epoch: TrainEpoch, progress: Progress) -> None:
            progress(first + epoch.epoch + 1, self.training.epochs)

        outcome = train(
            self.model.network, self.data, settings,
            None if self.progress is None else partial(report, progress=self.progress),
            # Of another table or budget it is another training.
            directory=self.folder / f"training-{name}-{inputs[:8]}", weights=weights,
            constraints=constraints,
        )  # fmt: skip
        model = Model(self.model.name, self.model.network, outcome.weights)
        save_model(model, saved)
        write_json(about, {"inputs": inputs, "accuracy": outcome.test_accuracy})
        return model, outcome.test_accuracy
