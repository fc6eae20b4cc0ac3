"""What a release says of itself, and that its archives install and work on this Python."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import release
from environments import ROOT, build_sdist, build_wheel

import latbench


def test_the_version_is_stated_once() -> None:
    version = re.escape(latbench.__version__)
    said = [
        path.relative_to(ROOT).as_posix()
        for folder in ("latbench", "backends", "predictors", "search")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(rf"[\"']{version}[\"']", path.read_text())
    ]
    assert said == ["latbench/_version.py"]
    for file in ("pyproject.toml", "CITATION.cff"):
        assert not re.search(r"^version *[=:] *[\"']?\d", (ROOT / file).read_text(), re.MULTILINE)


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latbench.__version__ in (headings[0], *headings[1:2])
    assert headings[0] in ("Unreleased", latbench.__version__)
    assert len(set(headings)) == len(headings)


def test_the_licence_is_the_same_everywhere() -> None:
    (named,) = re.findall(r'^license = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    (cited,) = re.findall(r"^license: (.+)", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert named == cited == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def test_this_python_is_among_those_found() -> None:
    found = release.pythons()
    assert found[sys.version_info[:2]] == Path(sys.executable)
    assert min(found) >= (3, 10)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sdist(tmp_path_factory.mktemp("sdist"))


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    assert {"LICENSE", "CHANGELOG.md", "CITATION.cff", "README.md"} <= {
        path.name for path in project.iterdir()
    }
    again = build_wheel(tmp_path / "again", project)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())
        for name in first.namelist():
            assert name.endswith("RECORD") or first.read(name) == second.read(name), name


@pytest.mark.slow
def test_both_archives_install_and_work_on_this_python(
    sdist: Path, wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything from the index, as a user's pip does."""
    release.check([wheel, sdist], Path(sys.executable), tmp_path)
    said = capsys.readouterr().out
    assert said.count("measured (cost model, torch-eager), fitted, predicted") == 2
