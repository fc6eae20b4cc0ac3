from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import pytest
import torch
from loading import as_model

from latbench.backends import Backend, backend_spec, list_backends, make_backend
from latbench.backends.cuda import missing_device
from latbench.backends.tensorrt import TensorRT
from latbench.backends.tensorrt_versions import Precision
from latbench.errors import BackendError, UsageError
from latbench.export.parity import reference_outputs, relative_error
from latbench.networks.network import Network
from latbench.spaces import make_space
from latbench.testing import BackendConformance
from latbench.testing.networks import conv_chain, short_chain

NO_GPU = bool(missing_device(0)[0])
ROOT = Path(__file__).parents[2]


def require_gpu(backend: TensorRT) -> TensorRT:
    found = backend.availability()
    if not found.ready:
        pytest.skip(found.reason)
    return backend


# On a device: the whole contract, in each precision, launched one by one and as a graph.


@pytest.mark.gpu
class TestFp32(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TensorRT()


@pytest.mark.gpu
class TestFp32Graph(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TensorRT(cuda_graph=True)


@pytest.mark.gpu
class TestTf32(BackendConformance):
    rtol: ClassVar[float] = TensorRT(precision="tf32").tolerance

    @pytest.fixture
    def backend(self, monkeypatch: pytest.MonkeyPatch) -> Backend:
        # Another backend's test may have switched it off; TensorRT reads it for each build.
        monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
        return TensorRT(precision="tf32")


@pytest.mark.gpu
class TestTf32Graph(TestTf32):
    @pytest.fixture
    def backend(self, monkeypatch: pytest.MonkeyPatch) -> Backend:
        monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
        return TensorRT(precision="tf32", cuda_graph=True)


@pytest.mark.gpu
class TestFp16(BackendConformance):
    rtol: ClassVar[float] = TensorRT(precision="float16").tolerance

    @pytest.fixture
    def backend(self) -> Backend:
        return TensorRT(precision="float16")


@pytest.mark.gpu
class TestFp16Graph(TestFp16):
    @pytest.fixture
    def backend(self) -> Backend:
        return TensorRT(precision="float16", cuda_graph=True)


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 3, 8, 64])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_batches(batch: int, precision: Precision) -> None:
    backend = require_gpu(TensorRT(precision=precision))
    space = make_space("nasbench201", {"channels": 8, "cells": 1, "batch": batch})
    network = space.build(space.sample(seed=0, index=0))
    with backend.load(as_model(network)) as session:
        session.run()
        assert session.outputs().shape[0] == batch
        error = relative_error(session.outputs(), reference_outputs(network))
        assert error <= backend.tolerance


@pytest.mark.gpu
def test_what_is_recorded_beside_the_latency() -> None:
    backend = require_gpu(TensorRT())
    with backend.load(as_model(short_chain())) as session:
        assert session.build_s is not None
        assert session.model_bytes is not None
        assert session.build_s > 0
        assert session.model_bytes > 4 * short_chain().parameters
    assert backend.device_name()


@pytest.mark.gpu
def test_the_timing_cache_is_kept_from_one_network_to_the_next() -> None:
    from latbench.backends.device_buffers import open_device
    from latbench.backends.tensorrt_engine import BuildSettings, engine_builder

    # Settings of its own, so that no other test has filled the cache.
    backend = require_gpu(TensorRT(avg_timing_iterations=3))
    settings = BuildSettings(
        "float32", 3, backend.tactic_sources, backend.avg_timing_iterations, backend.workspace_mib
    )
    sizes = []
    for layers, channels in ((3, 32), (6, 32), (3, 48)):
        backend.load(as_model(conv_chain(layers, channels, 32))).close()
        with open_device(0).active():
            sizes.append(engine_builder(0).timing_cache_bytes(settings))
    assert 0 < sizes[0] <= sizes[1] < sizes[2]


