"""Networks as torch code: it computes what they do, and somebody could have written it."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import general_cases
import numpy as np
import pytest
import torch
from exporter_contract import ExporterContract
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import BackendError
from latbench.export import torch_code as rules
from latbench.export.code.torch_file import WIDTH, TorchCode, torch_code
from latbench.export.general.interpolation import torch_mode
from latbench.export.torch import run_layers
from latbench.export.torch_code import Argument, LayerCode
from latbench.models.network_json import KNOWN
from latbench.networks.general.arithmetic import Binary, Cast, Unary
from latbench.networks.general.arrays import Constant, Cut, Join, Reshape, Unread
from latbench.networks.general.products import Dense, Softmax
from latbench.networks.general.windows import RectPool, Resize
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Input, Slice, Zero
from latbench.networks.weights import (
    Array,
    Weights,
    check_weights,
    make_input,
    make_inputs,
    make_weights,
)
from latbench.spaces import SPACES, make_space
from latbench.testing.networks import default_networks
from latbench.zoo.published_networks import published_network


def module_of(code: TorchCode, network: Network, weights: Weights) -> torch.nn.Module:
    """The class ``Net`` of a file, in eval mode with the network's weights."""
    place: dict[str, Any] = {"__name__": "written"}
    exec(compile(code.text, "<written>", "exec"), place)  # noqa: S102
    net: torch.nn.Module = place["Net"]()
    state = {code.names[name]: torch.tensor(a) for name, a in weights.items() if name in code.names}
    state |= {name: torch.zeros((), dtype=torch.long) for name in code.counters}
    net.load_state_dict(state)
    return net.eval()


def check(network: Network, weights: Weights | None = None) -> str:
    """Asserts that the code computes what the network does; its text."""
    code = torch_code(network, ["A network."], weights)
    x = [torch.from_numpy(array) for array in make_inputs(network)]
    weights = make_weights(network) if weights is None else weights
    with torch.inference_mode():
        got = module_of(code, network, weights)(*x)
    expected = run_layers(network, weights, *x)
    several = len(network.outputs) > 1
    for y, reference in zip(*((got, expected) if several else ([got], [expected])), strict=True):
        assert y.dtype == reference.dtype
        np.testing.assert_allclose(y.detach().numpy(), reference.numpy(), rtol=1e-5, atol=1e-5)
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
    assert {*rules._RULES, Input, Unread} == set(KNOWN)


@pytest.mark.parametrize(
    "case", [pytest.param(network, id=name) for name, network in general_cases.cases()]
)
def test_of_every_general_kind(case: Network) -> None:
    """Or it is refused in a sentence: interpolations that torch does not have."""
    lacking = [
        layer.op.kind for layer in case.layers
        if isinstance(layer.op, Resize)
        and torch_mode(layer.op, case.input_shapes(layer)[0][2:]) is None  # type: ignore[arg-type]
    ]  # fmt: skip
    if not lacking:
        check(case, general_cases.weights_of(case))
        return
    said = f"torch has no {lacking[0]} interpolation with such places .* which Resize needs"
    with pytest.raises(BackendError, match=said):
        torch_code(case, [])


def test_an_operator_that_was_not_read_is_named() -> None:
    b = NetworkBuilder((1, 4))
    network = b.build(b.add(Unread("com.acme.Fold", "the fold", (1, 4)), b.input))
    with pytest.raises(BackendError, match=r"com\.acme\.Fold at 'the fold' is no layer kind"):
        torch_code(network, [])


def test_average_pooling_with_gaps_is_refused() -> None:
    b = NetworkBuilder((1, 2, 8, 8))
    network = b.build(b.add(RectPool("avg", (2, 2), dilation=(2, 2)), b.input))
    with pytest.raises(BackendError, match="no average pooling whose window has gaps, which Rect"):
        torch_code(network, [])


