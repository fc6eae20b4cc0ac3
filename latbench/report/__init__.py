"""The report of an experiment: measurements, predictors and searches on one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latbench.results import (
    BackendResult,
    PredictorResult,
    ReportData,
    SearchEpoch,
    SearchResult,
)

if TYPE_CHECKING:
    from latbench.report.page import render, write

__all__ = [
    "BackendResult",
    "PredictorResult",
    "ReportData",
    "SearchEpoch",
    "SearchResult",
    "render",
    "write",
]


def __getattr__(name: str) -> Any:
    # jinja2 and numpy are imported when a page is made, not when the command line starts.
    if name in ("render", "write"):
        from latbench.report import page

        return getattr(page, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