@pytest.mark.gpu
def test_it_shares_the_process_with_torch() -> None:
    """Both use the primary context: neither's memory nor current device is lost to the other."""
    backend = require_gpu(TensorRT())
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    before = torch.arange(1000, device="cuda")
    with backend.load(as_model(short_chain())) as session:
        product = torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")
        session.run()
        assert session.time(3)
        assert product.sum().item() == 64**3
        assert relative_error(session.outputs(), reference_outputs(short_chain())) < 1e-4
    assert before.sum().item() == 499500
    assert torch.cuda.get_device_name(torch.cuda.current_device()) == backend.device_name()


@pytest.mark.gpu
def test_sessions_that_are_open_together_do_not_mix() -> None:
    backend = require_gpu(TensorRT())
    networks = [conv_chain(layers, 16, 16) for layers in (1, 2, 3)]
    sessions = [backend.load(as_model(network)) for network in networks]
    for session in sessions:
        session.run()
    for session, network in zip(sessions, networks, strict=True):
        assert relative_error(session.outputs(), reference_outputs(network)) < 1e-4
        session.close()


def memory_left_after(backend: TensorRT, first: int, more: int) -> int:
    """Device bytes that ``more`` engines took and did not give back, after ``first`` of them.

    They are of the first architectures again: kernels stay loaded once they were needed, which is
    no leak.
    """
    from latbench.backends.device_buffers import open_device

    space = make_space("nasbench201", {"channels": 4, "cells": 1, "resolution": 16})
    free = []
    for index in range(first + more):
        if index == first:
            gc.collect()
            free.append(open_device(0).free_bytes())
        network = space.build(space.sample(seed=5, index=index % first))
        with backend.load(as_model(network)) as session:
            session.run()
    gc.collect()
    return free[0] - open_device(0).free_bytes()


@pytest.mark.gpu
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_engines_leave_no_device_memory_behind(cuda_graph: bool) -> None:
    backend = require_gpu(TensorRT(cuda_graph=cuda_graph, optimization_level=0))
    assert memory_left_after(backend, first=10, more=30) <= 8 << 20


@pytest.mark.gpu
@pytest.mark.slow
def test_a_thousand_engines_leave_no_device_memory_behind() -> None:
    backend = require_gpu(TensorRT(cuda_graph=True))
    assert memory_left_after(backend, first=50, more=950) <= 8 << 20


# Anywhere.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimization_level": 6}, "from 0 to 5, got 6"),
        ({"optimization_level": -1}, "from 0 to 5, got -1"),
        ({"avg_timing_iterations": 0}, "avg_timing_iterations must be at least 1"),
        ({"workspace_mib": 0}, "workspace_mib must be at least 1"),
        ({"device_id": -1}, "device_id must be at least 0"),
        ({"precision": "int8"}, "must be 'float32' or 'tf32' or 'float16'"),
        ({"tactic_sources": ["cudnn", "cublas"]}, r"in order .* \['cublas', 'cudnn'\]"),
        ({"tactic_sources": ["cudnn", "cudnn"]}, r"\['cudnn'\]; got"),
        ({"tactic_sources": ["cufft"]}, "option 'tactic_sources'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_backend("tensorrt", **options)


def test_every_choice_is_recorded() -> None:
    backend = TensorRT(precision="float16", tactic_sources=("cublas", "cudnn"))
    name, options = backend_spec(backend)
    assert name == "tensorrt"
    assert options == {
        "precision": "float16",
        "cuda_graph": False,
        "optimization_level": 3,
        "tactic_sources": ["cublas", "cudnn"],
        "avg_timing_iterations": 8,
        "workspace_mib": 1024,
        "device_id": 0,
    }
    assert make_backend(name, **options) == backend


def test_the_tolerance_follows_the_precision() -> None:
    for precision, tolerance in (("float32", 1e-4), ("tf32", 1e-2), ("float16", 2e-2)):
        backend = make_backend("tensorrt", precision=precision)
        assert (backend.rounding, backend.tolerance) == (precision, tolerance)


def package(folder: Path, name: str, content: str = "") -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(content)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "pycuda"):
        monkeypatch.setitem(sys.modules, name, None)
        found = dict(list_backends())["tensorrt"]
        assert not found.ready
        assert f"{name!r} is not installed" in found.reason
        assert found.remedy == "pip install 'latbench[tensorrt]'"
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(tmp_path))
        package(tmp_path, name)


