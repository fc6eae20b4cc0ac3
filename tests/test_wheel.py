"""The built wheel, installed by itself: what a user gets, not what the checkout has."""

import json
from pathlib import Path

import pytest
from environments import build_wheel, fresh_environment, install, run_in


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The bin folder of an environment with the wheel and, through a .pth, our dependencies."""
    environment = fresh_environment(tmp_path_factory.mktemp("wheel") / "env")
    install(environment, wheel)
    return environment


def test_every_part_imports_from_the_wheel(installed: Path) -> None:
    code = (
        "import json, latbench, latbench.backends, latbench.predictors, latbench.search;"
        "print(json.dumps([m.__file__ for m in (latbench, latbench.backends,"
        " latbench.predictors, latbench.search)]))"
    )
    for file in json.loads(run_in(installed, "python", "-c", code)):
        assert Path(file).is_relative_to(installed.parent)


def test_command_is_on_the_path(installed: Path) -> None:
    assert "darts" in run_in(installed, "latbench", "space")


def test_site_packages_hold_nothing_else_of_ours(installed: Path) -> None:
    (site,) = (installed.parent / "lib").glob("python*/site-packages")
    names = {p.name for p in site.iterdir() if not p.name.endswith(".dist-info")}
    assert names - {"pip", "setuptools", "pkg_resources", "_distutils_hack", "dependencies.pth",
                    "distutils-precedence.pth"} == {"latbench"}  # fmt: skip


def test_typed_and_data_files_are_shipped(installed: Path) -> None:
    (package,) = (installed.parent / "lib").glob("python*/site-packages/latbench")
    for file in ("py.typed", "experiment/demo.toml", "report/page.html", "search/__init__.py",
                 "sparse/engine/engine.cpp", "sparse/engine/latbench_sparse.h"):  # fmt: skip
        assert (package / file).exists(), file


@pytest.mark.slow
def test_a_wheel_can_bring_the_engines_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATBENCH_BUNDLE_ENGINE", "1")
    wheel = build_wheel(tmp_path / "build")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    environment = fresh_environment(tmp_path / "env")
    install(environment, wheel)
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("LATBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    code = (
        "from latbench.sparse.libraries import library, usable_sets;"
        "from latbench.testing import check_backend;"
        "from latbench.testing.networks import short_chain;"
        "from latbench.backends import make_backend;"
        "print(library(usable_sets()[0]));"
        "print(check_backend(make_backend('simd-sparse'), networks=[short_chain()]))"
    )
    said = run_in(environment, "python", "-c", code)
    assert "site-packages/latbench/sparse/libs" in said
    assert "FAIL" not in said.upper()
