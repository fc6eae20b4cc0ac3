"""What a worker does between requests, in this process."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from onnx_texts import CHAIN, HALF, QUANTISED, model_of

from latbench.backends import load_model, make_backend
from latbench.campaign import CampaignOptions
from latbench.campaign.canaries import CANARIES
from latbench.campaign.spec import MeasurerSpec
from latbench.campaign.worker import Worker, check_parity
from latbench.errors import BackendError, UsageError
from latbench.models import Model
from latbench.networks.weights import make_weights
from latbench.spaces import nasbench201
from latbench.testing import CostModelBackend
from latbench.testing.networks import short_chain
from latbench.timing.protocol import FOREIGN, Protocol

SPACE = nasbench201(channels=4, cells=1, resolution=8)


def started(protocol: Protocol) -> Worker:
    worker = Worker()
    spec = MeasurerSpec.of(SPACE, CostModelBackend(), protocol)
    worker.start(spec.request(False, CampaignOptions()))
    architecture = str(SPACE.sample(0, 0))
    worker.load({"id": 0, "architecture": architecture, "check": False})
    return worker


@pytest.mark.parametrize("pause_s", [0.0, 0.25])
def test_a_pause_comes_before_every_visit(monkeypatch: pytest.MonkeyPatch, pause_s: float) -> None:
    slept: list[float] = []
    worker = started(Protocol(pause_s=pause_s))
    monkeypatch.setattr(time, "sleep", slept.append)
    for canary in (None, "compute", None):
        worker.visit({"id": 0, "canary": canary})
    assert slept == ([pause_s] * 3 if pause_s else [])


def test_a_visit_may_be_followed_by_one_of_a_canary() -> None:
    worker = started(Protocol(canary_runs=5))
    assert worker.visit({"id": 0, "canary": None})["canary_ns"] == []
    for name in CANARIES:
        assert len(worker.visit({"id": 0, "canary": name})["canary_ns"]) == 5


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (1, "of older measurements, and is not timed any more; measure with protocol 2"),
        (FOREIGN, "of foreign measurements, which latbench never timed; measure with protocol 2"),
    ],
)
def test_another_protocol_is_not_timed(version: int, says: str) -> None:
    with pytest.raises(UsageError, match=f"protocol {version} is {says}"):
        MeasurerSpec.of(SPACE, make_backend("onnxruntime"), Protocol(version=version))


def test_an_output_that_is_no_number_is_not_compared() -> None:
    chain = short_chain()
    weights = {name: np.full_like(w, np.nan) for name, w in make_weights(chain).items()}
    model, backend = Model("m", chain, weights), CostModelBackend()
    session = backend.load(model)
    with pytest.raises(BackendError, match=r"the output, or that of torch float32, has NaN"):
        check_parity(backend, session, model)


def test_what_a_runtime_cannot_run_of_a_file_is_named_with_its_place() -> None:
    with pytest.raises(BackendError, match=r"the operator QuantizeLinear at 'small'"):
        load_model(make_backend("torch-eager"), model_of(QUANTISED))


def test_a_file_that_is_computed_otherwise_is_not_timed() -> None:
    """Here the weights beside the file, which torch takes, are others."""
    model, backend = model_of(CHAIN), make_backend("torch-eager")
    check_parity(backend, load_model(backend, model), model)
    wrong = replace(model, weights=make_weights(model.network, seed=1))
    with pytest.raises(BackendError, match=r"differs from ONNX Runtime on the file as it is by"):
        check_parity(backend, load_model(backend, wrong), wrong)


@pytest.mark.parametrize("text", [CHAIN, HALF, QUANTISED])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_that_reads_onnx_runs_a_file_as_it_is(name: str, text: str) -> None:
    backend = make_backend(name)
    if not backend.availability().ready:
        pytest.skip(f"{name} is not installed")
    model = model_of(text)
    with load_model(backend, model) as session:
        check_parity(backend, session, model)
        assert session.model_bytes == len(model.source or b"")
        shapes = [model.network.layers[i].shape for i in model.network.outputs]
        found = session.outputs()
        assert [y.shape for y in (found if isinstance(found, tuple) else (found,))] == shapes
