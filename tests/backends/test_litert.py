from __future__ import annotations

import sys
from typing import Any

import pytest
from loading import as_model

from latbench.backends import Backend
from latbench.backends.litert import LiteRt
from latbench.errors import BackendError, UsageError
from latbench.testing import BackendConformance
from latbench.testing.networks import short_chain

pytest.importorskip("ai_edge_litert.interpreter")


class TestCpu(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return LiteRt()


class TestBuiltInKernelsOnTwoThreads(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return LiteRt(threads=2, xnnpack=False)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs", "close"])


@pytest.mark.parametrize("xnnpack", [True, False])
def test_xnnpack_does_the_work_when_it_is_asked_for(xnnpack: bool) -> None:
    session: Any = LiteRt(xnnpack=xnnpack).load(as_model(short_chain()))
    names = [operator["op_name"] for operator in session._interpreter._get_ops_details()]
    assert ("DELEGATE" in names) is xnnpack
    assert "CONV_2D" in names


def test_threads_reach_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_edge_litert import interpreter

    seen: list[int] = []
    original = interpreter.Interpreter

    def spy(**options: Any) -> Any:
        seen.append(options["num_threads"])
        return original(**options)

    monkeypatch.setattr(interpreter, "Interpreter", spy)
    LiteRt(threads=2).load(as_model(short_chain())).close()
    assert seen == [2]


def test_the_model_has_a_size() -> None:
    session: Any = LiteRt().load(as_model(short_chain()))
    assert session.model_bytes > 4 * short_chain().parameters


def test_impossible_options() -> None:
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        LiteRt(threads=0)


def test_what_litert_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from latbench.export.tflite import TfliteModel

    nonsense = TfliteModel(b"no model at all", (), ())
    monkeypatch.setattr("latbench.export.tflite.to_tflite", lambda *_: nonsense)
    with pytest.raises(BackendError, match="litert cannot load the network: ValueError"):
        LiteRt().load(as_model(short_chain()))


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = LiteRt().availability()
    assert "'ai_edge_litert' is not installed" in found.reason
    assert found.remedy == "pip install 'latbench[litert]'"


def test_a_damaged_install_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)  # cannot be imported
    found = LiteRt().availability()
    assert not found.ready
    assert "ai-edge-litert is damaged (ModuleNotFoundError" in found.reason
    assert found.remedy == "uninstall it, then pip install 'latbench[litert]'"
