"""Pictures of reports: what they hold, and the files that they become."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from timed import backend, measure

from latbench.comparison.significance import compare
from latbench.errors import NotEnoughData, StoreError
from latbench.report import ReportData
from latbench.report.picture import picture_of, picture_of_changes, save_picture
from latbench.report.theme import LIGHT
from latbench.store.sides import pair_sides

EMPTY = ReportData("Nothing", "2026-01-01", "darts", {}, ())


def titles(specification: object) -> list[str]:
    """Those of the joined charts, from the top."""
    if isinstance(specification, list):
        return [title for one in specification for title in titles(one)]
    assert isinstance(specification, dict)
    inner = specification.get("vconcat") or specification.get("hconcat") or []
    return [specification["title"]] if "title" in specification else titles(inner)


def test_a_report_is_drawn_as_svg(report: ReportData, tmp_path: Path) -> None:
    picture = picture_of(report)
    assert titles(picture.to_dict()) == [
        "mlp on onnxruntime", "onnxruntime", "mlp on torch-eager", "torch-eager", "onnxruntime",
    ]  # fmt: skip
    save_picture(picture, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert ET.fromstring(text).tag.endswith("svg")
    assert LIGHT["c0"] in text
    assert "var(" not in text


def test_measurements_alone_are_a_histogram_each(report: ReportData, tmp_path: Path) -> None:
    bare = dataclasses.replace(
        report, searches=(),
        backends=tuple(dataclasses.replace(b, predictors=()) for b in report.backends),
    )  # fmt: skip
    picture = picture_of(bare)
    assert titles(picture.to_dict()) == ["onnxruntime", "torch-eager"]
    save_picture(picture, tmp_path / "plot.PNG")
    assert (tmp_path / "plot.PNG").read_bytes().startswith(b"\x89PNG")


def test_changes_are_a_row_a_backend(tmp_path: Path) -> None:
    a = measure(tmp_path / "a.sqlite", backend(seed=1), n=20)
    b = measure(tmp_path / "b.sqlite", backend(pool=1.05, seed=2), n=20, version="2")
    ((one, other),) = pair_sides(a, b)
    found = compare(one, other)
    specification = picture_of_changes([found, found]).to_dict()
    assert [len(row["hconcat"]) for row in specification["vconcat"]] == [2, 2]


def test_nothing_to_draw_and_nowhere_to_write_are_clear_errors(
    report: ReportData, tmp_path: Path
) -> None:
    with pytest.raises(NotEnoughData, match="nothing to draw"):
        picture_of(EMPTY)
    with pytest.raises(StoreError, match="cannot write"):
        save_picture(picture_of(report), tmp_path / "missing" / "plot.svg")
