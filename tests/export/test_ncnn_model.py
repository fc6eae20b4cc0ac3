from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from exporter_contract import ExporterContract, folded, read_elsewhere
from strategies import ACTIVATIONS

from latbench.backends.ncnn import Ncnn
from latbench.export.ncnn_model import OUTPUT, to_ncnn
from latbench.export.ncnn_rules.ncnn_writer import INPUT
from latbench.networks.network import Network
from latbench.networks.weights import Array, Weights, make_input

ncnn = pytest.importorskip("ncnn")
torch.set_num_threads(1)


def run_ncnn(network: Network, weights: Weights | None, fuse: bool) -> Array:
    model = to_ncnn(network, weights, fuse=fuse)
    net = ncnn.Net()
    Ncnn().configure(net.opt)
    assert net.load_param_mem(model.param) == 0
    net.load_model_mem(model.weights)
    outputs = []
    for image in make_input(network):
        extractor = net.create_extractor()
        extractor.input(INPUT, ncnn.Mat(image).clone())
        code, output = extractor.extract(OUTPUT)
        assert code == 0
        outputs.append(np.array(output))
    return np.stack(outputs)


class TestNcnn(ExporterContract):
    def outputs(self, network: Network, weights: Weights | None) -> Iterator[Array]:
        for fuse in (True, False):
            yield run_ncnn(network, weights, fuse)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_convolution_becomes_one_layer_with_what_follows(kind: Any) -> None:
    network = folded(kind, groups=1, affine=True, bias=False)
    # The input and the convolution; ncnn's convolutions know not every activation.
    alone = kind in ("silu", "hsigmoid")
    assert len(to_ncnn(network).param.splitlines()) == 2 + 2 + alone
    assert len(to_ncnn(network, fuse=False).param.splitlines()) == 2 + 4


def test_what_is_read_elsewhere_stays_a_layer() -> None:
    param = to_ncnn(read_elsewhere()).param
    assert "BatchNorm" in param
    assert "ReLU" in param
