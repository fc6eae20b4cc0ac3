from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime
import pytest
from loading import as_model

from latbench.backends import Backend, list_backends, make_backend
from latbench.backends.onnx_runtime import OnnxRuntime
from latbench.backends.onnx_runtime_providers import installed_distributions, open_session
from latbench.errors import BackendError, BackendUnavailable, UsageError
from latbench.export.onnx import to_onnx
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Linear
from latbench.spaces import darts
from latbench.testing import BackendConformance
from latbench.testing.networks import few_networks, short_chain

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


class TestCpu(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime()


class TestOpenVino(BackendConformance):
    """Runs where onnxruntime-openvino is installed; elsewhere only its availability is checked."""

    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime(provider="openvino")


class TestOpenVinoBfloat16(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime(provider="openvino", precision="bfloat16", threads=2)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs"])


class TestTwoThreadsUnoptimised(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime(
            threads=2,
            spinning=False,
            graph_optimization="disabled",
            denormals_as_zero=False,
            cpu_arena=False,
            mem_pattern=False,
        )

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs", "scaling"])


@pytest.mark.gpu
class TestCuda(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OnnxRuntime(provider="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "float16"])
class TestTensorRT(BackendConformance):
    networks: ClassVar[Sequence[Network]] = tuple(n for _, n in few_networks())

    @pytest.fixture
    def backend(self, precision: Any, tmp_path_factory: pytest.TempPathFactory) -> Backend:
        # One cache for all checks, or every load would time every kernel again.
        cache = str(tmp_path_factory.getbasetemp() / "timing-cache")
        return OnnxRuntime(provider="tensorrt", precision=precision, trt_timing_cache_path=cache)


@pytest.mark.gpu
def test_tf32_in_a_process_of_its_own() -> None:
    """TF32 cannot be allowed again where it was switched off, as the tests above did."""
    found = OnnxRuntime(provider="cuda").availability()
    if not found.ready:
        pytest.skip(found.reason)
    code = (
        "from latbench.backends import make_backend; from latbench.testing import check_backend; "
        "backend = make_backend('onnxruntime', provider='cuda', tf32=True); "
        "check_backend(backend).raise_if_failed()"
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
    backend = OnnxRuntime(threads=3, spinning=False, graph_optimization=level, cpu_arena=False)
    options = backend.session_options()
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level.name == expected
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.set_denormal_as_zero") == "1"
    assert options.get_session_config_entry("session.use_env_allocators") == "0"
    assert not options.enable_cpu_mem_arena
    assert options.enable_mem_pattern


def test_cuda_options_reach_the_provider() -> None:
    backend = OnnxRuntime(provider="cuda", device_id=1, cudnn_conv_algo_search="heuristic")
    assert backend.provider_options() == {
        "device_id": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        "use_tf32": "0",
        "arena_extend_strategy": "kNextPowerOfTwo",
        "enable_cuda_graph": "0",
    }
    entry = backend.session_options().get_session_config_entry("session.disable_cpu_ep_fallback")
    assert entry == "1"
    assert OnnxRuntime().provider_options() == {}


def test_tensorrt_options_reach_the_provider() -> None:
    backend = OnnxRuntime(
        provider="tensorrt", precision="float16", trt_timing_cache_path="/cache", device_id=2
    )
    assert backend.provider_options() == {
        "device_id": "2",
        "trt_fp16_enable": "1",
        "trt_builder_optimization_level": "3",
        "trt_engine_cache_enable": "0",
        "trt_cuda_graph_enable": "0",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/cache",
    }
    plain = OnnxRuntime(provider="tensorrt").provider_options()
    assert plain["trt_timing_cache_enable"] == plain["trt_fp16_enable"] == "0"
    assert "trt_timing_cache_path" not in plain


def test_openvino_options_reach_the_provider() -> None:
    backend = OnnxRuntime(provider="openvino", precision="bfloat16", threads=3)
    options = backend.provider_options()
    assert options["device_type"] == "CPU"
    assert json.loads(options["load_config"])["CPU"] == {
        "INFERENCE_NUM_THREADS": "3",
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16",
        "CPU_DENORMALS_OPTIMIZATION": "YES",
    }


@pytest.mark.parametrize(
    ("provider", "precision"),
    [("cpu", "float16"), ("cuda", "bfloat16"), ("tensorrt", "bfloat16"), ("openvino", "float16")],
)
def test_a_precision_that_the_provider_lacks_is_refused(provider: Any, precision: Any) -> None:
    with pytest.raises(UsageError, match=f"provider '{provider}' computes in float32.*{precision}"):
        OnnxRuntime(provider=provider, precision=precision)


def test_a_builder_level_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="0 to 5, got 6"):
        OnnxRuntime(provider="tensorrt", trt_builder_optimization_level=6)


def test_tf32_has_its_tolerance_on_a_gpu() -> None:
    for options, rounding in (
        ({"provider": "cuda", "tf32": True}, "tf32"),
        ({"provider": "tensorrt", "precision": "float16"}, "float16"),
    ):
        backend = make_backend("onnxruntime", **options)
        assert (backend.rounding, backend.tolerance) == (rounding, 1e-2)


AZURE = "AzureExecutionProvider"


@pytest.mark.skipif(
    AZURE not in onnxruntime.get_available_providers(), reason="needs a provider that takes nothing"
)
def test_layers_that_fall_to_the_cpu_are_an_error() -> None:
    """The Azure provider starts, takes none of our layers, and leaves all to the CPU, silently."""
    model = to_onnx(short_chain()).SerializeToString()
    silent = onnxruntime.InferenceSession(model, providers=[AZURE])
    assert silent.get_providers()[0] == AZURE, "nothing shows that the CPU does the work"
    strict = OnnxRuntime(provider="openvino").session_options()
    with pytest.raises(BackendError, match=f"{AZURE} could not start or did not take every layer"):
        open_session(AZURE, {}, strict, model)


@pytest.mark.skipif(
    OnnxRuntime(provider="openvino").availability().ready is False,
    reason="onnxruntime-openvino is not installed",
)
def test_an_openvino_device_that_is_not_here_is_an_error() -> None:
    model = to_onnx(short_chain()).SerializeToString()
    strict = OnnxRuntime(provider="openvino").session_options()
    with pytest.raises(BackendError, match="could not start"):
        open_session("OpenVINOExecutionProvider", {"device_type": "NPU"}, strict, model)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "openvino"])
def test_a_provider_that_cannot_start_here_gives_no_figure(provider: Any) -> None:
    backend = OnnxRuntime(provider=provider)
    found = backend.availability()
    if found.ready:
        pytest.skip("it can start here")
    assert found.reason
    assert found.remedy
    with pytest.raises(BackendError):
        backend.load(as_model(short_chain()))


@pytest.mark.skipif(HAS_CUDA, reason="this onnxruntime has CUDA")
def test_cuda_never_falls_back_to_the_cpu() -> None:
    backend = OnnxRuntime(provider="cuda")
    found = backend.availability()
    assert not found.ready
    assert "built without CUDAExecutionProvider" in found.reason
    assert found.remedy.endswith("pip install 'latbench[cuda]'")
    assert "pip uninstall -y onnxruntime" in found.remedy
    with pytest.raises(BackendUnavailable, match="has no CUDAExecutionProvider"):
        backend.load(as_model(short_chain()))


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
    ours = [name for name in installed_distributions() if name != "onnxruntime-gpu"]
    for name in (*ours, "onnxruntime-gpu 1.20.0"):
        assert name in found.reason
    assert "have overwritten each other's files" in found.reason
    assert found.remedy.startswith("pip uninstall -y onnxruntime")
    assert found.remedy.endswith(", then pip install 'latbench[cpu]'")


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


def test_weights_stay_outside_the_serialised_model_and_are_counted() -> None:
    space = darts(channels=4, cells=3)
    network = space.build(space.reference())
    whole = len(to_onnx(network).SerializeToString())
    bare = len(to_onnx(network, beside={}).SerializeToString())
    with OnnxRuntime().load(as_model(network)) as session:
        assert session.model_bytes is not None
        assert bare < 0.8 * whole
        assert session.model_bytes == pytest.approx(whole, rel=0.05)


def test_nodes_that_stand_for_an_operator_are_known_by_what_they_write() -> None:
    """ONNX Runtime has no kernel for HardSwish, and its parts have no names."""
    b = NetworkBuilder((1, 8))
    x = b.add(Activation("hswish"), b.add(Linear(8), b.input))
    network = b.build(b.add(Linear(4), x))
    with OnnxRuntime().load(as_model(network)) as session:
        kernels = session.profile(3)
    assert [(k.name, k.layers) for k in kernels] == [
        ("Gemm t1", (1,)), ("HardSigmoid + Mul", (2,)), ("Gemm output", (3,)),
    ]  # fmt: skip


def test_a_profile_after_close_is_refused() -> None:
    session = OnnxRuntime().load(as_model(short_chain()))
    session.close()
    with pytest.raises(BackendError, match="the session is closed"):
        session.profile(1)
