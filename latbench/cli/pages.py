"""Pages and pictures that commands write beside their tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.results import PredictorResult
    from latbench.store.dataset import LatencyDataset

PICTURES = (".png", ".svg")


def check_plot(path: Path | None) -> None:
    """Raises UsageError before anything is done when a picture's name has no known ending, or its
    folder is not there."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise UsageError(
            f"--plot writes {' or '.join(PICTURES)}, got {str(path)!r}; a page is written by --out"
        )
    if path is not None and not path.parent.is_dir():
        raise UsageError(
            f"--plot cannot write {str(path)!r}, whose folder does not exist; make it, or name "
            "another one"
        )


def write_page(
    page: Path | None, title: str,
    compared: Sequence[tuple[LatencyDataset, Sequence[PredictorResult]]], plot: Path | None = None,
) -> None:  # fmt: skip
    """Writes a report of datasets as a page, a picture, both or neither.

    Args:
        page: The page to write (HTML); None writes none.
        title: The report's title.
        compared: The datasets and, where there are any, the predictors compared on each.
        plot: The picture to write (``.png`` or ``.svg``); None writes none.

    Raises:
        UsageError: When there is no dataset to write of.
    """
    if page is None and plot is None:
        return
    from latbench.report.from_datasets import report_of

    report = report_of(title, compared)
    if page is not None:
        from latbench.report import write

        write(report, page)
    if plot is not None:
        from latbench.report.picture import picture_of, save_picture

        save_picture(picture_of(report), plot)
