"""Networks as torch code: it computes what they do, and somebody could have written it."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporter_contract import ExporterContract
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.export import torch_code as rules
from latbench.export.code.torch_file import WIDTH, TorchCode, torch_code
from latbench.export.torch import run_layers
from latbench.export.torch_code import Argument, LayerCode
from latbench.models.network_json import KNOWN
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Input, Slice, Zero
from latbench.networks.weights import Array, Weights, check_weights, make_input, make_weights
from latbench.spaces import SPACES, make_space
from latbench.testing.networks import default_networks
from latbench.zoo.published_networks import published_network


def module_of(code: TorchCode, network: Network, weights: Weights) -> torch.nn.Module:
    """The class ``Net`` of a file, in eval mode with the network's weights."""
    place: dict[str, Any] = {"__name__": "written"}
    exec(compile(code.text, "<written>", "exec"), place)  # noqa: S102
    net: torch.nn.Module = place["Net"]()
    state = {code.names[name]: torch.tensor(a) for name, a in weights.items()}
    state |= {name: torch.zeros((), dtype=torch.long) for name in code.counters}
    net.load_state_dict(state)
    return net.eval()


def check(network: Network) -> str:
    """Asserts that the code computes what the network does; its text."""
    code = torch_code(network, ["A network."])
    x, weights = torch.from_numpy(make_input(network)), make_weights(network)
    with torch.inference_mode():
        got = module_of(code, network, weights)(x)
    expected = run_layers(network, weights, x)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
    assert "latbench" not in code.text
    assert max(map(len, code.text.splitlines())) <= WIDTH
    return code.text


class TestTorchCode(ExporterContract):
    def outputs(self, network: Network, weights: Weights | None) -> Iterator[Array]:
        given = make_weights(network) if weights is None else weights
        check_weights(network, given)
        net = module_of(torch_code(network, []), network, given)
        with torch.inference_mode():
            yield net(torch.from_numpy(make_input(network))).numpy()


def test_every_layer_kind_has_a_rule() -> None:
    assert {*rules._RULES, Input} == set(KNOWN)


SMALL: dict[str, dict[str, Any]] = {
    "darts": {"channels": 4, "cells": 5, "resolution": 8},
    "nasbench201": {"channels": 4, "cells": 2, "resolution": 8},
}


@pytest.mark.parametrize("name", SPACES)
def test_of_every_space(name: str) -> None:
    space = make_space(name, SMALL.get(name, {}))
    for _, architecture in space.unique_samples(seed=1, n=1 if name not in SMALL else 4):
        network = space.build(architecture)
        text = check(network) if network.macs < 3e7 else torch_code(network, []).text
        assert text.count("\n") < 120 + len(network.layers)


def test_what_repeats_is_written_once() -> None:
    text = torch_code(published_network("mobilenet_v2"), []).text
    assert text.count("nn.Conv2d(") == 3  # the first, and one of each kind
    assert "*(Residual(64, 384) for _ in range(3))," in text
    assert "        return x + self.block(x)\n" in text
    assert "    def __init__(self, channels: int, hidden_channels: int) -> None:\n" in text
    assert text.count("\n") < 110
    residual = torch_code(published_network("resnet50"), []).text
    assert residual.count("class ") == 3  # with a projection, without, and the network
    assert residual.count("\n") < 130


