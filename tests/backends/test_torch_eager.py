from __future__ import annotations

from typing import Any

import pytest
import torch
from loading import as_model

from latbench.backends import Backend
from latbench.backends.torch_device import runs_on
from latbench.backends.torch_eager import TorchEager
from latbench.errors import BackendError
from latbench.testing import BackendConformance
from latbench.testing.networks import short_chain


class TestCpu(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchEager()


class TestChannelsLast(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchEager(channels_last=True)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs"])


class TestBfloat16(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchEager(precision="bfloat16")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs", "repeatable", "close"])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
class TestCudaAutocast(BackendConformance):
    @pytest.fixture
    def backend(self, precision: Any) -> Backend:
        return TorchEager(device="cuda", precision=precision, channels_last=True)


@pytest.mark.gpu
class TestCuda(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchEager(device="cuda")


@pytest.mark.gpu
class TestCudaChannelsLast(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchEager(device="cuda", channels_last=True, cudnn_benchmark=True)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_reach_the_runtime(threads: int) -> None:
    with TorchEager(threads=threads).load(as_model(short_chain())):
        assert torch.get_num_threads() == threads


def test_channels_last_reaches_weights_and_input(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    forward = torch.nn.Conv2d.forward

    def spy(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        for tensor in (x, self.weight):
            seen.append(tensor.is_contiguous(memory_format=torch.channels_last))
        return forward(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", spy)
    with TorchEager(channels_last=True).load(as_model(short_chain())) as session:
        session.run()
    assert seen
    assert all(seen)


@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch has CUDA")
def test_cuda_is_refused_with_a_reason_by_a_cpu_build() -> None:
    backend = TorchEager(device="cuda")
    found = backend.availability()
    assert not found.ready
    assert "was built without CUDA" in found.reason
    assert "CUDA build" in found.remedy
    with pytest.raises(BackendError, match=r"torch-eager \(cuda\) cannot load the network"):
        backend.load(as_model(short_chain()))


def test_outputs_need_a_run() -> None:
    with (
        TorchEager().load(as_model(short_chain())) as session,
        pytest.raises(BackendError, match="run the session"),
    ):
        session.outputs()


@pytest.mark.parametrize(
    ("archs", "capability", "expected"),
    [
        (["sm_50", "sm_60", "sm_70"], (6, 0), True),
        (["sm_60"], (6, 1), True),  # a later minor version of the same chip family
        (["sm_61"], (6, 0), False),
        (["sm_70", "sm_75", "sm_90"], (6, 0), False),  # PyTorch 2.8 on a P100
        (["sm_75", "compute_75"], (9, 0), True),  # compiled by the driver
        (["sm_75", "sm_90", "compute_90"], (8, 0), False),
        (["sm_90a"], (9, 0), True),
        (["sm_90a"], (9, 1), False),
        (["sm_100", "sm_120"], (12, 0), True),
        ([], (8, 0), False),
    ],
)
def test_which_builds_run_on_a_gpu(
    archs: list[str], capability: tuple[int, int], expected: bool
) -> None:
    assert runs_on(archs, capability) is expected
