"""Campaigns in rounds: what is measured decides what is measured next, or whether anything is.

Chosen architectures come from a pool, the first ones of the seed's stream, and keep their index in
it, so that their rows are sampled rows like others: in data sets, and in a longer campaign of the
same seed. A round depends on the seed and the store only; after a kill, the same call fills the
round up and goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from latbench.backends.base import Backend
from latbench.campaign.campaign import CampaignOutcome, run_campaign
from latbench.campaign.spec import CampaignOptions
from latbench.encodings import encode
from latbench.errors import UsageError
from latbench.sampling.choosing import most_informative, space_filling
from latbench.spaces import AnySpace
from latbench.store import Done, Store
from latbench.store.dataset import LatencyDataset
from latbench.store.keys import numbers
from latbench.timing.noise import at_reachable

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor
    from latbench.results import PredictorResult

POOL = 2000
# Architectures in the first round: fewer say nothing about where an ensemble will disagree.
FIRST = 20
_ENCODING = "counts"


def pool_of(space: AnySpace, seed: int, n: int) -> dict[int, Any]:
    """Returns the architectures to choose ``n`` from, by their index in the stream.

    They are 2000, doubled until they are four times ``n``, or all different ones of the space where
    these are fewer.
    """
    size = POOL
    while size < 4 * n:
        size *= 2
    return dict(space.unique_samples(seed, min(size, space.distinct)))


def space_filling_indices(space: AnySpace, seed: int, n: int) -> list[int]:
    """Returns indices of ``n`` architectures whose operation counts cover their pool.

    They are indices in the stream ``seed``; see ``space_filling``. Raises UsageError when the space
    has fewer.
    """
    pool = pool_of(space, seed, n)
    rows = space_filling(encode(space, list(pool.values()), _ENCODING), n)
    indices = list(pool)
    return [indices[row] for row in rows]


def round_ends(n: int, rounds: int) -> list[int]:
    """Returns how many architectures are measured at the end of each of ``rounds`` equal rounds.

    Raises UsageError for fewer than 2 rounds, or when the first one would have fewer than
    ``FIRST``.
    """
    if rounds < 2 or n < FIRST * rounds:
        raise UsageError(
            f"active sampling takes 2 rounds or more of {FIRST} architectures or more, got {n} in "
            f"{rounds}; ask for more architectures or fewer rounds"
        )
    return [round(n * (k + 1) / rounds) for k in range(rounds)]


def measure_actively(
    store: Store,
    backend: Backend,
    predictor: LatencyPredictor,
    *,
    n: int,
    rounds: int = 4,
    seed: int = 0,
    begin: Callable[[int, int], None] = lambda number, rounds: None,
    retry_failed: bool = False,
    **options: Any,
) -> CampaignOutcome:
    """Measures architectures in rounds, each chosen by what was measured before.

    The first round takes the beginning of the sample, the others those on which an ensemble of
    ``predictor``, fitted on what there is, disagrees most. Rows that failed count towards ``n``.

    Args:
        store: The store that takes the rows.
        backend: The backend to measure on.
        predictor: The predictor; copies of it are fitted.
        n: The number of architectures to measure.
        rounds: The number of equal rounds.
        seed: The seed of the sample.
        begin: Called with the round's number (from 1) and ``rounds`` before each round.
        retry_failed: Whether rows that failed before count as missing.
        **options: Further arguments of ``run_campaign``.

    Returns:
        What the rounds added together.

    Raises:
        UsageError: As ``round_ends`` raises it.
        LatbenchError: As ``run_campaign`` raises it.
    """
    ends = round_ends(n, rounds)
    once = options.get("options") or CampaignOptions()
    later = {**options, "options": replace(once, retry_noisy=math.inf)}
    begin(1, rounds)
    outcomes = [
        run_campaign(store, backend, n=ends[0], seed=seed, retry_failed=retry_failed, **options)
    ]
    pool = pool_of(store.space, seed, n)
    for number, end in enumerate(ends[1:], 2):
        done = store.done(outcomes[0].set_id, seed)
        there = done.index[done.index >= 0].tolist()
        chosen = []
        if end > len(there):
            dataset = store.dataset(set_id=outcomes[0].set_id)
            left = _unmeasured(store.space, pool, done)
            chosen = _chosen(predictor, dataset, left, end - len(there), seed, store.space.sampler)
        if chosen or number == rounds:  # the last one makes up for retests that a kill prevented
            begin(number, rounds)
            outcomes.append(
                run_campaign(store, backend, n=ends[0], seed=seed, indices=there + chosen, **later)
            )
    return _together(outcomes)


def _unmeasured(space: AnySpace, pool: dict[int, Any], done: Done) -> dict[int, Any]:
    """Returns those of the pool that no row is of."""
    of_space = done.first[done.first >= 0]  # models have numbers below
    measured = set(space.distinct_ranks(of_space).tolist())
    ranks = numbers(space.size, [space.rank(a) for a in pool.values()])
    keys = space.distinct_ranks(ranks).tolist()
    return {i: a for (i, a), key in zip(pool.items(), keys, strict=True) if key not in measured}


def _chosen(
    predictor: LatencyPredictor, dataset: LatencyDataset, left: dict[int, Any], n: int, seed: int,
    sampler: int,
) -> list[int]:  # fmt: skip
    encoded = encode(dataset.space, list(left.values()), predictor.encoding)
    known, n = dataset.encode(predictor.encoding), min(n, len(left))
    rows = most_informative(predictor, known, dataset.values, encoded, n, seed, sampler)
    indices = list(left)
    return [indices[row] for row in rows]


def _together(outcomes: Sequence[CampaignOutcome]) -> CampaignOutcome:
    """Their sums; what was there already is what the first one found."""
    names = {f.name for f in fields(CampaignOutcome)} - {"set_id", "already_there"}
    sums = {name: sum(getattr(o, name) for o in outcomes) for name in names}
    first = outcomes[0]
    return CampaignOutcome(set_id=first.set_id, already_there=first.already_there, **sums)


@dataclass(frozen=True)
class Judged:
    """A cross-validation on what is measured so far, and why it was the last one, if it was.

    ``mape`` is (value, low, high), fractions like ``noise_floor``. The reason is "noise floor"
    where the error is not distinguishable from what a perfect predictor has at that floor, see
    ``latbench.timing.noise.standing``.
    """

    samples: int
    mape: tuple[float, float, float]
    noise_floor: float | None
    why: Literal["error", "noise floor", "budget"] | None


@dataclass(frozen=True)
class Enough:
    """The result of ``measure_until``: the data, their cross-validation, the last judgement."""

    dataset: LatencyDataset
    result: PredictorResult
    judged: Judged


def _why(
    result: PredictorResult, noise_floor: float | None, error: float, spent: bool
) -> Literal["error", "noise floor", "budget"] | None:
    if result.metrics["mape"][0] <= error:
        return "error"
    if at_reachable(result.metrics["mape"], noise_floor):
        return "noise floor"
    return "budget" if spent else None


def measure_until(
    store: Store,
    backend: Backend,
    predictor: LatencyPredictor,
    error: float,
    *,
    max_n: int = 1000,
    step: int = 50,
    seed: int = 0,
    folds: int = 5,
    metric: str = "latency",
    judge: Callable[[Judged], None] = lambda judged: None,
    **options: Any,
) -> Enough:
    """Measures the sample in rounds until a predictor is good enough.

    It stops when the cross-validated MAPE of ``predictor`` is at most ``error``, when what a
    perfect predictor reaches on measurements with this noise floor lies in its interval or above
    it, or when ``max_n`` architectures are measured. What the store already has is judged first.
    The sample is random, so that the cross-validation speaks of the whole space.

    Args:
        store: The store that takes the rows.
        backend: The backend to measure on.
        predictor: The predictor to judge.
        error: The MAPE to reach, a fraction between 0 and 1.
        max_n: The most architectures to measure.
        step: The number of architectures a round, 1 or more.
        seed: The seed of the sample and of the folds.
        folds: The number of folds of the cross-validation.
        metric: The name of the metric that is predicted.
        judge: Called with the judgement of every round.
        **options: Further arguments of ``run_campaign``.

    Returns:
        The data, the cross-validation and the last judgement.

    Raises:
        UsageError: For arguments that make no sense, such as a ``max_n`` that is too small for
            ``folds``.
        NotEnoughData: When too few of ``max_n`` architectures could be measured for ``folds``.
        LatbenchError: As ``run_campaign`` raises it.
    """
    from latbench.predictors.evaluation.compare import compare, min_rows

    if not 0 < error < 1 or step < 1 or max_n < min_rows(folds):
        raise UsageError(
            f"the error must lie between 0 and 1, a round have 1 architecture or more and all of "
            f"them {min_rows(folds)} or more, got {error}, {step} and {max_n}"
        )
    n = min(max(step, min_rows(folds)), max_n)
    while True:
        outcome = run_campaign(store, backend, n=n, seed=seed, **options)
        n = max(n, int(np.sum(store.done(outcome.set_id, seed).index >= 0)))
        dataset = store.dataset(set_id=outcome.set_id, metric=metric)
        if len(dataset) >= min_rows(folds) or n >= max_n:
            (result,) = compare(dataset, [predictor], folds=folds, seed=seed)
            why = _why(result, dataset.noise_floor, error, n >= max_n)
            judged = Judged(len(dataset), result.metrics["mape"], dataset.noise_floor, why)
            judge(judged)
            if why is not None:
                return Enough(dataset, result, judged)
        n = min(n + step, max_n)
