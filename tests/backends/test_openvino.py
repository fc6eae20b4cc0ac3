from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import pytest
from loading import as_model

from latbench.backends import Backend
from latbench.backends.openvino import OpenVino
from latbench.errors import BackendError, UsageError
from latbench.export.parity import reference_outputs
from latbench.networks.network import Network
from latbench.testing import BackendConformance
from latbench.testing.networks import conv_chain, short_chain

openvino = pytest.importorskip("openvino")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
two_cores = pytest.mark.skipif(CORES < 2, reason="OpenVINO makes no more threads than cores")


def small() -> Network:
    return conv_chain(layers=2, channels=4, resolution=8)


class TestLatency(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OpenVino()


@two_cores
class TestThroughput(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return OpenVino(hint="throughput", threads=2, pinning=False)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        checks = ["options", "outputs", "blocking", "clock", "close", "errors"]
        metafunc.parametrize("contract_check", checks)


class TestBfloat16(BackendConformance):
    rtol = OpenVino(precision="bfloat16").tolerance

    @pytest.fixture
    def backend(self) -> Backend:
        return OpenVino(precision="bfloat16")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["availability", "options", "outputs"])


def test_bfloat16_reaches_the_runtime() -> None:
    backend = OpenVino(precision="bfloat16")
    if not backend.availability().ready:
        pytest.skip(backend.availability().reason)
    with backend.load(as_model(short_chain())) as session:
        session.run()
        error = np.abs(session.outputs() - reference_outputs(short_chain())).max()
    assert error > 1e-4 * np.abs(reference_outputs(short_chain())).max()


def test_the_tolerance_goes_with_the_precision() -> None:
    assert OpenVino().tolerance == 1e-4
    half = dataclasses.replace(OpenVino(), precision="bfloat16")
    assert (half.rounding, half.tolerance) == ("bfloat16", 5e-2)
    assert dataclasses.replace(half, precision="float32") == OpenVino()
    assert dataclasses.replace(half, precision="float32").tolerance == 1e-4


def compiled_of(backend: OpenVino) -> Any:
    return backend.load(as_model(small()))._compiled  # type: ignore[attr-defined]


@two_cores
@pytest.mark.parametrize(
    ("options", "streams", "requests"),
    [
        ({"threads": 1}, 1, 1),
        ({"threads": 2}, 1, 1),
        ({"threads": 2, "streams": 2}, 2, 1),
        ({"threads": 2, "hint": "throughput"}, 2, 2),
        ({"threads": 2, "hint": "throughput", "streams": 1}, 1, 1),
        ({"threads": 1, "hint": "throughput"}, 1, 1),
    ],
)
def test_options_reach_the_runtime(options: dict[str, Any], streams: int, requests: int) -> None:
    backend = OpenVino(**options)
    assert backend.requests == requests
    compiled = compiled_of(backend)
    assert compiled.get_property("NUM_STREAMS") == streams
    assert compiled.get_property("INFERENCE_NUM_THREADS") == backend.threads
    assert compiled.get_property("PERFORMANCE_HINT") == backend.hint.upper()
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert compiled.get_property("CPU_DENORMALS_OPTIMIZATION") is True
    assert compiled.get_property("ENABLE_CPU_PINNING") is True
    assert list(compiled.get_property("EXECUTION_DEVICES")) == ["CPU"]


def test_pinning_can_be_switched_off() -> None:
    assert compiled_of(OpenVino(pinning=False)).get_property("ENABLE_CPU_PINNING") is False


def test_cpu_options_stay_with_the_cpu() -> None:
    assert OpenVino(device="GPU", precision="float16", hint="throughput", streams=3).config() == {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "f16",
        "NUM_STREAMS": 3,
    }
    config = OpenVino(core_type="performance", hyper_threading=True).config()
    assert config["SCHEDULING_CORE_TYPE"] == "PCORE_ONLY"
    assert config["ENABLE_HYPER_THREADING"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"streams": -1}, "streams must be at least 0, got -1"),
        ({"streams": 3, "threads": 2}, "3 streams need at least as many threads, got 2"),
    ],
)
def test_impossible_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OpenVino(**options)  # type: ignore[arg-type]


def test_fewer_threads_than_asked_for_are_an_error() -> None:
    """OpenVINO takes the number of cores instead and says nothing."""
    with pytest.raises(BackendError, match=r"made INFERENCE_NUM_THREADS .* of the 4096"):
        OpenVino(threads=4096).load(as_model(small()))


@pytest.mark.parametrize("device", ["AUTO", "HETERO:CPU", "NPU.7", "cpu"])
def test_no_device_but_the_one_that_was_asked_for(device: str) -> None:
    backend = OpenVino(device=device)
    found = backend.availability()
    assert not found.ready
    assert f"no device '{device}'" in found.reason
    assert "driver" in found.remedy
    with pytest.raises(BackendError, match=f"no device '{device}', only .*CPU"):
        backend.load(as_model(small()))


def test_a_precision_that_the_device_lacks() -> None:
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "FP16" in able:
        pytest.skip("this CPU computes in float16")
    found = OpenVino(precision="float16").availability()
    assert found.reason == "CPU does not compute in float16"
    # OpenVINO would compute in bfloat16 or float32 instead.
    with pytest.raises(BackendError, match=r"made INFERENCE_PRECISION_HINT .* of the f16"):
        OpenVino(precision="float16").load(as_model(small()))


def test_the_model_has_a_size() -> None:
    session: Any = OpenVino().load(as_model(small()))
    assert session.model_bytes > 4 * small().parameters


@two_cores
def test_requests_that_run_together_have_no_profile() -> None:
    backend = OpenVino(hint="throughput", threads=2, pinning=False)
    with (
        backend.load(as_model(small())) as session,
        pytest.raises(BackendError, match="cannot profile 2 requests that run together"),
    ):
        session.profile(1)
