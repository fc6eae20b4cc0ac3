"""A search from its first parameters to what it found, through checkpoints.

What an epoch does is the method's: the weights alone (``latbench.search.training.path_training``),
or the architecture parameters as well (``latbench.search.bilevel``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.optim import Adam

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import checkpoint
from latbench.search.baselines.trained_supernet import Scored, TrainedSupernet
from latbench.search.bilevel import bilevel_epoch
from latbench.search.config import CHECKPOINT, SCORES, SearchConfig
from latbench.search.constraint import Constraint
from latbench.search.images.images import ImageData
from latbench.search.methods import Method
from latbench.search.one_shot_choice import fix_variables, trained_supernet
from latbench.search.penalty import LatencyPenalty, check_penalty
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.relaxations.topology import Topology
from latbench.search.rng import generator, seeded
from latbench.search.search_state import Course, SearchState
from latbench.search.searchability import check_searchable
from latbench.search.supernets.dropblock import set_dropblock
from latbench.search.supernets.searchable import make_supernet
from latbench.search.tensorboard import tensorboard_log
from latbench.search.training.mixed_precision import Caster
from latbench.search.training.path_training import Stepped, weights_epoch
from latbench.search.training.steps import check_device, prepare, sgd
from latbench.spaces import AnySpace
from latbench.spaces.streams import Purpose

__all__ = ["CHECKPOINT", "Progress", "SearchOutcome", "search"]

Progress = Callable[[SearchEpoch], None]


@dataclass(frozen=True)
class SearchOutcome:
    """The outcome of a search.

    It has the architecture, the final odds of each variable's options (those of its absence first,
    where that was weighed) by its name, those of the sets of inputs by their texts where a search
    has topology variables, one record an epoch, and the architecture parameters after every epoch,
    ``(epochs, *shape)`` by name, of which a method that trains the weights alone has none.
    ``resumed_from`` is the number of epochs that a checkpoint already had. ``met`` is whether the
    architecture keeps the target, as predicted; None without a target.
    """

    architecture: Any
    probabilities: Mapping[str, npt.NDArray[np.float32]]
    history: tuple[SearchEpoch, ...]
    course: Mapping[str, npt.NDArray[np.float32]]
    resumed_from: int = 0
    met: bool | None = None
    sets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def search(
    space: AnySpace,
    data: ImageData,
    config: SearchConfig,
    penalty: LatencyPenalty | None = None,
    *,
    directory: Path | str,
    weights: Mapping[str, Tensor] | None = None,
    progress: Progress | None = None,
    stepped: Stepped | None = None,
    scored: Scored | None = None,
    log_dir: Path | str | None = None,
) -> SearchOutcome:
    """Searches an architecture of a space, which is the network that will be derived and built.

    Called again with the same arguments, an interrupted search goes on from its last checkpoint and
    ends as if it had not been interrupted (bit for bit on a CPU with the same number of threads).
    Torch's global generator is left as it was.

    Args:
        space: The space, which gives the supernet its input, classes and stem.
        data: The images.
        config: The settings, which give the supernet its size, and the method.
        penalty: What is paid for. One of weight 0 only reports the expected cost; with a target,
            what is found is the last derived architecture that kept it, if there was one after the
            warm-up.
        directory: The folder that takes a checkpoint of every epoch.
        weights: The weights that the supernet starts from, such as those of ``read_supernet``.
        progress: Called after every checkpoint with the epoch.
        stepped: Called after every step with the epochs done, a fraction.
        scored: Called, by a method that scores architectures, after every score with the number so
            far, and of how many.
        log_dir: The folder that takes logs for TensorBoard.

    Returns:
        What the search found.

    Raises:
        UsageError: When the space cannot be searched or not by the method, the data or weights do
            not fit it, the penalty is not the one that ``config`` describes, the checkpoint belongs
            to another search, or another search is at work in the directory.
    """
    method = check_searchable(space, config)
    data.check_fits(space.config.input_shape, space.config.classes)
    check_device(config.device)
    check_penalty(penalty, config.penalty_weight, config.target, config.penalty_samples)
    if penalty is not None:
        method.check_penalty(space, penalty)
    parts = _prepare(space, data, config, method, penalty)
    if parts.penalty is not None and parts.penalty.target is not None:
        parts.relaxation.take_costs(partial(parts.penalty.paid_for, space))
    identity = parts.identity()
    if weights is not None:
        identity["weights"] = parts.start_from(weights)
    path = Path(directory) / CHECKPOINT
    path.parent.mkdir(parents=True, exist_ok=True)
    with checkpoint.alone(path), ExitStack() as opened:
        if not path.exists():  # scores are of a supernet that is no more
            for stale in path.parent.glob(f"*{SCORES}"):
                stale.unlink()
        course = parts.load(path, identity)
        parts = parts._replace(streams=course.streams)
        resumed_from = len(course.epochs)
        if not course.epochs and method.ends(space, config.epochs, []):
            parts.save(path, identity, course)  # else its scores would be a stranger's
        log = opened.enter_context(tensorboard_log(log_dir, resumed_from))
        while not method.ends(space, config.epochs, course.accuracies):
            fix_variables(parts, course.accuracies, path.parent, scored)
            epoch = _run_epoch(parts, len(course.epochs), stepped)
            course.add(epoch, parts.relaxation)
            parts.save(path, identity, course)
            log(course.epochs[-1], parts.relaxation)
            if progress is not None:
                progress(course.epochs[-1])
        if method.order == 0:
            trained = trained_supernet(parts, path.parent, config.epochs, scored)
            return _chosen(parts, course, resumed_from, trained)
    return _derived(parts, course, resumed_from)


def _prepare(
    space: AnySpace, data: ImageData, config: SearchConfig, method: Method,
    penalty: LatencyPenalty | None,
) -> SearchState:  # fmt: skip
    stream = generator(Purpose.SEARCH, config.seed, 0)
    alphas = method.relaxation(space, stream).to(config.device)
    if config.topology is not None:
        alphas.take_topology(Topology(space.forest, config, stream))
    if method.order and not any(True for _ in alphas.parameters()):
        raise UsageError(
            f"the method {method.name!r} has no architecture parameters to train; give its "
            "relaxation some, or its class the order 0"
        )
    supernet = seeded(config.seed, lambda: make_supernet(space, config, alphas))
    prepare(supernet, config.device)
    held = method.order > 0 and penalty is not None and penalty.target is not None
    betas = (config.alpha_beta1, config.alpha_beta2)
    return SearchState(
        space, data, config, method, None if penalty is None else penalty.to(config.device),
        Constraint(alphas, config.alpha_learning_rate, config.first_moved) if held else None,
        alphas, supernet,
        sgd(
            supernet, config.learning_rate, config.momentum, config.weight_decay, config.nesterov,
            config.decay_vectors,
        ),
        Adam(
            alphas.parameters(), config.alpha_learning_rate, betas,
            weight_decay=config.alpha_weight_decay,
        ) if method.order else None,
        Caster(config.precision, config.device),
    )  # fmt: skip


def _run_epoch(parts: SearchState, epoch: int, stepped: Stepped | None) -> SearchEpoch:
    """One pass over the images, as the method asks for."""
    run = bilevel_epoch if parts.method.order else weights_epoch
    found = run(parts, epoch, stepped)
    set_dropblock(parts.supernet, 0.0, 1, None)  # whatever is scored now is scored whole
    return found


def _odds(relaxation: Relaxation) -> dict[str, npt.NDArray[np.float32]]:
    return {name: p.cpu().numpy() for name, p in relaxation.probabilities().items()}


def _derived(parts: SearchState, course: Course, resumed_from: int) -> SearchOutcome:
    """What the architecture parameters stand for, or did when they last kept the target."""
    found, met = parts.relaxation, None
    if parts.constraint is not None:
        found, met = parts.constraint.kept_or(parts.relaxation), parts.constraint.met
    return SearchOutcome(
        found.derive(), _odds(found), tuple(course.epochs),
        course.arrays(), resumed_from, met, found.set_probabilities(),
    )  # fmt: skip


def _chosen(
    parts: SearchState, course: Course, resumed_from: int, trained: TrainedSupernet
) -> SearchOutcome:
    """What the method chooses by the trained supernet."""
    found, met = parts.method.choose(trained), None
    if parts.penalty is not None and parts.penalty.target is not None:
        met = parts.cost_of(found)[1] <= 1
    return SearchOutcome(
        found, _odds(parts.relaxation), tuple(course.epochs),
        course.arrays(), resumed_from, met,
    )  # fmt: skip
