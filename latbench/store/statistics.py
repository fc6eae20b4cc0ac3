"""The statistics of a store computed again from its raw timings, with another estimator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from latbench.errors import UsageError, unknown
from latbench.protocol import Visit, lower_quartile, noise_floor, retest_bias, undisturbed
from latbench.store.file import Store
from latbench.store.raw import unpack
from latbench.store.schema import store_errors

Seconds = Sequence[float]


def trimmed_mean(seconds: Seconds) -> float:
    """The mean without the lowest and the highest quarter (rounded down) of the runs."""
    cut = len(seconds) // 4
    return float(np.mean(np.sort(seconds)[cut : len(seconds) - cut]))


# The figure of one part of a visit: seconds of its runs -> seconds.
ESTIMATORS: dict[str, Callable[[Seconds], float]] = {
    "median": median,
    "trimmed": trimmed_mean,
    "lower-quartile": lower_quartile,
    "minimum": min,
    "mean": lambda seconds: float(np.mean(seconds)),
}


@dataclass(frozen=True)
class Recomputed:
    """One row's relative latency and canary time (seconds)."""

    relative: float
    canary_s: float


def from_raw(visits: Sequence[Visit], estimator: str, reject: bool = True) -> Recomputed:
    """What ``latbench.protocol.estimate`` says, with another figure of a visit's two parts.

    The undisturbed visits (all of them without ``reject``) are still put together by their median.
    Raises UsageError for an unknown estimator.
    """
    if estimator not in ESTIMATORS:
        raise UsageError(unknown("estimator", estimator, ESTIMATORS))
    figure = ESTIMATORS[estimator]
    kept = undisturbed(visits) if reject else visits
    parts = [(figure(v.network_s), figure(v.canary_s)) for v in kept]
    return Recomputed(
        relative=math.exp(median(math.log(network / canary) for network, canary in parts)),
        canary_s=median(canary for _, canary in parts),
    )


@dataclass(frozen=True)
class SetStatistics:
    """A set under one estimator: rows with raw timings, how many pairs of a first timing and a
    retest, noise floor (fraction), how much longer retests are with its standard error
    (``retest_bias``), anchor and mean latency of the first timings (seconds)."""

    id: int
    backend: str
    estimator: str
    rows: int
    retested: int
    noise_floor: float | None
    retest_bias: tuple[float, float] | None
    anchor_s: float | None
    mean_latency_s: float | None


def statistics(store: Store, estimator: str) -> list[SetStatistics]:
    """Every set of a store under an estimator, from the raw timings alone.

    Raises UsageError for an unknown estimator and StoreError for damaged timings.
    """
    from_raw([Visit((1.0,), (1.0,))], estimator)  # refuses an unknown one
    with store_errors(store.path):
        sets = store.connection.execute("SELECT id, backend FROM main.sets ORDER BY id").fetchall()
        return [_of_set(store, int(i), str(backend), estimator) for i, backend in sets]


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def _of_set(store: Store, set_id: int, backend: str, estimator: str) -> SetStatistics:
    figures: dict[tuple[int, int], float] = {}
    sampled: list[float] = []
    named: list[float] = []
    for rank, repeat, index, blob in store.connection.execute(
        "SELECT rank, repeat, sample_index, visits"
        " FROM main.measurements JOIN main.timings USING (set_id, rank, repeat)"
        " WHERE set_id = ? AND status = 'ok'",
        (set_id,),
    ):
        row = from_raw(unpack(blob), estimator)
        figures[rank, repeat] = row.relative
        (named if index is None else sampled).append(row.canary_s)
    first = [value for (_, repeat), value in figures.items() if repeat == 0]
    pairs = [
        (figures[rank, 0], value)
        for (rank, repeat), value in figures.items()
        if repeat == 1 and (rank, 0) in figures
    ]
    canaries = sampled or named
    anchor_s = median(canaries) if canaries else None
    return SetStatistics(
        id=set_id,
        backend=backend,
        estimator=estimator,
        rows=len(figures),
        retested=len(pairs),
        noise_floor=noise_floor(*_columns(pairs)),
        retest_bias=retest_bias(*_columns(pairs)),
        anchor_s=anchor_s,
        mean_latency_s=float(np.mean(first)) * anchor_s if first and anchor_s else None,
    )
