from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import psutil
import pytest
import torch
from loading import as_model
from torch._dynamo.utils import counters

from latbench.backends import Backend
from latbench.backends.torch_compile import TorchCompile
from latbench.backends.torch_device import unsupported_by_triton
from latbench.errors import BackendError, UsageError
from latbench.export.parity import parity
from latbench.networks.network import Network
from latbench.testing import BackendConformance
from latbench.testing.networks import conv_chain, few_networks, mobile_chain, short_chain

TINY = conv_chain(layers=1, channels=4, resolution=4)


class TestCpu(BackendConformance):
    """The networks of every space take minutes to compile; ``TestEverySpace`` has them."""

    networks: ClassVar[Sequence[Network]] = (TINY, short_chain())
    slow: ClassVar[Sequence[str]] = ("leaks", "profile", "scaling")

    @pytest.fixture
    def backend(self) -> Backend:
        return TorchCompile()


class TestBfloat16ChannelsLast(BackendConformance):
    networks: ClassVar[Sequence[Network]] = (TINY,)

    @pytest.fixture
    def backend(self) -> Backend:
        return TorchCompile(precision="bfloat16", channels_last=True)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs"])


def test_what_is_compiled_has_no_profile() -> None:
    with (
        TorchCompile().load(as_model(TINY)) as session,
        pytest.raises(BackendError, match="torch-compile cannot profile a network"),
    ):
        session.profile(1)


@pytest.mark.slow
def test_every_mobile_block_agrees_with_torch() -> None:
    """One network for those of all spaces, which take minutes; ``TestEverySpace`` has them."""
    network = mobile_chain()
    with TorchCompile().load(as_model(network)) as session:
        session.run()
        error, allowed = parity(as_model(network), session.outputs(), TorchCompile().tolerance)
    assert error <= allowed


@pytest.mark.slow
class TestEverySpace(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return TorchCompile()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["outputs", "repeatable"])


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"mode": "max-autotune"}, {"disk_cache": False}])
def test_other_ways_to_compile(options: dict[str, Any]) -> None:
    with TorchCompile(**options).load(as_model(TINY)) as session:
        assert session.build_s is not None
        assert session.build_s > 0


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["default", "reduce-overhead", "max-autotune"])
class TestCuda(BackendConformance):
    networks: ClassVar[Sequence[Network]] = tuple(n for _, n in few_networks())

    @pytest.fixture
    def backend(self, mode: Any) -> Backend:
        return TorchCompile(device="cuda", mode=mode)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
class TestCudaAutocast(BackendConformance):
    networks: ClassVar[Sequence[Network]] = tuple(n for _, n in few_networks())

    @pytest.fixture
    def backend(self, precision: Any) -> Backend:
        return TorchCompile(
            device="cuda", mode="reduce-overhead", precision=precision, channels_last=True
        )


def compiled_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_many_networks_stay_compiled_side_by_side() -> None:
    """torch runs a function in eager mode once 8 modules went through it, and says so nowhere."""
    before = compiled_graphs()
    with ExitStack() as stack:
        sessions = [stack.enter_context(TorchCompile().load(as_model(TINY))) for _ in range(10)]
        assert compiled_graphs() == before + 10
        for session in sessions:
            session.run()
        assert compiled_graphs() == before + 10, "running compiled again"


def test_the_build_is_timed_and_leaves_no_process() -> None:
    before = psutil.Process().children(recursive=True)  # of earlier tests, soon to end
    with TorchCompile().load(as_model(TINY)) as session:
        assert session.build_s is not None
        assert session.build_s > max(session.time(3)) * 1e-9
        assert session.model_bytes
        started = set(psutil.Process().children(recursive=True)) - set(before)
        names = [child.name() for child in started]
        assert not [name for name in names if "python" in name or "pt_main" in name]


def test_a_switched_off_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._dynamo.config, "disable", True)
    with pytest.raises(BackendError, match="switched off in this process"):
        TorchCompile().load(as_model(TINY))


def test_without_a_compiler_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    found = TorchCompile().availability()
    assert not found.ready
    assert "no C++ compiler ('no-such-compiler' is not on the path)" in found.reason
    assert "apt install g++" in found.remedy
    with pytest.raises(BackendError, match=r"no C\+\+ compiler"):
        TorchCompile().load(as_model(TINY))


def test_cuda_graphs_need_cuda() -> None:
    with pytest.raises(UsageError, match="choose device='cuda'"):
        TorchCompile(mode="reduce-overhead")


@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch has CUDA")
def test_cuda_is_refused_with_a_reason_by_a_cpu_build() -> None:
    found = TorchCompile(device="cuda").availability()
    assert not found.ready
    assert "was built without CUDA" in found.reason
    with pytest.raises(BackendError):
        TorchCompile(device="cuda").load(as_model(TINY))


def test_a_pascal_gpu_is_refused_with_a_sentence() -> None:
    reason, remedy = unsupported_by_triton((6, 0), "Tesla P100-PCIE-16GB")
    assert "compute capability 7.0 or later" in reason
    assert "the Tesla P100-PCIE-16GB has 6.0" in reason
    assert "torch-eager" in remedy
    assert unsupported_by_triton((7, 0), "Tesla V100") == ("", "")
