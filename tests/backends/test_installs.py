"""What backends say of a runtime that is not installed, or damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from latbench.backends import Backend
from latbench.backends.ncnn import Ncnn
from latbench.backends.openvino import OpenVino

each = pytest.mark.parametrize("backend", [Ncnn(), OpenVino()], ids=lambda b: b.name)


@each
def test_not_installed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = backend.availability()
    assert f"'{backend.name}' is not installed" in found.reason
    assert found.remedy == f"pip install 'latbench[{backend.name}]'"


@each
def test_a_damaged_install_is_said_to_be_one(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{backend.name}.py").write_text("raise ImportError('lib.so is missing')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, backend.name, raising=False)
    found = backend.availability()
    assert not found.ready
    assert f"{backend.name} is damaged (ImportError: lib.so is missing)" in found.reason
