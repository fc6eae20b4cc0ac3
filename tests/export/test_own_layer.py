"""``docs/own-layer.md``: a layer kind from outside, by the files and the command of the page."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from doc_pages import DOCS, files_of, follow

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.encodings import encode, encode_networks
from latbench.encodings.graph import GRAPH_FEATURES
from latbench.encodings.kind_numbers import KIND_NUMBERS, kind_number
from latbench.errors import BackendError, ParseError, UsageError
from latbench.export.onnx import to_onnx
from latbench.export.rules import ncnn_rule, onnx_rule, torch_code_rule, torch_rule
from latbench.export.torch import run_layers, to_torch
from latbench.models import Model, export_model
from latbench.models.network_json import network_from, network_values
from latbench.networks.blocks import classifier, conv_bn
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Concat, Conv, Op
from latbench.networks.optimisation import savings
from latbench.networks.weights import make_input, make_weights
from latbench.search.supernets.inherited import inherited
from latbench.search.supernets.supernet_module import Supernet, mix_all
from latbench.spaces import AnySpace, parse_space
from latbench.store import Store
from latbench.testing import check_space
from latbench.timing.protocol import Protocol

SPACE = "smooth_space:Smooth(channels=8, resolution=9)"
GELUS = (1, 1, 1, 1, 1)  # eight channels, four times Gelu
MODULES = ("my_layers", "smooth_space")


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's module of layers; nothing of it is left behind."""
    for name, text in files_of(DOCS / "own-layer.md").items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # put back afterwards
        del sys.modules[name]
    return importlib.import_module("my_layers")


@pytest.fixture
def space(layers: Any) -> AnySpace:
    return parse_space(SPACE)


def outputs(module: torch.nn.Module, network: Network) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = module(torch.from_numpy(make_input(network)))
    return result


@pytest.mark.slow
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    out = follow("own-layer.md", tmp_path)
    assert out.startswith("ONNX Runtime and torch agree\n")
    assert (tmp_path / "smooth.sqlite").exists()