def test_cells_are_a_class_each() -> None:
    space = make_space("darts", {"channels": 4, "cells": 8, "resolution": 8})
    text = torch_code(space.build(space.parse("DARTS_V2")), []).text
    named = [n.name for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
    assert [n for n in named if n.startswith("Cell")]
    assert text.count("\n") < 260


def test_equal_runs_that_end_elsewhere_stay_apart() -> None:
    """A run whose middle is read from outside is no part."""
    b = NetworkBuilder((1, 4, 6, 6))
    x, kept = b.input, []
    for _ in range(4):
        y = b.add(Conv(4, 3, padding=1), x)
        kept.append(y)
        x = b.add(Activation("relu"), y)
    text = check(b.build(b.add(Elementwise("add"), x, *kept)))
    assert "class" in text


@pytest.mark.parametrize("other", ["read from outside", "wired otherwise"])
def test_a_run_that_is_nearly_a_block_is_none(other: str) -> None:
    b = NetworkBuilder((1, 4, 6, 6))
    x = b.input
    for _ in range(6):
        a = b.add(Conv(4, 3, padding=1), b.add(Activation("sigmoid"), x))
        x = b.add(Elementwise("mul"), x, a)
    inner = b.add(Activation("sigmoid"), x)
    a = b.add(Conv(4, 3, padding=1), x if other == "wired otherwise" else inner)
    y = b.add(Elementwise("mul"), inner if other == "wired otherwise" else x, a)
    x = b.add(Elementwise("add"), y, inner) if other == "read from outside" else y
    assert "for _ in range(6)" in check(b.build(x))


def test_one_value_for_two_arguments() -> None:
    """A cell that reads two values elsewhere reads one twice."""
    b = NetworkBuilder((1, 4, 6, 6))
    older = newer = b.input
    for _ in range(4):
        left = b.add(Conv(4, 3, padding=1), older)
        right = b.add(Conv(4, 3, padding=1, groups=2), newer)
        older, newer = newer, b.add(Elementwise("mul"), left, right)
    check(b.build(newer))


def test_names_are_used_again_only_for_what_nothing_reads() -> None:
    b = NetworkBuilder((1, 8, 4, 4))
    parts = [b.add(Slice(1, i, i + 1), b.input) for i in range(8)]
    check(b.build(b.add(Elementwise("add"), *parts, parts[0])))


def test_a_wrong_attribute_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(op: Conv, shapes: Any) -> LayerCode:
        return LayerCode("conv", "nn.Conv2d", (
            Argument("in_channels", shapes[0][1], by_name=False),
            Argument("out_channels", op.out_channels, by_name=False),
            Argument("kernel_size", op.kernel), Argument("padding", op.padding),
            Argument("padding_mode", "circular"), Argument("bias", op.bias, True),
        ))  # fmt: skip

    b = NetworkBuilder((1, 3, 5, 5))
    network = b.build(b.add(Conv(4, 3, padding=1), b.input))
    check(network)
    monkeypatch.setitem(rules._RULES, Conv, wrong)
    with pytest.raises(AssertionError, match="Not equal"):
        check(network)


def test_a_text_from_a_file_is_no_code() -> None:
    text = torch_code(default_networks()[0][1], ['a """\nraise SystemExit\n"""', "b\\"]).text
    tree = ast.parse(text)
    assert ast.get_docstring(tree) == 'a """\nraise SystemExit\n"""\n\nb\\'
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.If}


def test_the_file_runs_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = default_networks()[0][1]
    text = torch_code(network, ["x"]).text
    (tmp_path / "net.py").write_text(text)
    imported = [ast.unparse(n) for n in ast.walk(ast.parse(text)) if "Import" in type(n).__name__]
    assert imported == [
        "import sys", "import torch", "from safetensors.torch import load_file",
        "from torch import Tensor, nn",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["net.py"])
    runpy.run_path(str(tmp_path / "net.py"), run_name="__main__")
    assert capsys.readouterr().out.strip() == str(network.output_shape)


@st.composite
def repeating(draw: st.DrawFn) -> Network:
    """Networks of a few blocks in random order, which keep the shape, and may read the last two."""
    steps = st.sampled_from(["conv", "depthwise", "norm", "relu", "add", "mul", "zero"])
    reads = st.tuples(st.integers(0, 5), st.integers(0, 5))
    block = st.lists(st.tuples(steps, reads), min_size=1, max_size=5)
    blocks = draw(st.lists(block, min_size=1, max_size=3))
    b = NetworkBuilder((1, 4, 3, 3))
    older = newer = b.input
    for number in draw(st.lists(st.integers(0, len(blocks) - 1), min_size=2, max_size=10)):
        known = [newer, older]
        for kind, (first, second) in blocks[number]:
            left, right = known[-1 - first % len(known)], known[-1 - second % len(known)]
            op = _SAME[kind]
            known.append(b.add(op, left, right) if op.arity is None else b.add(op, left))
        older, newer = newer, known[-1]
    return b.build(newer)


_SAME = {
    "conv": Conv(4, 3, padding=1), "depthwise": Conv(4, 3, padding=1, groups=4),
    "norm": BatchNorm(), "relu": Activation("relu"), "add": Elementwise("add"),
    "mul": Elementwise("mul"), "zero": Zero(),
}  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(repeating())
def test_of_blocks_in_any_order(network: Network) -> None:
    check(network)
