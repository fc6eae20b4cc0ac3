"""Random search and evolution under a limit: what a differentiable search has to beat.

Both see what the differentiable search sees, a predictor of cost and an estimate of accuracy:

    score = one_shot_score(supernet, space, data, validation_half)
    found = evolution(space, model.predict, score, limit=0.010, budget=300, seed=0)
    found.best.architecture, found.history

The *budget* is the number of different networks that are scored, because scoring is what takes time
(or is paid for): an architecture whose network was scored (``SearchSpace.canonical``) has its score
for nothing. Predictions of cost are taken to be free. Nothing above the limit is scored. Both are
pure functions of their arguments: with ``remember`` (``latbench.search.baselines.scores``) around
the score, an interrupted run that is started again comes back to where it was at once.

Evolution is the ageing (regularised) one of Real et al., 2019, https://arxiv.org/abs/1802.01548,
algorithm 1: of a random sample of the population the best is mutated, the child joins, the oldest
leaves. The limit is kept by drawing mutants of a parent until one is within it. A share of the
children can be crossings of two such parents instead (as in Guo et al., 2020,
https://arxiv.org/abs/1904.00420, half of whose children are).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import LatbenchError, UsageError
from latbench.spaces import AnySpace, SearchSpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.streams import Purpose, stream

# Architectures to predicted costs, one each: ``LatencyModel.predict``, seconds.
Cost = Callable[[Sequence[Any]], npt.NDArray[np.float64]]
# Gives a neighbour of an architecture of the space; the random numbers are the generator's.
Mutation = Callable[[AnySpace, Architecture, np.random.Generator], Architecture]
# An architecture to the one that is meant, such as that with some variables fixed.
Projection = Callable[[Architecture], Architecture]
# An architecture to an estimate of its accuracy: more is better, -inf is the worst.
Score = Callable[[Any], float]

_BATCH = 256  # samples whose costs are predicted together
_DRAWS = 20_000  # in a row without a new architecture within the limit: there are none to find
_MUTANTS, _ROUNDS = 4, 32  # of one parent, before another is picked
_IDLE = 1_000  # rounds in a row without a new architecture: the population has converged


class OutOfReach(LatbenchError):
    """An error for a limit that none of many samples keeps."""


@dataclass(frozen=True)
class Trial:
    """A scored architecture, with its cost as predicted (seconds, or the metric's unit)."""

    architecture: Any
    cost: float
    score: float


@dataclass(frozen=True)
class BaselineOutcome:
    """The best trial, and all of them in the order in which they were scored.

    There are fewer than the budget only when no more were found within the limit.
    """

    best: Trial
    history: tuple[Trial, ...]


def random_search(
    space: AnySpace, cost: Cost, score: Score, *, limit: float, budget: int, seed: int = 0,
    project: Projection = lambda architecture: architecture, networks: int | None = None,
) -> BaselineOutcome:  # fmt: skip
    """Scores the first samples with different networks that keep a limit.

    Args:
        space: The space to sample.
        cost: The predicted cost of an architecture.
        score: The score of an architecture; more is better.
        limit: The largest predicted cost, above 0, in the unit of ``cost``.
        budget: The number of architectures to score, 1 or more.
        seed: The seed of the sample.
        project: Makes of every architecture that is drawn the one that is meant.
        networks: How many different networks it leaves, at most, after which none is looked for;
            None for as many as the space has.

    Returns:
        The best architecture and all trials.

    Raises:
        UsageError: For a budget below 1, a negative seed or a limit that is not above 0.
        OutOfReach: When no sample is within the limit.
        LatbenchError: When a score is NaN.
    """
    _check(limit, budget)
    history = []
    most = space.networks if networks is None else networks
    for architecture, predicted in _within(space, cost, limit, seed, project, most):
        history.append(_trial(architecture, predicted, score))
        if len(history) == budget:
            break
    return _outcome(space, history, limit)


def evolution(
    space: AnySpace,
    cost: Cost,
    score: Score,
    *,
    limit: float,
    budget: int,
    seed: int = 0,
    population: int = 50,
    sample: int = 10,
    mutation: Mutation = SearchSpace.mutate,
    crossover: float = 0.0,
    project: Projection = lambda architecture: architecture,
    networks: int | None = None,
) -> BaselineOutcome:
    """Searches by ageing evolution within a limit.

    The first population is that of ``random_search``, and counts in the budget. A child whose
    network was scored joins the population with that score, without being counted.

    Args:
        space: The space to search.
        cost: The predicted cost of an architecture.
        score: The score of an architecture; more is better.
        limit: The largest predicted cost, above 0, in the unit of ``cost``.
        budget: The number of architectures to score, 1 or more.
        seed: The seed of the sample, the tournaments and the mutations.
        population: The size of the population, 1 or more; the paper's own 100 is for budgets of
            20,000.
        sample: The size of a tournament, 1 or more; the paper's own is 25.
        mutation: Changes an architecture at random.
        crossover: The share of children that are crossings of two parents, 0 to 1.
        project: Makes of every architecture that is drawn or bred the one that is meant.
        networks: As in ``random_search``.

    Returns:
        The best architecture and all trials.

    Raises:
        UsageError: As ``random_search`` raises it, for a population or sample below 1, and for a
            share that is none.
        OutOfReach, LatbenchError: As ``random_search`` raises them.
    """
    _check(limit, budget)
    if population < 1 or sample < 1:
        raise UsageError(f"population and sample must be 1 or more, got {population} and {sample}")
    if not 0 <= crossover <= 1:
        raise UsageError(f"crossover must be a share from 0 to 1, got {crossover}")
    first = random_search(
        space, cost, score, limit=limit, budget=min(population, budget), seed=seed, project=project,
        networks=networks,
    )  # fmt: skip
    known = {space.canonical(trial.architecture): trial for trial in first.history}
    alive = deque(first.history)
    rng = np.random.default_rng(stream(Purpose.EVOLUTION, seed))
    idle = 0
    most = min(budget, space.networks if networks is None else networks)
    while len(known) < most and idle < _IDLE:
        idle += 1
        parent, breed = _winner(alive, sample, rng).architecture, mutation
        if crossover and rng.random() < crossover:
            breed = _crossing(_winner(alive, sample, rng).architecture)
        child = _child(space, parent, cost, limit, _projected(breed, project), rng)
        if child is None:
            idle += _ROUNDS
            continue
        architecture, predicted = child
        network = space.canonical(architecture)
        if network not in known:
            known[network] = _trial(architecture, predicted, score)
            idle = 0
        # As it is written, which decides what its own mutants are.
        alive.append(Trial(architecture, predicted, known[network].score))
        alive.popleft()
    return _outcome(space, list(known.values()), limit)


def _winner(alive: Sequence[Trial], sample: int, rng: np.random.Generator) -> Trial:
    """The best of a random sample of the population."""
    contest = [alive[i] for i in rng.integers(len(alive), size=sample)]
    best: Trial = max(contest, key=lambda trial: trial.score)
    return best


def _crossing(other: Architecture) -> Mutation:
    return lambda space, parent, rng: space.crossover(parent, other, rng)


def _check(limit: float, budget: int) -> None:
    if not limit > 0:
        raise UsageError(f"the limit must be above 0, got {limit}")
    if budget < 1:
        raise UsageError(f"the budget must be 1 architecture or more, got {budget}")


def _projected(breed: Mutation, project: Projection) -> Mutation:
    return lambda space, parent, rng: project(breed(space, parent, rng))


def _within(
    space: AnySpace, cost: Cost, limit: float, seed: int, project: Projection, networks: int
) -> Iterator[tuple[Any, float]]:
    """Samples of the stream ``seed`` with different networks within the limit, each with its
    predicted cost."""
    seen: set[Any] = set()
    last = -1
    for start in range(0, 2**62, _BATCH):
        batch = dict[Any, Any]()
        drawn = (space.sample(seed, i) for i in range(start, start + _BATCH))
        for architecture in map(project, drawn):
            batch.setdefault(space.canonical(architecture), architecture)
        new = [architecture for network, architecture in batch.items() if network not in seen]
        seen.update(batch)
        for architecture, predicted in zip(new, _costs(cost, new), strict=True):
            if predicted <= limit:
                last = start
                yield architecture, predicted
        if start - last > _DRAWS or len(seen) >= networks:
            return


def _child(
    space: AnySpace, parent: Any, cost: Cost, limit: float, mutation: Mutation,
    rng: np.random.Generator,
) -> tuple[Any, float] | None:  # fmt: skip
    """The first mutant within the limit that is not ``parent`` itself, and its cost.

    Where most variables are fixed, most mutants are put back to their parent.
    """
    for _ in range(_ROUNDS):
        drawn = (mutation(space, parent, rng) for _ in range(_MUTANTS))
        mutants = [one for one in drawn if one != parent]
        for mutant, predicted in zip(mutants, _costs(cost, mutants), strict=True):
            if predicted <= limit:
                return mutant, predicted
    return None


def _costs(cost: Cost, architectures: Sequence[Any]) -> list[float]:
    return [float(value) for value in cost(architectures)] if architectures else []


def _trial(architecture: Any, predicted: float, score: Score) -> Trial:
    value = float(score(architecture))
    if math.isnan(value):
        raise LatbenchError(
            f"the score of {architecture} is not a number; give -inf to an architecture that "
            "cannot be scored"
        )
    return Trial(architecture, predicted, value)


def _outcome(space: AnySpace, history: list[Trial], limit: float) -> BaselineOutcome:
    if not history:
        raise OutOfReach(
            f"no sample of {space} has a predicted cost of at most {limit:g}; raise the limit"
        )
    best = max(history, key=lambda trial: (trial.score, -trial.cost))
    return BaselineOutcome(best, tuple(history))
