from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import as_model

from latbench.backends import backend_spec
from latbench.errors import BackendError, UsageError
from latbench.export.parity import reference_outputs
from latbench.spaces import make_space
from latbench.testing import BackendConformance, CostModelBackend, FakeBackend
from latbench.testing.fake import Noise
from latbench.testing.networks import long_chain, short_chain

ROOT = Path(__file__).parents[2]
SPACE = make_space("nasbench201", {"cells": 1, "channels": 4, "resolution": 8})
NETWORKS = [SPACE.build(a) for _, a in SPACE.unique_samples(seed=0, n=60)]


class TestCostModel(BackendConformance):
    @pytest.fixture
    def backend(self) -> CostModelBackend:
        return CostModelBackend(noise=0.01, session_noise=0.01, drift=0.05)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_latency_is_the_formula_without_noise() -> None:
    backend = CostModelBackend(base_s=1e-3, s_per_mac=1e-9, s_per_layer=1e-5)
    network = short_chain()
    expected = 1e-3 + 1e-9 * network.macs + 1e-5 * len(network.layers)
    assert backend.latency_s(network) == pytest.approx(expected)
    with backend.load(as_model(network)) as session:
        assert session.time(3) == [round(1e9 * expected)] * 3


def test_any_function_can_be_the_latency() -> None:
    backend = FakeBackend(lambda network: 1e-6 * len(network.layers))
    with backend.load(as_model(short_chain())) as session:
        assert session.time(2) == [1000 * len(short_chain().layers)] * 2


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_latency_must_be_positive(value: float) -> None:
    with pytest.raises(BackendError, match="positive"):
        FakeBackend(lambda network: value).load(as_model(short_chain()))


def test_a_fresh_process_repeats_the_times() -> None:
    code = """
import json
from latbench.backends import make_backend
from latbench.models import Model
from latbench.testing.networks import short_chain
backend = make_backend("latbench.testing.fake:CostModelBackend",
                       noise=0.1, session_noise=0.1, drift=0.1, seed=SEED)
print(json.dumps([backend.load(Model("x", short_chain())).time(3) for _ in range(2)]))
"""
    first, again, other = (
        json.loads(run_python(code.replace("SEED", seed)).stdout) for seed in ("0", "0", "1")
    )
    assert first == again
    assert first != other
    assert first[0] != first[1], "two sessions of one network must differ when there is noise"


@pytest.mark.parametrize("sigma", [0.01, 0.2])
def test_noise_has_the_given_spread(sigma: float) -> None:
    network = short_chain()
    with CostModelBackend(noise=sigma).load(as_model(network)) as session:
        assert np.std(np.log(session.time(2000))) == pytest.approx(sigma, rel=0.1)
    backend = CostModelBackend(session_noise=sigma)
    runs = np.log([backend.load(as_model(network)).time(2) for _ in range(300)])
    assert np.std(runs[:, 0]) == pytest.approx(sigma, rel=0.2)
    assert np.array_equal(runs[:, 0], runs[:, 1]), "runs of one session share its factor"


def test_drift_is_felt_alike_by_all_networks() -> None:
    backend = CostModelBackend(drift=0.3, drift_period_s=2.0)
    a, b = short_chain(), long_chain()
    with backend.load(as_model(a)) as one, backend.load(as_model(b)) as two:
        pairs = np.array([(one.time(1)[0], two.time(1)[0]) for _ in range(100)])
    assert np.ptp(pairs[:, 0]) / pairs[:, 0].mean() > 0.4
    ratio = pairs[:, 1] / pairs[:, 0]
    assert np.ptp(ratio) / ratio.mean() < 0.25
    assert ratio.mean() == pytest.approx(backend.latency_s(b) / backend.latency_s(a), rel=0.05)


@pytest.mark.parametrize(
    "bad", [{"run": -0.1}, {"session": -1.0}, {"drift": 1.0}, {"drift_period_s": 0.0}]
)
def test_noise_that_makes_no_sense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"^noise\.\w+ must be"):
        Noise(**bad)  # type: ignore[arg-type]


def test_faults_hit_the_chosen_share_of_networks() -> None:
    backend = CostModelBackend(fault="exception", fault_every=4)
    struck = [backend.faulty(network) for network in NETWORKS]
    assert 5 <= sum(struck) <= 25
    for network, fails in zip(NETWORKS, struck, strict=True):
        with backend.load(as_model(network)) as session:
            if fails:
                with pytest.raises(BackendError, match="told to"):
                    session.run()
            else:
                session.run()
    assert struck == [backend.faulty(network) for network in NETWORKS]
    other = CostModelBackend(fault="exception", fault_every=4, seed=1)
    assert struck != [other.faulty(network) for network in NETWORKS]
    assert not any(CostModelBackend(fault_every=1).faulty(network) for network in NETWORKS)


def dying(fault: Any) -> str:
    name, options = backend_spec(CostModelBackend(fault=fault))
    return f"""
from latbench.backends import make_backend
from latbench.models import Model
from latbench.testing.networks import short_chain
session = make_backend({name!r}, **{options!r}).load(Model("x", short_chain()))
print("loaded", flush=True)
session.run()
print("survived")
"""


@pytest.mark.parametrize(("fault", "code"), [("segfault", -11), ("oom", -9), ("exit", 3)])
def test_faults_end_the_process(fault: str, code: int) -> None:
    done = run_python(dying(fault))
    assert done.returncode == code
    assert done.stdout == "loaded\n"


def test_a_hang_does_not_return() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", dying("hang")],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
    finally:
        process.kill()
        process.communicate()


def test_a_wrong_output_is_wrong() -> None:
    network = short_chain()
    with CostModelBackend(fault="wrong_output").load(as_model(network)) as session:
        session.run()
        assert np.abs(session.outputs() - reference_outputs(network)).min() > 0.5


def test_fault_every_must_be_positive() -> None:
    with pytest.raises(UsageError, match="fault_every must be at least 1, got 0"):
        CostModelBackend(fault="hang", fault_every=0)


def test_a_worker_can_make_it_without_frameworks() -> None:
    code = "import sys, latbench.testing.fake; print([m for m in ('torch', 'pytest', 'onnx') "
    assert run_python(code + "if m in sys.modules])").stdout == "[]\n"
