from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest
from loading import as_model

from latbench.backends import Backend, executorch
from latbench.backends.executorch import ExecuTorch
from latbench.errors import BackendError, UsageError
from latbench.export.parity import reference_outputs
from latbench.models import Model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation, Pool
from latbench.testing import BackendConformance
from latbench.testing.networks import conv_chain, few_networks, short_chain

pytestmark = pytest.mark.slow  # importing it, and lowering a network, take seconds each
# Not imported while tests are collected: it takes three seconds in each test process.
if importlib.util.find_spec("executorch") is None:
    pytest.skip("executorch is not installed", allow_module_level=True)

SMALL = conv_chain(layers=2, channels=4, resolution=8)


@pytest.fixture(autouse=True, scope="module")
def lower_once() -> Iterator[None]:
    """The checks load the same networks again and again, and lowering one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executorch, "lower", lru_cache(executorch.lower))
        yield


class TestCpu(BackendConformance):
    networks = tuple(network for _, network in few_networks())
    slow: ClassVar[Sequence[str]] = (
        "blocking", "clock", "leaks", "outputs", "profile", "scaling",
    )  # fmt: skip

    @pytest.fixture
    def backend(self) -> Backend:
        return ExecuTorch()


@pytest.mark.slow
class TestEverySpace(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return ExecuTorch()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["outputs"])


@pytest.mark.parametrize("threads", [2, 1])
def test_threads_reach_the_runtime(threads: int) -> None:
    from executorch.extension.pybindings import portable_lib

    with ExecuTorch(threads=threads).load(as_model(SMALL)) as session:
        assert portable_lib._threadpool_get_thread_count() == threads
        session.run()
        np.testing.assert_allclose(session.outputs(), reference_outputs(SMALL), atol=1e-4)


def test_xnnpack_does_the_work() -> None:
    session: Any = ExecuTorch().load(as_model(short_chain()))
    assert b"XnnpackBackend" in session._program.content
    assert session.model_bytes > 4 * short_chain().parameters


def test_a_layer_that_it_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = executorch.lower

    def lower(model: Model) -> bytes:
        if any(isinstance(layer.op, Pool) for layer in model.network.layers):
            raise RuntimeError("no kernel")
        return whole(model)

    monkeypatch.setattr(executorch, "lower", lower)
    b = NetworkBuilder((1, 2, 4, 4))
    x = b.add(Pool("max", 2), b.add(Activation(), b.input))
    with pytest.raises(BackendError, match=r"executorch does not run layer 2 \(Pool\(kind='max'"):
        ExecuTorch().load(as_model(b.build(x)))


def test_outputs_need_a_run() -> None:
    with pytest.raises(BackendError, match="run the session first"):
        ExecuTorch().load(as_model(SMALL)).outputs()


def test_impossible_options() -> None:
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        ExecuTorch(threads=0)


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = ExecuTorch().availability()
    assert "'executorch' is not installed" in found.reason
    assert found.remedy == "pip install 'latbench[executorch]'"


def test_a_damaged_install_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch.extension.pybindings.portable_lib", None)
    with pytest.raises(BackendError, match="executorch cannot load the network: ModuleNotFound"):
        ExecuTorch().load(as_model(SMALL))


def test_asking_whether_it_is_ready_does_not_import_it() -> None:
    code = "import sys; from latbench.backends.executorch import ExecuTorch; "
    code += "ExecuTorch().availability(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