def test_a_worker_has_the_rules_of_the_layers_of_its_space(
    space: AnySpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It imports the space alone. That outputs agree with torch's is part of a measurement."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Store(tmp_path / "s.sqlite", space) as store:
        outcome = run_campaign(
            store, make_backend("onnxruntime"),
            architectures=[space.of(GELUS), space.reference()],
            protocol=Protocol(min_visits=2, max_visits=2), options=CampaignOptions(retest=0.0),
        )  # fmt: skip
        assert (outcome.measured, outcome.failed) == (2, 0)


def test_the_files_of_the_page(layers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    exec(files_of(DOCS / "own-layer.md")["check_my_layers.py"], {})  # noqa: S102
    assert capsys.readouterr().out == "ONNX Runtime and torch agree\n"


def test_it_is_exported_as_torch_code(layers: Any, space: AnySpace, tmp_path: Path) -> None:
    model = Model("mine", space.build(space.of(GELUS)))
    done = export_model(model, onnx=tmp_path / "a.onnx", torch=tmp_path / "a.py")
    assert max(done.onnx_error or 0, done.torch_error or 0) < 1e-5
    text = (tmp_path / "a.py").read_text()
    assert text.count("class ScaledAdd(nn.Module)") == 1
    assert "def conv_norm_gelu() -> nn.Sequential:" in text
    assert "        return self.scaled_add(x, y)" in text
    del torch_code_rule.rules[layers.Gelu]
    with pytest.raises(BackendError, match=r"Gelu in the torch code export; .*@torch_code_rule"):
        export_model(model, torch=tmp_path / "b.py")
    export_model(model, onnx=tmp_path / "b.onnx")  # which needs no torch code


def test_what_outputs_are_compared_with_is_the_module(space: AnySpace) -> None:
    network = space.build(space.reference())
    weights, x = make_weights(network, seed=1), torch.from_numpy(make_input(network))
    for dtype in (torch.float32, torch.float64):
        module = to_torch(network, weights).to(dtype)
        with torch.no_grad():
            expected = module(x.to(dtype))
        found = run_layers(network, weights, x.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_its_weights_are_invented_given_and_got(layers: Any, space: AnySpace) -> None:
    network = space.build(space.of(GELUS))
    weights = make_weights(network)
    own = [i for i, layer in enumerate(network.layers) if isinstance(layer.op, layers.ScaledAdd)]
    for i in own:
        assert weights[f"{i}.weight"].shape == (8,)
        np.testing.assert_allclose(weights[f"{i}.weight"], 1, atol=0.3)
        assert weights[f"{i}.weight"].std() > 0.01
    module = to_torch(network, weights)
    for name, array in module.weights().items():
        np.testing.assert_array_equal(array, weights[name])
    assert module.layers[str(own[0])].weight.requires_grad
    torch.testing.assert_close(outputs(module, network), outputs(to_torch(network), network))


def test_activations_stay_moderate_behind_it(layers: Any) -> None:
    """The gains that it states are those that there are."""
    b = NetworkBuilder((8, 64, 6, 6))
    x = b.add(Conv(64, 1), b.input)
    y = b.add(layers.Gelu(), b.add(Conv(64, 1), x))
    network = b.build(b.add(Conv(64, 3), b.add(layers.ScaledAdd(), b.add(Conv(64, 1), y), x)))
    root = outputs(to_torch(network), network).square().mean().sqrt()
    assert float(root) == pytest.approx(1, rel=0.15)


def test_the_space_of_the_page_keeps_the_contract(space: AnySpace) -> None:
    """Its supernet at an architecture is the architecture's network, at both widths."""
    check_space(space, samples=8)
    supernet = Supernet(space.supernet(search=False), space.forest, mix_all).eval()
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in supernet.parameters():  # so that a wrong channel shows
            parameter.uniform_(0.5, 1.5, generator=stream)
        images = torch.randn(2, 3, 9, 9, generator=stream)
        for code in ((0, 1, 0, 1, 0), GELUS):
            weights = torch.from_numpy(space.columns.weights([code])[0])
            module = inherited(supernet, space, space.of(code))
            torch.testing.assert_close(module(images), supernet(images, weights))


@dataclass(frozen=True)
class Swap(Op):
    """Changes the order of channels, which it does not say."""


def test_what_moves_channels_is_refused_where_their_number_is_open(
    layers: Any, space: AnySpace
) -> None:
    class Swapping(type(space)):  # type: ignore[misc]
        def assemble(self, b: Any) -> int:
            x = b.add(Swap(), conv_bn(b, b.input, b.number("width"), 3))
            return classifier(b, x, 10)

    class Adding(type(space)):  # type: ignore[misc]
        def assemble(self, b: Any) -> int:
            x, y = (conv_bn(b, b.input, n, 3) for n in (b.number("width"), 4))
            return classifier(b, b.add(layers.ScaledAdd(), x, b.add(Concat(), y, y)), 10)

    for cls, says in (
        (Swapping, r"Swap of channels whose number is open \(width\) is not the same layer"),
        (Adding, "the ScaledAdd of tensors whose open channels lie differently"),
    ):
        with pytest.raises(UsageError, match=says):
            cls(space.config).layer_kinds()


def test_every_encoding_takes_it(layers: Any, space: AnySpace) -> None:
    some = [space.of((1, 0, 0, *code)) for code in ((0, 0), (0, 1), (1, 0), (1, 1))]
    networks = [space.build(a) for a in some]
    kinds = space.layer_kinds()
    assert len(kinds) == len({*kinds})
    shape = (1, 8, 9, 9)
    assert (layers.Gelu(), (shape,)) in kinds
    assert (layers.ScaledAdd(), (shape, shape)) in kinds
    exact = encode(space, some, "layers").reshape(4, len(kinds), -1)
    assert exact[:, kinds.index((layers.Gelu(), (shape,))), 0].tolist() == [0, 1, 1, 2]
    by_size = encode_networks(networks, "layers")
    assert len({tuple(row) for row in by_size}) == 3  # two have one Gelu and three ReLUs
    assert encode(space, some, "cost").shape == (4, 4)
    graphs = encode(space, some, "graph").reshape(4, -1, len(GRAPH_FEATURES))
    assert kind_number(layers.Gelu()) in graphs[3, :, 1]
    assert 48 <= kind_number(layers.Gelu()) < KIND_NUMBERS


def test_a_saved_network_names_it(layers: Any, space: AnySpace) -> None:
    """By its module and class; a file imports neither."""
    network = space.build(space.of(GELUS))
    values = network_values(network)
    assert {"my_layers:Gelu", "my_layers:ScaledAdd"} <= {layer["op"] for layer in values}
    assert network_from(values, "the model x") == network
    del sys.modules["my_layers"]
    with pytest.raises(ParseError, match=r"my_layers:\w+., whose module is not im"):
        network_from(values, "the model x")
    assert "my_layers" not in sys.modules


def test_an_optimiser_may_save_it_where_it_is_elementwise(layers: Any, space: AnySpace) -> None:
    network = space.build(space.of(GELUS))
    saved = {type(network.layers[i].op).__name__ for i in savings(network).fusible}
    assert saved == {"Gelu"}


def test_it_takes_as_many_inputs_as_it_says(layers: Any) -> None:
    b = NetworkBuilder((1, 2, 4, 4))
    for inputs in (1, 3):
        with pytest.raises(UsageError, match=rf"ScaledAdd\(\) takes 2 inputs, got {inputs}"):
            b.add(layers.ScaledAdd(), *[b.input] * inputs)
    with pytest.raises(UsageError, match=r"Gelu\(\) takes one input, got 2"):
        b.add(layers.Gelu(), b.input, b.input)


def of_one(op: Op) -> Network:
    b = NetworkBuilder((1, 2, 4, 4))
    return b.build(b.add(op, b.input))


def test_a_format_without_a_rule_for_it_says_so(layers: Any) -> None:
    from latbench.export.ncnn_model import to_ncnn

    refused = (
        r"no layer kind Gelu in the ncnn export; register a rule for it with @ncnn_rule\(Gelu\), "
        "see docs/own-layer.md, or use one of Activation, BatchNorm,"
    )
    with pytest.raises(BackendError, match=refused):
        to_ncnn(of_one(layers.Gelu()))

    @ncnn_rule(layers.Gelu)
    def write(op: Any, w: Any, key: str, x: list[str], y: str, _: Any) -> None:
        w.layer("GELU", x, [y])

    assert "GELU_1 1 1 input output" in to_ncnn(of_one(layers.Gelu())).param


def test_litert_says_so_too(layers: Any) -> None:
    tflite = pytest.importorskip("latbench.export.tflite")
    with pytest.raises(BackendError, match=r"Gelu in the LiteRT export; .*@tflite_rule\(Gelu\)"):
        tflite.to_tflite(of_one(layers.Gelu()))


def test_two_rules_for_one_kind_are_refused(layers: Any) -> None:
    assert onnx_rule(layers.Gelu)(layers.write_gelu) is layers.write_gelu  # the same once more
    with pytest.raises(
        UsageError, match=r"Gelu has two rules for the ONNX export, one of my_layers and one of .*"
    ):
        onnx_rule(layers.Gelu)(lambda *_: None)
    with pytest.raises(UsageError, match="Conv is a layer kind of latbench, whose rule for the to"):
        torch_rule(Conv)
    with pytest.raises(UsageError, match=r"@torch_rule takes a layer kind, a subclass of Op; got"):
        torch_rule(layers.Gelu())


def test_a_subclass_of_a_known_kind_needs_rules_of_its_own() -> None:
    class MyConv(Conv):
        """Computes something else."""

    network = of_one(MyConv(2, 1))
    for export in (to_onnx, to_torch):
        with pytest.raises(BackendError, match=r"no layer kind MyConv in the (ONNX|torch) export"):
            export(network)

    @torch_rule(MyConv)
    class Module(torch.nn.Conv2d):
        def __init__(self, op: MyConv, shapes: Any) -> None:
            super().__init__(2, 2, 1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).square()

    x = torch.from_numpy(make_input(network))
    found = run_layers(network, make_weights(network), x)
    torch.testing.assert_close(found, outputs(to_torch(network), network))


def test_a_module_of_other_tensors_is_refused(layers: Any) -> None:
    class Scale(Op):
        def parameters(self, *inputs: Any) -> Any:
            return {"factor": (2,)}

    torch_rule(Scale)(lambda op, shapes: torch.nn.BatchNorm2d(2, affine=False))
    says = r"tensors running_mean, running_var, the layer kind states factor; give them the same"
    with pytest.raises(BackendError, match=says):
        to_torch(of_one(Scale()))


class Normed(Op):
    """Has a batch norm inside, whose count of batches no network stores."""

    def parameters(self, *inputs: Any) -> Any:
        return {"norm.weight": (2,), "norm.bias": (2,), "mix.weight": (2, 2, 1, 1)}

    def buffers(self, *inputs: Any) -> Any:
        return {"norm.running_mean": (2,), "norm.running_var": (2,)}


class NormedModule(torch.nn.Module):
    """Holds a tensor, too, that is no part of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(2)
        self.mix = torch.nn.Conv2d(2, 2, 1, bias=False)
        self.register_buffer("share", torch.full((), 0.5), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.mix(self.norm(x)) * self.share
        return result


@torch_rule(Normed)
def make_normed(op: Normed, shapes: Any) -> torch.nn.Module:
    return NormedModule()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_may_hold_others_and_tensors(dtype: torch.dtype) -> None:
    network = of_one(Normed())
    weights = make_weights(network)
    np.testing.assert_array_equal(weights["1.norm.running_var"], 1)
    np.testing.assert_allclose(weights["1.norm.weight"], 1, atol=0.3)
    np.testing.assert_allclose(weights["1.norm.bias"], 0, atol=0.3)
    module, x = to_torch(network).to(dtype), torch.from_numpy(make_input(network)).to(dtype)
    with torch.no_grad():
        expected = module(x)
    found = run_layers(network, weights, x)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    module.train()(torch.ones(4, 2, 4, 4, dtype=dtype))  # counts a batch
