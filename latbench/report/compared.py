"""The report of datasets and of the predictors that were compared on them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from latbench.dataset import LatencyDataset
from latbench.device import machine_profile
from latbench.errors import UsageError
from latbench.report.data import BackendResult, PredictorResult, ReportData


def report_of(
    title: str, compared: Sequence[tuple[LatencyDataset, Sequence[PredictorResult]]]
) -> ReportData:
    """One or more datasets, each with its predictors, if any, as measured on this machine now.

    Raises UsageError when there is none.
    """
    if not compared:
        raise UsageError("a report needs a dataset; measure one, or name a store that has one")
    machine = machine_profile()
    flat = {k: str(v) for k, v in machine.items() if not isinstance(v, dict | list)}
    backends = tuple(
        BackendResult(
            backend=d.backend, device=d.device, architectures=tuple(map(str, d.architectures)),
            measured=tuple(map(float, d.values)), noise_floor=d.noise_floor,
            predictors=tuple(results), metric=d.metric,
        )
        for d, results in compared
    )  # fmt: skip
    created, space = time.strftime("%Y-%m-%d %H:%M"), str(compared[0][0].space)
    return ReportData(title, created, space, flat, backends)
