from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from loading import as_model

from latbench.backends import Backend, make_backend, require
from latbench.backends.simd_sparse import SimdSparse
from latbench.errors import BackendError, BackendUnavailable, UsageError
from latbench.export.rules import torch_rule
from latbench.models import Model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import BatchNorm, Conv, Op, Pool, Shape
from latbench.networks.weights import make_weights
from latbench.sparse import libraries
from latbench.sparse.libraries import can_be_had, usable_sets
from latbench.testing import BackendConformance, FakeBackend
from latbench.testing.networks import short_chain

pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")


@dataclass(frozen=True)
class Scaled(Op):
    """A layer kind that the engine knows nothing of, with weights of its own."""

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (inputs[0][1],)}


class _Scaled(torch.nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight[:, None, None]


@torch_rule(Scaled)
def _(op: Scaled, shapes: Sequence[Shape]) -> torch.nn.Module:
    return _Scaled(shapes[0][1])


class TestOneThread(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return SimdSparse()


class TestTwoThreadsOfAnotherGroup(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return SimdSparse(threads=2, group=8, tune=False)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs", "blocking"])


def test_model_bytes_are_those_of_the_groups_that_are_left() -> None:
    network = short_chain()
    weights = make_weights(network)
    dense = SimdSparse(tune=False).load(Model("dense", network, weights)).model_bytes
    filters = {
        name: array * (array.ndim < 4 or array.shape[1] == 3) for name, array in weights.items()
    }
    emptied = SimdSparse(tune=False).load(Model("emptied", network, filters)).model_bytes
    # 32 filters of 3 channels and 3 x 3 taps, 10 classes of 32 features, in groups of 16, and four
    # layers of 32 biases and one of 10, in blocks of 16
    assert emptied == (2 * 27 + 32) * (16 * 4 + 4) + 4 * (4 * 32 + 16)
    assert dense == emptied + 3 * 2 * 32 * 9 * (16 * 4 + 4)


def test_model_bytes_have_depthwise_weights_and_those_of_others() -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(BatchNorm(), b.add(Pool("max", 2, 2), b.add(Conv(20, 1), b.input)))
    network = b.build(b.add(Scaled(), b.add(Conv(20, 3, padding=1, groups=20), x)))
    loaded = SimdSparse(tune=False).load(as_model(network))
    # Two blocks of 16 channels each: a 1x1 convolution's groups and biases, a batch norm's factors
    # and shifts, nine taps and a bias each, and what torch has of the 20 channels.
    assert loaded.model_bytes == 2 * 3 * (16 * 4 + 4) + 4 * (32 * (1 + 2 + 10) + 20)
    assert loaded.fallbacks == ("Scaled by torch",)


def test_what_it_has_kernels_for_is_no_fallback() -> None:
    with SimdSparse(tune=False).load(as_model(short_chain())) as session:
        assert session.fallbacks == ()


def test_the_steps_of_a_network_are_timed_within_it() -> None:
    with SimdSparse(tune=False).load(as_model(short_chain())) as session:
        times = session.time_steps(5)
    # Four convolutions with their activations, a mean and a classifier, between two conversions.
    assert times.shape == (5, 2 + 6)
    assert (times >= 0).all()
    assert (times.sum(axis=1) > 0).all()
    with pytest.raises(BackendError, match="is closed"):
        session.time_steps(1)


def test_other_runtimes_do_not_tell_the_times_of_steps() -> None:
    network = short_chain()
    with (
        FakeBackend(lambda _: 1.0).load(as_model(network)) as session,
        pytest.raises(BackendError, match="FakeSession cannot time the steps"),
    ):
        session.time_steps(1)


def test_instructions_that_the_cpu_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "usable_sets", lambda: ("baseline",))
    with pytest.raises(UsageError, match="cannot run instructions=avx512; it has baseline"):
        SimdSparse(instructions="avx512").load(as_model(short_chain()))


def test_without_a_compiler_and_libraries_it_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(libraries.CACHE, str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(libraries, "BUNDLED", tmp_path)
    with pytest.raises(BackendUnavailable, match=r"there is no C\+\+ compiler.*install g\+\+"):
        require(make_backend("simd-sparse"))
    with pytest.raises(BackendError, match="install g"):
        SimdSparse().load(as_model(short_chain()))


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\necho 'error: no such standard' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv(libraries.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(libraries, "BUNDLED", tmp_path)
    with pytest.raises(BackendError, match="error: no such standard; set CXX to another"):
        SimdSparse().load(as_model(short_chain()))
    assert not list((tmp_path / "cache").iterdir())  # nothing is left behind


@pytest.mark.parametrize("instructions", usable_sets())
def test_every_set_of_instructions_gives_the_outputs_of_the_widest(instructions: Any) -> None:
    model = as_model(short_chain())
    outputs = []
    for chosen in ("auto", instructions):
        with SimdSparse(instructions=chosen, tune=False).load(model) as session:
            session.run()
            outputs.append(session.outputs())
    assert abs(outputs[0] - outputs[1]).max() <= 1e-5 * abs(outputs[0]).max()
