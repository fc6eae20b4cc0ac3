"""A chart of somebody else's, made as ``docs/own-chart.md`` says, on a report's page."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from latbench.report import ReportData, write

PAGE = (Path(__file__).parents[2] / "docs" / "own-chart.md").read_text("utf-8")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example of the page, as a module outside of the package."""
    match = re.search(r'```python title="(\w+).py"\n(.*?)```', PAGE, re.DOTALL)
    assert match is not None
    (tmp_path / f"{match[1]}.py").write_text(match[2])
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(match[1])


def test_it_stands_on_the_page(report: ReportData, module: ModuleType, tmp_path: Path) -> None:
    sections = module.sections(report)
    write(report, tmp_path / "plain.html")
    write(report, tmp_path / "page.html", sections)
    plain, page = (
        json.loads(re.search(r'id="charts">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
        for text in ((tmp_path / name).read_text("utf-8") for name in ("plain.html", "page.html"))
    )
    backends = [b for b in report.backends if b.predictors]
    assert len(page["charts"]) == len(plain["charts"]) + len(backends) > len(plain["charts"])
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "Errors over the latency" in text
    assert "Errors of the predictors over the latency." in text
    assert "unsafe-eval" not in text


def test_a_chart_without_a_size_or_a_description_is_placed_too(module: ModuleType) -> None:
    import altair as alt

    from latbench.report.contents import Figure

    bare = Figure(alt.Chart({"values": [{"a": 1}]}).mark_point(), heading="Bare")
    assert (bare.description, bare.ratio) == ("Bare", "4/3")
