from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from latbench.backends import Backend, list_backends
from latbench.backends.onnx_runtime import OnnxRuntime
from latbench.errors import BackendUnavailable
from latbench.testing import BackendConformance
from latbench.testing.networks import short_chain

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


class TestCpu(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime()


class TestTwoThreadsUnoptimised(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime(threads=2, spinning=False, graph_optimization="disabled")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs", "scaling"])


@pytest.mark.gpu
class TestCuda(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime(provider="cuda")


@pytest.mark.gpu
def test_tf32_in_a_process_of_its_own() -> None:
    """TF32 cannot be allowed again where it was switched off, as the tests above did."""
    found = OnnxRuntime(provider="cuda").availability()
    if not found.ready:
        pytest.skip(found.reason)
    code = (
        "from latbench.backends import make_backend; from latbench.testing import check_backend; "
        "backend = make_backend('onnxruntime', provider='cuda', tf32=True); "
        "check_backend(backend, rtol=2e-2).raise_if_failed()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NVIDIA_TF32_OVERRIDE"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("disabled", "ORT_DISABLE_ALL"),
        ("basic", "ORT_ENABLE_BASIC"),
        ("extended", "ORT_ENABLE_EXTENDED"),
        ("all", "ORT_ENABLE_ALL"),
    ],
)
def test_options_reach_the_runtime(level: Any, expected: str) -> None:
    options = OnnxRuntime(threads=3, spinning=False, graph_optimization=level).session_options()
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level.name == expected
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.set_denormal_as_zero") == "1"


def test_cuda_options_reach_the_provider() -> None:
    backend = OnnxRuntime(provider="cuda", device_id=1, cudnn_conv_algo_search="heuristic")
    assert backend.provider_options() == {
        "device_id": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        "use_tf32": "0",
    }
    entry = backend.session_options().get_session_config_entry("session.disable_cpu_ep_fallback")
    assert entry == "1"
    assert OnnxRuntime().provider_options() == {}


@pytest.mark.skipif(HAS_CUDA, reason="this onnxruntime has CUDA")
def test_cuda_never_falls_back_to_the_cpu() -> None:
    backend = OnnxRuntime(provider="cuda")
    found = backend.availability()
    assert not found.ready
    assert "built without CUDAExecutionProvider" in found.reason
    assert found.remedy.endswith("pip install 'latbench[cuda]'")
    assert "pip uninstall -y onnxruntime" in found.remedy
    with pytest.raises(BackendUnavailable, match="has no CUDAExecutionProvider"):
        backend.load(short_chain())


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = OnnxRuntime().availability()
    assert not found.ready
    assert "'onnxruntime' is not installed" in found.reason
    assert found.remedy == "pip install 'latbench[cpu]'"


def test_two_installs_over_each_other_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "onnxruntime_gpu-1.20.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.20.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = dict(list_backends())["onnxruntime"]
    assert not found.ready
    assert f"onnxruntime {onnxruntime.__version__} and onnxruntime-gpu 1.20.0" in found.reason
    assert found.remedy == (
        "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'latbench[cpu]'"
    )


@pytest.mark.parametrize("content", ["raise ImportError('libonnxruntime.so is missing')", ""])
def test_a_damaged_install_is_said_to_be_one(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "onnxruntime")
    found = OnnxRuntime().availability()
    assert not found.ready
    assert "onnxruntime is damaged" in found.reason
    assert found.remedy == "uninstall it, then pip install 'latbench[cpu]'"
