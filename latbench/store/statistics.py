"""The statistics of a store computed again from its raw timings, with another estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from latbench.errors import UsageError, unknown
from latbench.store.file import Store
from latbench.store.keys import RowKey
from latbench.store.protocol_1 import Seconds, lower_quartile, relative_and_canary
from latbench.store.raw import unpack
from latbench.store.schema import store_errors
from latbench.timing.percentiles import PERCENTILES, enough_runs
from latbench.timing.protocol import Visit, noise_floor, retest_bias


def trimmed_mean(seconds: Seconds) -> float:
    """Returns the mean without the lowest and the highest quarter (rounded down) of the runs."""
    cut = len(seconds) // 4
    return float(np.mean(np.sort(seconds)[cut : len(seconds) - cut]))


# Seconds of some runs, or of some visits -> seconds.
ESTIMATORS: dict[str, Callable[[Seconds], float]] = {
    "minimum": min,
    "lower-quartile": lower_quartile,
    "median": median,
    "trimmed": trimmed_mean,
    "mean": lambda seconds: float(np.mean(seconds)),
}


def from_raw(
    visits: Sequence[Visit], estimator: str, canary_s: float, reject: bool = True
) -> float:
    """Estimates the relative latency of a row with another estimator.

    The estimator is applied to the runs of each visit and then over the visits. Visits of protocol
    1 bring their own canary, and are put together as they were then: by the median of the
    undisturbed ones.

    Args:
        visits: The visits of the row.
        estimator: A name of ``ESTIMATORS``, or of ``latbench.timing.percentiles.PERCENTILES``,
            which are of all runs together.
        canary_s: The seconds of the row's canary (protocol 2).
        reject: Whether disturbed visits of protocol 1 are left out.

    Returns:
        The latency in units of the canary.

    Raises:
        UsageError: For an unknown estimator, and for a percentile of too few runs.
    """
    if estimator in PERCENTILES:
        runs = [s for visit in visits for s in visit.network_s]
        return enough_runs(runs, estimator, "a row").value / canary_s
    if estimator not in ESTIMATORS:
        raise UsageError(unknown("estimator", estimator, [*ESTIMATORS, *PERCENTILES]))
    figure = ESTIMATORS[estimator]
    if visits[0].canary_s:
        return relative_and_canary(visits, figure, reject)[0]
    return figure([figure(v.network_s) for v in visits]) / canary_s


def runs_of(store: Store, set_id: int, text: str) -> list[float]:
    """Returns the seconds of all runs of an architecture or a model, by its text, in a set: those
    of its first timing and of its retests.

    Raises StoreError for damaged timings.
    """
    with store_errors(store.path):
        blobs = store.connection.execute(
            "SELECT visits FROM main.measurements JOIN main.timings USING (set_id, key, repeat)"
            " WHERE set_id = ? AND key = ? AND status = 'ok' ORDER BY repeat",
            (set_id, store.key(text)),
        ).fetchall()
    return [s for (blob,) in blobs for visit in unpack(blob) for s in visit.network_s]


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
    """Summarises every set of a store under an estimator, from the raw timings alone.

    Raises UsageError for an unknown estimator, or a percentile of rows with too few runs, and
    StoreError for damaged timings.
    """
    if estimator not in PERCENTILES:
        from_raw([Visit((1.0,))], estimator, 1.0)  # refuses an unknown one
    with store_errors(store.path):
        sets = store.connection.execute("SELECT id, backend FROM main.sets ORDER BY id").fetchall()
        return [_of_set(store, int(i), str(backend), estimator) for i, backend in sets]


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def _of_set(store: Store, set_id: int, backend: str, estimator: str) -> SetStatistics:
    figures: dict[tuple[RowKey, int], float] = {}
    sampled: list[float] = []
    named: list[float] = []
    for key, repeat, index, canary_s, blob in store.connection.execute(
        "SELECT key, repeat, sample_index, canary_s, visits"
        " FROM main.measurements JOIN main.timings USING (set_id, key, repeat)"
        " WHERE set_id = ? AND status = 'ok'",
        (set_id,),
    ):
        figures[key, repeat] = from_raw(unpack(blob), estimator, canary_s)
        (named if index is None else sampled).append(canary_s)
    first = [value for (_, repeat), value in figures.items() if repeat == 0]
    pairs = [
        (figures[key, 0], value)
        for (key, repeat), value in figures.items()
        if repeat == 1 and (key, 0) in figures
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
