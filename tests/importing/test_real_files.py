"""Whole networks: those that onnx ships, and transformers that torch exports."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from importing.torch_networks import Decoder, Encoder, VisionTransformer
from torch import nn

from latbench.errors import UsageError
from latbench.export.parity import relative_error
from latbench.export.torch import run_layers
from latbench.models import Model
from latbench.networks.general.arrays import Unread
from latbench.networks.network import Layer, Network
from latbench.networks.ops import Op

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
# As published: multiply-accumulates of convolutions and products in millions, and parameters.
COUNTS = {
    "bvlc_alexnet": (655, 60.97), "densenet121": (2834, 8.06), "inception_v1": (1431, 7.00),
    "inception_v2": (2019, 11.2), "resnet50": (4089, 25.6), "shufflenet": (125, 1.39),
    "squeezenet": (349, 1.24), "vgg19": (19632, 143.7), "zfnet512": (1483, 87.3),
}  # fmt: skip
LARGE = ("bvlc_alexnet", "vgg19", "zfnet512")  # their weights take seconds to draw


def in_runtime(model: Model) -> list[np.ndarray]:
    """What plain ONNX Runtime computes of the file, without optimising it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.source, options, ["CPUExecutionProvider"])
    names = [info.name for info in session.get_inputs()]
    found: list[np.ndarray] = session.run(None, dict(zip(names, model.inputs(), strict=True)))
    return found


def in_torch(model: Model, network: Network | None = None) -> list[np.ndarray]:
    """What torch computes of the layers."""
    x = [torch.from_numpy(array) for array in model.inputs()]
    found: Any = run_layers(network or model.network, model.arrays, *x, dtype=torch.float32)
    return [y.numpy() for y in (found if isinstance(found, tuple) else (found,))]


def agree(model: Model, network: Network | None = None) -> float:
    """The largest difference of an output, relative to its scale."""
    return max(
        relative_error(got, expected)
        for got, expected in zip(in_torch(model, network), in_runtime(model), strict=True)
    )


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in COUNTS]
)
def test_what_onnx_ships_is_computed_alike(name: str) -> None:
    model = Model.from_onnx(LIGHT / f"light_{name}.onnx")
    assert model.notes == ("its weights are all one number, and were invented",)
    assert not any(isinstance(layer.op, Unread) for layer in model.network.layers)
    macs, parameters = COUNTS[name]
    assert model.network.macs / 1e6 == pytest.approx(macs, rel=0.01)
    assert model.network.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
    (output,) = in_runtime(model)
    # It hangs on the input: another one gives another output.
    again = replace(model, given={model.network.layers[0].op.name: 1 - model.input()})  # type: ignore[attr-defined]
    assert relative_error(in_runtime(again)[0], output) > 1e-2
    assert agree(model) < 1e-4


@lru_cache
def transformer(name: str) -> tuple[nn.Module, Model]:
    """A module with what was read of it; torch takes seconds to export one."""
    torch.manual_seed(0)
    ids = torch.randint(0, 99, (1, 16))
    mask = torch.ones_like(ids)
    mask[:, 12:] = 0
    module, examples = {
        "VisionTransformer": (VisionTransformer, (torch.randn(1, 3, 32, 32),)),
        "Encoder": (Encoder, (ids, mask, torch.zeros_like(ids))),
        "Decoder": (Decoder, (ids,)),
    }[name]
    made: nn.Module = module()
    return made, Model.from_torch(made, *examples)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("VisionTransformer", marks=pytest.mark.slow),
        "Encoder",
        pytest.param("Decoder", marks=pytest.mark.slow),
    ],
)
def test_torch_modules_are_computed_alike(name: str) -> None:
    module, model = transformer(name)
    assert not any(isinstance(layer.op, Unread) for layer in model.network.layers)
    assert model.network.parameters >= 0.98 * sum(p.numel() for p in module.parameters())
    assert agree(model) < 1e-5
    with torch.no_grad():
        expected = module.eval()(*map(torch.from_numpy, model.inputs()))
    several = expected if isinstance(expected, tuple) else (expected,)
    for got, right in zip(in_torch(model), several, strict=True):
        assert relative_error(got, right.numpy()) < 1e-5


def other(op: Op) -> Op | None:
    """A layer kind with one attribute changed, so that its result keeps its shape."""
    changes: dict[str, Any] = {
        "eps": lambda v: 0.5, "kind": lambda v: {"relu": "sigmoid", "max": "avg", "avg": "max",
        "gelu": "tanh", "add": "mul", "mul": "add", "tanh": "abs", "mean": "max"}.get(v),
        "alpha": lambda v: 1.0 if v == 1e-4 else None, "log": lambda v: not v,
    }  # fmt: skip
    for name, change in changes.items():
        value = getattr(op, name, None)
        if value is not None and change(value) is not None:
            return replace(op, **{name: change(value)})
    return None


def test_one_wrong_attribute_of_any_kind_is_seen() -> None:
    seen = set[str]()
    models = [transformer("Encoder")[1]]
    models += [Model.from_onnx(LIGHT / f"light_{n}.onnx") for n in ("inception_v1", "densenet121")]
    for model in models:
        layers = model.network.layers
        for i, layer in enumerate(layers):
            kind, wrong = type(layer.op).__name__, other(layer.op)
            if wrong is None or kind in seen:
                continue
            changed = (*layers[:i], Layer(wrong, layer.inputs, layer.shape), *layers[i + 1 :])
            assert agree(model, Network(changed, model.network.results)) > 1e-4, layer
            seen.add(kind)
    assert seen >= {"Activation", "BatchNorm", "Binary", "LayerNorm", "LocalResponseNorm", "Pool",
                    "RectPool", "Softmax", "Unary"}  # fmt: skip


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(UsageError, match=r"made of a torch\.nn\.Module, got '3'"):
        Model.from_torch(3, torch.zeros(1))
    with pytest.raises(UsageError, match="give the tensors that it takes"):
        Model.from_torch(nn.Linear(2, 2))
    with pytest.raises(UsageError, match="torch cannot export Linear"):
        Model.from_torch(nn.Linear(2, 2), torch.zeros(1, 3))