@pytest.fixture
def installed_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Packages of the right names that can be imported and have nothing in them."""
    for name in ("tensorrt", "pycuda"):
        package(tmp_path, name)
    (tmp_path / "pycuda" / "driver.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with patch.dict(sys.modules):  # what was imported before comes back, what is now goes
        for name in ("tensorrt", "pycuda", "pycuda.driver"):
            sys.modules.pop(name, None)
        yield tmp_path


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
@pytest.mark.usefixtures("installed_packages")
def test_a_missing_device_is_the_reason() -> None:
    found = TensorRT().availability()
    assert not found.ready
    assert (found.reason, found.remedy) == missing_device(0)


@pytest.fixture
def p100(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's two answers that a machine with a Tesla P100 gives."""
    module = "latbench.backends.tensorrt"
    monkeypatch.setattr(f"{module}.missing_device", lambda device_id: ("", ""))
    monkeypatch.setattr(f"{module}.compute_capability", lambda device_id: (6, 0))


@pytest.mark.usefixtures("p100")
@pytest.mark.parametrize(
    ("version", "precision", "reason"),
    [
        ("8.6.1", "float32", ""),
        ("8.6.1", "float16", ""),
        ("8.6.1", "tf32", "compute capability 6.0 has no TF32"),
        ("10.16.1", "float32", "TensorRT 8.6.1 is the last for compute capability 6.x"),
        ("8.4.3", "float32", "too old"),
    ],
)
def test_a_p100_needs_the_release_that_has_code_for_it(
    installed_packages: Path, version: str, precision: Precision, reason: str
) -> None:
    (installed_packages / "tensorrt" / "__init__.py").write_text(f"__version__ = {version!r}")
    found = TensorRT(precision=precision).availability()
    assert reason in found.reason
    assert found.ready == (not reason)
    assert bool(found.remedy) == bool(reason)
    assert found.version == ("" if reason else version)


@pytest.mark.usefixtures("p100")
@pytest.mark.parametrize(
    "content", ["raise ImportError('libnvinfer.so.10: cannot open shared object file')", ""]
)
def test_a_damaged_install_is_said_to_be_one(installed_packages: Path, content: str) -> None:
    (installed_packages / "tensorrt" / "__init__.py").write_text(content)
    found = TensorRT().availability()
    assert not found.ready
    assert "tensorrt or pycuda is damaged" in found.reason
    assert found.remedy.startswith("uninstall both")


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_without_a_device_loading_and_naming_it_are_backend_errors() -> None:
    with pytest.raises(BackendError, match=r"tensorrt \(float32\) cannot load the network"):
        TensorRT().load(as_model(short_chain()))
    with pytest.raises(BackendError, match="the NVIDIA driver"):
        TensorRT().device_name()


def test_tf32_is_refused_where_it_was_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with pytest.raises(BackendError, match="NVIDIA_TF32_OVERRIDE=0 is set"):
        TensorRT(precision="tf32").load(as_model(short_chain()))


def test_listing_the_backends_imports_neither_tensorrt_nor_onnx() -> None:
    code = (
        "import sys; from latbench.backends import make_backend; make_backend('tensorrt'); "
        "print(*(m for m in ('tensorrt', 'pycuda', 'onnx', 'torch') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_other_backends_say_their_bytes_and_what_they_build() -> None:
    network: Network = short_chain()
    stored = 4 * network.parameters  # it has no buffers
    sizes = {}
    for name in ("onnxruntime", "torch-eager"):
        with make_backend(name).load(as_model(network)) as session:
            # ONNX Runtime optimises the graph, which is building; eager has nothing to build.
            assert (session.build_s is None) == (name == "torch-eager")
            assert session.model_bytes is not None
            sizes[name] = session.model_bytes
    assert sizes["torch-eager"] == stored
    assert stored < sizes["onnxruntime"] < 1.2 * stored
    assert np.all(np.fromiter(sizes.values(), np.int64) > 0)
