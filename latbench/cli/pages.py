"""Pages of plots that commands write beside their tables."""

from __future__ import annotations

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
    from latbench.report import write
    from latbench.report.compared import report_of

    write(report_of(title, compared), path)
