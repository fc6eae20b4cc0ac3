from __future__ import annotations

from typing import Any

import pytest
from loading import as_model

from latbench.backends import Backend
from latbench.backends.ncnn import Ncnn
from latbench.errors import BackendError, UsageError
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv
from latbench.testing import BackendConformance
from latbench.testing.backend_checks import check_outputs
from latbench.testing.conformance import make_setup
from latbench.testing.networks import conv_chain, default_networks, short_chain

ncnn = pytest.importorskip("ncnn")


class TestCpu(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return Ncnn()


class TestTwoThreadsAsWritten(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return Ncnn(threads=2, fuse=False, winograd=False)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        metafunc.parametrize("contract_check", ["options", "outputs"])


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_lower_precisions_reach_the_runtime(precision: Any) -> None:
    backend = Ncnn(precision=precision)
    networks = [n for _, n in default_networks() if precision != "bfloat16" or not has_groups(n)]
    assert len(networks) >= len(default_networks()) - 2
    assert check_outputs(backend, make_setup(networks, backend.tolerance)).startswith("within")
    with pytest.raises(BackendError, match="differ from torch"):
        check_outputs(backend, make_setup(networks, 1e-5))


def has_groups(network: Network) -> bool:
    """Whether a convolution is in groups of several channels."""
    return any(
        isinstance(layer.op, Conv) and 1 < layer.op.groups < network.input_shapes(layer)[0][1]
        for layer in network.layers
    )


@pytest.mark.parametrize(
    ("op", "refused"),
    [
        (Conv(8, 1, groups=2), True),
        (Conv(8, 3, padding=1, groups=4), True),
        (Conv(16, 1, groups=8), True),  # two results for each channel, which is no depthwise one
        (Conv(8, 3, padding=1, groups=8), False),
        (Conv(8, 3, padding=1), False),
    ],
)
def test_wrong_groups_in_bfloat16_are_refused(op: Conv, refused: bool) -> None:
    b = NetworkBuilder((1, 3, 6, 6))
    model = as_model(b.build(b.add(op, b.add(Conv(8, 1), b.input))))
    for precision in ("float32", "float16"):
        Ncnn(precision=precision).load(model).close()
    backend = Ncnn(precision="bfloat16")
    if refused:
        with pytest.raises(BackendError, match=r"layer 2 has 8 channels in \d groups; take"):
            backend.load(model)
    else:
        assert check_outputs(backend, make_setup([model.network], 5e-2)).startswith("within")


def test_the_tolerance_goes_with_the_precision() -> None:
    tolerances = [Ncnn(precision=p).tolerance for p in ("float32", "float16", "bfloat16")]
    assert tolerances == [1e-4, 1e-2, 5e-2]
    assert Ncnn(precision="bfloat16").rounding == "bfloat16"


def test_options_reach_the_runtime() -> None:
    option = ncnn.Option()
    Ncnn(threads=3, winograd=False, precision="bfloat16").configure(option)
    assert option.num_threads == 3
    assert not option.use_winograd_convolution
    assert option.use_bf16_storage
    assert not option.use_fp16_arithmetic
    assert not option.use_fp16_storage
    assert not option.use_fp16_packed
    assert not option.use_vulkan_compute
    session: Any = Ncnn(threads=3).load(as_model(short_chain()))
    assert session._net.opt.num_threads == 3
    assert session._net.opt.use_winograd_convolution


def test_the_model_has_a_size() -> None:
    network = short_chain()
    session: Any = Ncnn().load(as_model(network))
    assert session.model_bytes > 4 * network.parameters


def test_impossible_options() -> None:
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        Ncnn(threads=0)


def test_outputs_need_a_run() -> None:
    session = Ncnn().load(as_model(conv_chain(layers=1, channels=2, resolution=4)))
    with pytest.raises(BackendError, match="run the session first"):
        session.outputs()


def test_what_ncnn_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from latbench.export.ncnn_model import NcnnModel

    nonsense = NcnnModel("7767517\n1 1\nNoSuchLayer x 0 1 output\n", b"")
    monkeypatch.setattr("latbench.backends.ncnn.to_ncnn", lambda *_, **__: nonsense)
    with pytest.raises(BackendError, match="ncnn refused the layers"):
        Ncnn().load(as_model(short_chain()))


def test_a_run_that_fails_is_an_error() -> None:
    session: Any = Ncnn().load(as_model(short_chain()))
    session._inputs = [ncnn.Mat()]
    with pytest.raises(BackendError, match="ncnn cannot run the network"):
        session.run()
