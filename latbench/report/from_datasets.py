"""Datasets as a page shows them: with the machine and the conditions that they were measured in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from latbench.errors import UsageError
from latbench.results import BackendResult, PredictorResult, ReportData
from latbench.store.dataset import LatencyDataset
from latbench.text import plural
from latbench.timing.metric import LATENCY

_CONDITIONS = ("version", "options", "protocol", "canary")  # a page's, in its order
_OTHERS = "layers without a kernel of its own"  # and how many rows have them


def report_of(
    title: str, compared: Sequence[tuple[LatencyDataset, Sequence[PredictorResult]]]
) -> ReportData:
    """Makes a report of one or more datasets, each with its predictors, if any.

    Machine and conditions are those of the measurements, not of this process; a dataset that does
    not carry them makes no claim. Raises UsageError when there is no dataset.
    """
    if not compared:
        raise UsageError("a report needs a dataset; measure one, or name a store that has one")
    return ReportData(
        title=title,
        created=time.strftime("%Y-%m-%d %H:%M"),
        space=str(compared[0][0].space),
        machine=machine_of(_mapping(d.conditions, "machine") for d, _ in compared),
        backends=tuple(backend_result(d, results) for d, results in compared),
    )


def backend_result(
    dataset: LatencyDataset, predictors: Sequence[PredictorResult] = ()
) -> BackendResult:
    """Makes a backend's part of a report: a dataset with the conditions that it carries.

    Failed rows are said with the latency only: the other metrics are of the same rows.
    """
    conditions = dataset.conditions
    told: dict[str, Any] = {}
    if fallbacks := _mapping(conditions, "fallbacks"):
        told[_OTHERS] = "; ".join(f"{what} ({plural(n, 'row')})" for what, n in fallbacks.items())
    for key in _CONDITIONS:
        if key in conditions:
            value = conditions[key]
            told |= value if isinstance(value, Mapping) else {key: value}
    return BackendResult(
        backend=dataset.backend,
        device=dataset.device,
        architectures=tuple(map(str, dataset.architectures)),
        measured=tuple(map(float, dataset.values)),
        noise_floor=dataset.noise_floor,
        floor_between=dataset.floor_between,
        predictors=tuple(predictors),
        failed=conditions.get("failed", 0) if dataset.metric == LATENCY else 0,
        metric=dataset.metric,
        conditions=told,
    )


def machine_of(machines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Writes machines as stores describe them, with the versions of their libraries, as texts.

    Where several differ in a property, all of its values stand there.
    """
    found: dict[str, dict[str, None]] = {}
    for machine in machines:
        plain = {k: v for k, v in machine.items() if not isinstance(v, dict | list)}
        for key, value in {**plain, **_mapping(machine, "versions")}.items():
            found.setdefault(key, {})[str(value)] = None
    return {key: "; ".join(values) for key, values in found.items()}


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A nested table; empty where there is none."""
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}
