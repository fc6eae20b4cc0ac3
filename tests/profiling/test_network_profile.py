"""Profiles: medians of visits, the sum beside the whole, and what a predictor says of each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import pytest
from loading import as_model

import latbench
from latbench.backends.base import Backend, Session
from latbench.campaign.campaign import Progress
from latbench.errors import BackendError, UsageError
from latbench.export.kernel_layers import KernelTime
from latbench.models import Model
from latbench.predictors.layer_shares import PredictedNetwork
from latbench.profiling import ProfileRuns, profile_network
from latbench.profiling.network_profile import OWN
from latbench.testing import CostModelBackend, FakeBackend
from latbench.testing.fake import FakeSession
from latbench.testing.networks import conv_chain, short_chain

COST = CostModelBackend(base_s=1e-3, s_per_layer=1e-4)
FEW = ProfileRuns(visits=3, runs=2)


def test_a_profile_of_known_times() -> None:
    network, reports = short_chain(), list[Progress]()
    found = profile_network(as_model(network), COST, FEW, report=reports.append)
    start, conv, relu, *_ = found.kernels
    assert (start.kind, start.layers, start.words) == (OWN, (), ())
    assert start.latency_s == pytest.approx(1.1e-3)
    assert (conv.name, conv.layers, conv.kind) == ("Conv", (1,), "conv 3x3")
    assert conv.latency_s == pytest.approx(1e-4 + 1e-10 * network.layer_macs(network.layers[1]))
    assert (relu.kind, relu.words) == ("relu", ("relu",))
    assert found.whole_s == found.sum_s == pytest.approx(COST.latency_s(network), rel=1e-6)
    assert found.sum_share == pytest.approx(1, rel=1e-6)
    assert (found.visits, found.runs, found.backend) == (3, 2, "cost-model")
    assert [(r.done, r.total, r.note) for r in reports] == [(1, 3, ""), (2, 3, ""), (3, 3, "")]


def test_kinds_are_sums_and_the_slowest_keep_their_order() -> None:
    found = profile_network(as_model(short_chain()), COST, FEW)
    kinds = {one.kind: one for one in found.kinds}
    assert kinds["conv 3x3"].kernels == 4
    convs = [k.latency_s for k in found.kernels if k.kind == "conv 3x3"]
    assert kinds["conv 3x3"].latency_s == pytest.approx(sum(convs))
    assert [one.latency_s for one in found.kinds] == sorted(
        (one.latency_s for one in found.kinds), reverse=True
    )
    assert [k.layers for k in found.slowest(4)] == [(), (3,), (5,), (7,)]
    assert found.slowest() == found.kernels
    with pytest.raises(UsageError, match="must be 1 or more, got 0"):
        found.slowest(0)


@dataclass(frozen=True)
class Uneven(Backend):
    """A backend whose second visit is disturbed, and that tells kernels in another order then."""

    name: ClassVar[str] = "uneven"
    simulated: ClassVar[bool] = True
    other: bool = False

    def availability(self) -> latbench.backends.Availability:
        return latbench.backends.Availability(True)

    def load(self, model: Model) -> Session:
        return _UnevenSession(model, self.other)


class _UnevenSession(FakeSession):
    def __init__(self, model: Model, other: bool) -> None:
        super().__init__(model, 1e-3)
        self._visit, self._other = count(), other
        self._layers = tuple(range(1, len(model.network.layers)))

    def profile(self, n: int) -> list[KernelTime]:
        visit = next(self._visit)  # the first one is before all visits
        factor = 9 if visit == 2 else 1
        name = "other" if self._other and visit == 3 else "work"
        kernels = [KernelTime("reorder", (), factor * 1e-4), KernelTime(name, self._layers, 5e-4)]
        return kernels[::-1] if visit == 2 else kernels


def test_one_disturbed_visit_decides_nothing() -> None:
    found = profile_network(as_model(short_chain()), Uneven(), FEW)
    reorder, work = found.kernels
    assert (reorder.latency_s, reorder.low_s, reorder.high_s) == pytest.approx((1e-4, 1e-4, 9e-4))
    assert work.latency_s == pytest.approx(5e-4)
    assert found.sum_share == pytest.approx(0.6)


def test_other_kernels_in_another_visit_are_refused() -> None:
    with pytest.raises(BackendError, match="uneven ran other kernels in one visit"):
        profile_network(as_model(short_chain()), Uneven(other=True), FEW)


def test_what_is_predicted_of_a_kernel_is_that_of_its_layers() -> None:
    network = conv_chain(layers=1, channels=4, resolution=8)  # 5 layers behind the input
    said = PredictedNetwork(16.0, 1.0, (0.0, 1.0, 2.0, 3.0, 4.0, 5.0))
    whole = profile_network(as_model(network), Uneven(), FEW, prediction=said)
    assert [k.predicted_s for k in whole.kernels] == [None, 15.0]
    each = profile_network(as_model(network), COST, FEW, prediction=said)
    assert [k.predicted_s for k in each.kernels] == [None, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert {k.kind: k.predicted_s for k in each.kinds}["linear"] == 5.0
    less = dataclasses.replace(said, layers_s=None)
    found = profile_network(as_model(network), COST, FEW, prediction=less)
    assert {k.predicted_s for k in found.kernels} == {None}


@pytest.mark.parametrize(("visits", "runs"), [(0, 1), (1, 0), (-1, None)])
def test_numbers_below_one_are_refused(visits: int, runs: int | None) -> None:
    with pytest.raises(UsageError, match=r"(visits|runs) must be 1 or more, got (0|-1)"):
        ProfileRuns(visits, runs)


def test_as_many_runs_as_fit() -> None:
    assert [ProfileRuns().of(s) for s in (1e-6, 0.01, 5.0)] == [200, 20, 3]
    assert ProfileRuns(runs=7).of(5.0) == 7


def test_a_backend_that_cannot_profile_says_so_before_it_times() -> None:
    backend = FakeBackend(lambda network: 1.0)
    with pytest.raises(BackendError, match="FakeSession cannot profile a network: its runtime"):
        profile_network(as_model(short_chain()), backend)


@dataclass(frozen=True)
class Wrong(Backend):
    """A backend whose output is not torch's."""

    name: ClassVar[str] = "wrong"

    def availability(self) -> latbench.backends.Availability:
        return latbench.backends.Availability(True)

    def load(self, model: Model) -> Session:
        kernels = COST.kernels(model.network)
        return FakeSession(model, 1e-3, fault="wrong_output", kernels=kernels)


def test_what_computes_something_else_is_not_timed() -> None:
    with pytest.raises(BackendError, match="differs from torch float32"):
        profile_network(as_model(short_chain()), Wrong(), FEW)
    assert profile_network(as_model(short_chain()), Wrong(), FEW, parity=False).kernels


def test_in_python_by_name() -> None:
    pytest.importorskip("onnxruntime")
    found = latbench.profile("resnet20_cifar", runs=ProfileRuns(1, 1), progress=False)
    assert {one.kind for one in found.kinds} >= {"conv 3x3", "linear", "global avg pool"}
    with pytest.raises(UsageError, match="unknown published network 'resnet21'"):
        latbench.profile("resnet21")