def test_inputs_have_the_names_of_the_file() -> None:
    b = NetworkBuilder.of_inputs(
        Input((1, 5), "input.ids:0", "int64", 9), Input((1, 5), "for", "int64"),
        Input((1, 5), "0"), Input((1, 5), "for_"), Input((1, 5)),
    )  # fmt: skip
    x = b.add(Elementwise("add"), *(b.add(Cast("float32"), i) for i in range(5)))
    text = check(b.build(x, 2))
    head, _, rest = text.partition("    def forward(")[2].partition(") -> tuple[Tensor, Tensor]")
    taken = [part.strip().partition(":")[0] for part in head.split(",")]
    assert taken == ["self", "input_ids_0", "for_", "x0", "for__", "v"]
    assert (
        "        torch.randint(9, (1, 5)),\n        torch.ones((1, 5), dtype=torch.int64)," in rest
    )


def test_a_transformer_reads_as_one() -> None:
    text = check(general_cases.transformer(), general_cases.weights_of(general_cases.transformer()))
    assert "    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:\n" in text
    assert "        y = self.embedding(ids) + self.constant\n" in text
    assert "        x = mask.float().reshape(-1, 1, 1, 5)\n        x = 1.0 - x\n" in text
    assert text.count("nn.Linear(8, 8)") == 2  # of the heads, and of what they are joined by


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


def test_numbers_stand_in_the_code_where_operators_take_them() -> None:
    """And are tensors where they do not, or where nothing else has the result's shape."""
    b = NetworkBuilder.of_inputs(Input((1, 4)), Input((4,), "n", "int64", 3))
    half, two, least, whole = (b.add(Constant(shape)) for shape in ((), (1,), (), ()))
    x = b.add(Binary("pow"), half, b.add(Binary("sub"), 0, two))
    x = b.add(Binary("max"), x, least)
    table = b.add(Cast("float32"), b.add(Binary("add"), 1, b.add(Constant((), "int64"))))
    x = b.add(Binary("mul"), x, table)
    network = b.build(x, b.add(Binary("add"), whole, whole), half)
    weights = make_weights(network)
    values = {"2.value": 0.5, "3.value": 2.25, "4.value": -0.1, "5.value": 3.0}
    ops = [layer.op for layer in network.layers]
    values[f"{ops.index(Constant((), 'int64'))}.value"] = 7.0
    weights |= {name: np.full_like(weights[name], value) for name, value in values.items()}
    text = check(network, weights)
    assert " - 2.25" in text
    assert " + 7" in text
    assert text.count("nn.Parameter(torch.ones(()))") == 3  # an output, a maximum's, a lone sum's
    largest = float(np.finfo(np.float32).max)
    for value in (-largest, float("inf"), -0.5):
        b = NetworkBuilder((1, 4))
        network = b.build(b.add(Binary("pow"), b.add(Constant(())), b.add(Unary("abs"), b.input)))
        code = torch_code(network, [], {"1.value": np.array(value, np.float32)})
        assert not code.names
        assert "nn.Parameter" not in code.text
        assert eval(code.text.partition("return ")[2].partition(" **")[0]) == value  # noqa: S307


def test_a_mask_comes_before_the_blocks_that_read_it() -> None:
    b = NetworkBuilder.of_inputs(Input((1, 4, 8)), Input((1, 4), "mask", "int64"))
    x, mask = b.add(Softmax(2), b.add(Dense(8), 0)), 0
    for i in range(3):
        y = b.add(Dense(8), b.add(Unary("gelu"), b.add(Dense(16), x)))
        mask = mask if i else b.add(Reshape((1, 4, 1)), b.add(Cast("float32"), 1))
        x = b.add(Binary("add"), x, b.add(Binary("mul"), y, mask))
    text = check(b.build(x))
    body = text.partition("def forward(self, x: Tensor, mask: Tensor) -> Tensor:\n")[2]
    assert body.startswith("        y = mask.float().reshape(-1, 4, 1)\n")
    assert text.count("class ") == 2


def test_a_token_is_joined_to_any_batch() -> None:
    b = NetworkBuilder.of_inputs(Input((1, 4, 6)))
    token = b.add(Constant((1, 1, 6)))
    x = b.add(Join(1), token, b.add(Dense(6), 0))
    network = b.build(b.add(Unary("tanh"), b.add(Dense(3), b.add(Cut(1, 0, 1), x))))
    text = check(network)
    assert "torch.cat([self.constant.expand(len(x), -1, -1), x], dim=1)" in text
    net = module_of(torch_code(network, []), network, make_weights(network))
    with torch.inference_mode():
        assert net(torch.zeros(5, 4, 6)).shape == (5, 1, 3)
