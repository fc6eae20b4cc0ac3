"""The suite must catch what it promises to: each broken backend fails the check of its name."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
import torch
from loading import as_model

from latbench.backends import Availability, Backend, Session
from latbench.backends.torch_eager import TorchEager
from latbench.errors import BackendError, UsageError
from latbench.export.kernel_layers import KernelTime
from latbench.models import Model
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import ActivationKind, Conv
from latbench.spaces import SPACES
from latbench.testing import CHECKS, BackendConformance, check_backend
from latbench.testing.conformance import make_setup
from latbench.testing.networks import (
    default_networks,
    few_networks,
    layer_kinds,
    mobile_chain,
    short_chain,
)
from latbench.testing.resources import Resources, left_behind

LEAKED: list[Any] = []
MADE: list[Any] = []


@pytest.fixture(autouse=True)
def restore_process_state() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for left in LEAKED:
        if isinstance(left, ThreadPoolExecutor):
            left.shutdown()
        if isinstance(left, io.IOBase):
            left.close()
    LEAKED.clear()


@dataclass(frozen=True)
class Broken(Backend):
    """A torch backend with one thing wrong."""

    name: ClassVar[str] = "broken"
    wrong: str = "nothing"

    def __post_init__(self) -> None:
        if self.wrong.startswith("changes its options"):
            MADE.append(self)
            object.__setattr__(self, "wrong", f"changes its options {len(MADE)}")

    def availability(self) -> Availability:
        if self.wrong == "raises instead of no":
            raise OSError("no driver")
        ready = not self.wrong.startswith("says no")
        return Availability(ready, "broken" * (self.wrong == "says no without remedy"))

    def load(self, model: Model) -> Session:
        network, chain = model.network, as_model(short_chain())
        if self.wrong == "says yes but cannot load":
            raise RuntimeError("the library is missing")
        if self.wrong == "raw error":
            return BrokenSession(TorchEager().load(chain), network.layers[99], self.wrong)
        if self.wrong == "vague error" and len(network.layers) == 2:
            raise BackendError("cannot load the network")
        if self.wrong == "loads anything":
            return BrokenSession(TorchEager().load(chain), network, self.wrong)
        if self.wrong == "invented weights":
            model = as_model(network)
        return BrokenSession(TorchEager().load(model), network, self.wrong)


class BrokenSession(Session):
    def __init__(self, inner: Session, network: Any, wrong: str) -> None:
        self.inner: Any = inner
        self.wrong = wrong
        self.pool = ThreadPoolExecutor(1)
        self.pending: Future[None] | None = None
        self.runs = 0
        if wrong == "leak":
            LEAKED.append(np.ones(network.parameters, np.float32))
        if wrong == "leaves files open":
            LEAKED.append(open(os.devnull))  # noqa: SIM115 - to be left open is the point
        if wrong == "leaves threads":
            self.pool.submit(int).result()

    def run(self) -> None:
        self.runs += 1
        if self.wrong == "asynchronous":
            self.pending = self.pool.submit(self.inner.run)
        else:
            self.inner.run()

    def outputs(self) -> Any:
        if self.pending:
            self.pending.result()
        out = self.inner.outputs()
        if isinstance(out, tuple):
            turned = (out[1], out[0], out[2])
            return {
                "one output": out[0],
                "outputs out of order": turned,
                "integers": (out[0], out[1].astype(np.int64), out[2]),
                "wrong second output": (out[0], out[1] + 1, out[2]),
            }.get(self.wrong, out)
        return {
            "slightly wrong output": out + 1e-3 * np.abs(out).max(),
            "zeros": np.zeros_like(out),
            "nan": np.full_like(out, np.nan),
            "float64": out.astype(np.float64),
            "flat": out.reshape(-1),
            "random": out + self.runs * 1e-3,
        }.get(self.wrong, out)

    def time(self, n: int) -> list[Any]:
        times: list[Any] = super().time(n)
        return {
            "zero times": [0] * n,
            "too few times": times[1:],
            "floats": [t / 1 for t in times],
            "numpy integers": list(np.array(times)),
            "microseconds": [max(1, t // 1000) for t in times],
            "sum instead of mean": [sum(times)] * n,
            "constant": [1000] * n,
        }.get(self.wrong, times)

    def profile(self, n: int) -> list[KernelTime]:
        kernels: list[KernelTime] = self.inner.profile(n)
        last = kernels[-1]
        return {
            "profile of half": kernels[::2],
            "profile of no time": [*kernels[:-1], KernelTime(last.name, last.layers, 0.0)],
            "layer in two kernels": [*kernels, last],
        }.get(self.wrong, kernels)

    def close(self) -> None:
        if self.wrong == "leaves threads":
            LEAKED.append(self.pool)
        else:
            self.pool.shutdown()
        if self.wrong == "closes once":
            assert self.inner is not None, "closed before"
        if self.wrong in ("closes once", "obscure after close"):
            self.inner = None
        else:
            self.inner.close()


# What is wrong: which check finds it, and the words in which it says so.
FAULTS = {
    "says no": ("availability", "says no without a reason"),
    "says no without remedy": ("availability", "says no without a remedy"),
    "raises instead of no": ("availability", "no driver"),
    "says yes but cannot load": ("availability", "the library is missing"),
    "changes its options": ("options", "was made from the options of"),
    "slightly wrong output": ("outputs", "outputs differ from torch by 1.0e-03"),
    "zeros": ("outputs", "outputs differ from torch by 1.0e+00"),
    "nan": ("outputs", "outputs differ from torch by inf"),
    "invented weights": ("outputs", "with given weights"),
    "float64": ("outputs", "outputs are float64"),
    "flat": ("outputs", "outputs have shape (10,), not (1, 10)"),
    "one output": ("inputs", "a model of 3 outputs gave a ndarray"),
    "outputs out of order": ("inputs", "the outputs have the shapes [(1, 3), (1, 3, 4), (1, 3)]"),
    "integers": ("inputs", "outputs are float32, int64, not float32"),
    "wrong second output": ("inputs", "outputs differ from what the file says by"),
    "random": ("repeatable", "from run to run"),
    "asynchronous": ("blocking", "run() returned early"),
    "microseconds": ("clock", "it must be nanoseconds"),
    "sum instead of mean": ("clock", "time(n) adds up to"),
    "zero times": ("time_counts", "returned 0 ns"),
    "too few times": ("time_counts", "time(1) returned 0 values"),
    "floats": ("time_counts", "not an int"),
    "numpy integers": ("time_counts", "not an int"),
    "constant": ("scaling", "takes only 1.00 times as long"),
    "closes once": ("close", "closed before"),
    "obscure after close": ("close", "run() after close() raised AttributeError"),
    "leak": ("leaks", "MB of memory behind"),
    "leaves files open": ("leaks", "50 sessions of 2.4 MB left 50 open files behind"),
    "leaves threads": ("leaks", "50 sessions of 2.4 MB left 50 threads behind"),
    "profile of half": ("profile", "has the layer 2 in 0 kernels"),
    "profile of no time": ("profile", "times must be positive"),
    "layer in two kernels": ("profile", "in 2 kernels"),
    "raw error": ("errors", "load() raised IndexError"),
    "vague error": ("errors", "does not say which layer kind"),
    "loads anything": ("errors", "accepted a layer kind"),
}


def test_every_check_is_shown_to_fail() -> None:
    assert {check for check, _ in FAULTS.values()} == set(CHECKS)


@pytest.mark.parametrize("wrong", FAULTS)
def test_a_broken_backend_fails_the_check_of_its_fault(wrong: str) -> None:
    check, message = FAULTS[wrong]
    with pytest.raises(Exception, match=re.escape(message)):
        CHECKS[check](Broken(wrong), make_setup())


def test_the_same_backend_with_nothing_wrong_passes() -> None:
    report = check_backend(Broken())
    report.raise_if_failed()
    assert [result.name for result in report.results] == list(CHECKS)


def test_the_report_names_what_failed_and_why() -> None:
    report = check_backend(Broken("zero times"), networks=[short_chain()])
    assert {result.name for result in report.failures} == {"time_counts", "clock", "scaling"}
    with pytest.raises(BackendError, match=r"FAIL  time_counts: time\(\) returned 0 ns"):
        report.raise_if_failed()
    assert "pass  outputs: within" in str(report)


def test_a_backend_that_is_not_ready_does_not_pass() -> None:
    report = check_backend(TorchEager(device="cuda", device_id=1000))
    passed = [result.name for result in report.results if result.passed]
    assert passed == ["availability"]
    assert not report.passed


def test_a_looser_tolerance_accepts_more() -> None:
    assert CHECKS["outputs"](Broken("slightly wrong output"), make_setup(rtol=1e-2))


def test_gpu_memory_is_counted_where_it_is_known() -> None:
    before = Resources(100, 10, 4, gpu_mb=1000)
    assert left_behind(before, Resources(100, 10, 4, gpu_mb=1120)) == ["120 MB of GPU memory"]
    assert left_behind(before, Resources(100, 10, 4, gpu_mb=1010)) == []
    assert left_behind(before, Resources(100, 10, 4, gpu_mb=None)) == []
    assert left_behind(Resources(100, 10, 4, gpu_mb=None), before) == []


def test_no_network_is_no_check() -> None:
    with pytest.raises(UsageError, match="networks must not be empty"):
        check_backend(Broken(), networks=[])


def test_the_default_networks_cover_spaces_batches_and_odd_sizes() -> None:
    labels = [label for label, _ in default_networks()]
    shapes = {network.input_shape for _, network in default_networks()}
    assert all(any(f" of {name}(" in label for label in labels) for name in SPACES)
    assert {shape[0] for shape in shapes} == {1, 2, 4}
    assert {shape[2] % 2 for shape in shapes} == {0, 1}


def test_few_networks_have_every_kind_of_layer() -> None:
    kinds = frozenset().union(*(layer_kinds(network) for _, network in default_networks()))
    few = [network for _, network in few_networks()]
    assert frozenset().union(*map(layer_kinds, few)) == kinds
    assert len(few) == 2
    mobile = layer_kinds(mobile_chain())
    assert mobile >= {f"Activation {kind}" for kind in get_args(ActivationKind)}
    assert mobile >= {
        "ChannelShuffle", "Concat", "Slice", "Conv in groups 1x1", "Conv depthwise window strided",
        "Elementwise mul", "Elementwise mul broadcast", "Elementwise add",
    }  # fmt: skip
    assert "Conv in groups window" in layer_kinds(one_convolution(Conv(4, 3, groups=2)))
    assert "Conv depthwise window" in layer_kinds(one_convolution(Conv(4, 3, groups=4)))
    assert "Conv dense 1x1 strided" in layer_kinds(one_convolution(Conv(4, 1, stride=2)))


def one_convolution(op: Conv) -> Network:
    b = NetworkBuilder((1, 4, 8, 8))
    return b.build(b.add(op, b.input))


def test_the_pytest_class_skips_what_is_not_ready() -> None:
    with pytest.raises(pytest.skip.Exception, match="broken is not ready"):
        BackendConformance().test_contract(Broken("says no without remedy"), "outputs")
