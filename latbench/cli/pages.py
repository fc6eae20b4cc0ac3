"""Pages of plots that commands write beside their tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latbench.dataset import LatencyDataset
    from latbench.report.data import PredictorResult


def write_page(
    path: Path, title: str, compared: Sequence[tuple[LatencyDataset, Sequence[PredictorResult]]]
) -> None:
    """A report of datasets and, where there are any, the predictors compared on them."""
    from latbench.device import machine_profile
    from latbench.report import BackendResult, ReportData, write

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
    write(ReportData(title, created, space, flat, backends), path)
