"""Network -> torch.nn.Module: the same layers in the same order, run one by one.

The module is what the torch backends time, what training trains, and (for a single candidate
operation) what a supernet mixes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latbench.errors import BackendError
from latbench.export.general.stateless import Stateless
from latbench.export.general.torch_arrays import GENERAL_RULES
from latbench.export.general.torch_windows import WINDOW_RULES
from latbench.export.rules import rule_for, torch_rule
from latbench.networks.network import Network
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Input,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Slice,
    Zero,
)
from latbench.networks.weights import Weights, check_weights, make_weights

_COUNTER = "num_batches_tracked"


def _conv(op: Conv, inputs: Sequence[Shape]) -> nn.Module:
    return nn.Conv2d(
        inputs[0][1], op.out_channels, op.kernel, op.stride, op.padding, op.dilation, op.groups,
        op.bias,
    )  # fmt: skip


def _batch_norm(op: BatchNorm, inputs: Sequence[Shape]) -> nn.Module:
    return nn.BatchNorm2d(
        inputs[0][1], eps=op.eps, affine=op.affine, track_running_stats=op.running
    )


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish, "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU, "hsigmoid": nn.Hardsigmoid,
}  # fmt: skip


def _activation(op: Activation, inputs: Sequence[Shape]) -> nn.Module:
    return _ACTIVATIONS[op.kind]()


def _pool(op: Pool, inputs: Sequence[Shape]) -> nn.Module:
    if op.kind == "max":
        return nn.MaxPool2d(op.kernel, op.stride, op.padding)
    return nn.AvgPool2d(op.kernel, op.stride, op.padding, count_include_pad=False)


def _elementwise(op: Elementwise, inputs: Sequence[Shape]) -> nn.Module:
    def total(first: Tensor, *rest: Tensor) -> Tensor:
        for x in rest:
            first = first + x if op.kind == "add" else first * x
        return first

    return Stateless(total, op.kind)


def _slice(op: Slice, inputs: Sequence[Shape]) -> nn.Module:
    index = (slice(None),) * op.axis + (slice(op.start, op.end),)
    return Stateless(lambda x: x[index], f"axis={op.axis}, {op.start}:{op.end}")


def _channel_shuffle(op: ChannelShuffle, inputs: Sequence[Shape]) -> nn.Module:
    # By reshaping, which every compiler of torch's graphs lowers; nn.ChannelShuffle has an operator
    # of its own.
    _, c, h, w = inputs[0]

    def shuffled(x: Tensor) -> Tensor:
        grouped = x.reshape(-1, op.groups, c // op.groups, h, w)
        return grouped.transpose(1, 2).reshape(-1, c, h, w)

    return Stateless(shuffled, f"shuffle in {op.groups} groups")


def _pad(op: Pad, inputs: Sequence[Shape]) -> nn.Module:
    return Stateless(lambda x: F.pad(x, (0, op.right, 0, op.bottom)), f"{op.right}, {op.bottom}")


def _zero(op: Zero, inputs: Sequence[Shape]) -> nn.Module:
    return Stateless(lambda x: x[:, :, :: op.stride, :: op.stride] * 0.0, f"stride={op.stride}")


_RULES: dict[type[Op], Callable[[Any, Sequence[Shape]], nn.Module]] = {
    Conv: _conv,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Pool: _pool,
    GlobalAvgPool: lambda op, _: nn.AdaptiveAvgPool2d(1),
    Elementwise: _elementwise,
    Concat: lambda op, _: Stateless(lambda *xs: torch.cat(xs, dim=1), "concat"),
    Slice: _slice,
    ChannelShuffle: _channel_shuffle,
    Pad: _pad,
    Zero: _zero,
    Flatten: lambda op, _: nn.Flatten(),
    Linear: lambda op, inputs: nn.Linear(inputs[0][1], op.out_features),
    **GENERAL_RULES,
    **WINDOW_RULES,
}


def layer_module(op: Op, shapes: Sequence[Shape]) -> nn.Module:
    """Makes the module of one layer with fresh weights, by the rule of its kind.

    Raises BackendError for a kind without one, and for a rule whose module has other tensors than
    the kind states.
    """
    if type(op) in _RULES:
        return _RULES[type(op)](op, shapes)
    # ``to_torch`` makes modules without memory, which a rule from outside need not know of.
    with torch.device("cpu"):
        module: nn.Module = rule_for(_RULES, op, torch_rule)(op, shapes)
    expected = {*op.parameters(*shapes), *op.buffers(*shapes)}
    if set(_tensors(module)) != expected:
        raise BackendError(
            f"the torch rule of {op} makes a module with the tensors {_listed(_tensors(module))}, "
            f"the layer kind states {_listed(expected)}; give them the same names"
        )
    return module


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's state but for the batches that batch norms count, which no network stores."""
    state = module.state_dict()
    return {name: t for name, t in state.items() if not name.endswith(_COUNTER)}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def last_uses(network: Network) -> list[tuple[int, ...]]:
    """Returns, for each layer, the earlier results that nothing later reads, to be freed after
    it."""
    last = {j: i for i, layer in enumerate(network.layers) for j in layer.inputs}
    frees: list[list[int]] = [[] for _ in network.layers]
    for result, reader in last.items():
        if result not in network.outputs:
            frees[reader].append(result)
    return [tuple(freed) for freed in frees]


class NetworkModule(nn.Module):
    """A module that runs a Network's layers in order. It takes any batch size; results are freed
    once they are used."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleDict(
            {
                str(i): layer_module(layer.op, network.input_shapes(layer))
                for i, layer in enumerate(network.layers)
                if not isinstance(layer.op, Input)
            }
        )
        frees = last_uses(network)
        self._plan = [
            (i, layer.inputs, frees[i])
            for i, layer in enumerate(network.layers)
            if not isinstance(layer.op, Input)
        ]
        self._modules_in_order = list(self.layers.values())

    def forward(self, *x: Tensor) -> Any:
        """Computes ``(N, C, H, W) -> (N, classes)``; of several inputs and outputs, all in the
        network's order, the outputs as a tuple."""
        values = dict(zip(self.network.inputs, x, strict=True))
        for (i, inputs, frees), module in zip(self._plan, self._modules_in_order, strict=True):
            values[i] = module(*[values[j] for j in inputs])
            for j in frees:
                del values[j]
        results = tuple(values[i] for i in self.network.outputs)
        return results if len(results) > 1 else results[0]

    def weights(self) -> Weights:
        """Returns a float32 copy of the current weights by the names of ``network.tensors()``."""
        state = self.layers.state_dict()
        return {
            name: state[name].detach().to("cpu", torch.float32, copy=True).numpy()
            for name, _, _ in self.network.tensors()
        }


def _states(network: Network, weights: Weights) -> dict[str, dict[str, Tensor]]:
    """The weights as one state dict a layer (a single one for all would be searched through once a
    layer); raises UsageError when they are not the network's."""
    check_weights(network, weights)
    states: dict[str, dict[str, Tensor]] = {}
    for name, _, _ in network.tensors():
        key, _, tensor = name.partition(".")
        states.setdefault(key, {})[tensor] = torch.from_numpy(weights[name].copy())
    return states


def to_torch(network: Network, weights: Weights | None = None) -> NetworkModule:
    """Makes the network a float32 module in eval mode.

    ``weights`` default to ``make_weights(network)``, so that it computes what the ONNX model does.
    Training code that wants fresh weights constructs ``NetworkModule(network)`` instead.
    """
    # Random weights that are overwritten at once would take half of the time (2026-11-24).
    with torch.device("meta"):
        module = NetworkModule(network)
    weights = make_weights(network) if weights is None else weights
    for key, state in _states(network, weights).items():
        layer = module.layers[key]
        if isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats:
            state[_COUNTER] = torch.zeros((), dtype=torch.long)
        layer.load_state_dict(state, assign=True)
    return module.eval()


def run_layers(
    network: Network, weights: Weights, *x: Tensor, dtype: torch.dtype | None = None
) -> Any:
    """Computes ``to_torch(network, weights)(*x)`` without a module.

    To make the module takes several times as long as to run it once (DARTS on CIFAR: 860 modules;
    2026-11-29), which a comparison of every network of a campaign would pay for.

    Args:
        network: The network.
        weights: Its weights.
        x: Its inputs in their order.
        dtype: The precision of every float; that of the first input of floats by default.

    Returns:
        The output, or a tuple of several.

    Raises:
        UsageError: When a weight is missing or has another shape.
    """
    check_weights(network, weights)
    dtype = dtype or next((one.dtype for one in x if one.is_floating_point()), torch.float32)
    floats = [one.to(dtype) if one.is_floating_point() else one for one in x]
    frees, values = last_uses(network), dict(zip(network.inputs, floats, strict=True))
    names: dict[int, list[str]] = {}
    for name, _, _ in network.tensors():
        names.setdefault(int(name.partition(".")[0]), []).append(name)
    with torch.inference_mode():
        for i, layer in enumerate(network.layers):
            if not isinstance(layer.op, Input):
                # Integers in weights keep theirs, which half a float's digits would round.
                kept = torch.float32 if network.types[i] != "float32" else dtype
                own = {
                    name.partition(".")[2]: torch.from_numpy(weights[name]).to(kept)
                    for name in names.get(i, ())
                }
                read = [values[j] for j in layer.inputs]
                values[i] = _run_layer(layer.op, network.input_shapes(layer), own, read, dtype)
            for j in frees[i]:
                del values[j]
    results = tuple(values[i] for i in network.outputs)
    return results if len(results) > 1 else results[0]


def _run_layer(
    op: Op, shapes: Sequence[Shape], own: dict[str, Tensor], inputs: list[Tensor],
    dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """One layer with its ``own`` weights by name."""
    weight, bias = own.get("weight"), own.get("bias")
    if type(op) is Conv:
        assert weight is not None
        return F.conv2d(inputs[0], weight, bias, op.stride, op.padding, op.dilation, op.groups)
    if type(op) is BatchNorm:
        mean, var = own["running_mean"], own["running_var"]
        return F.batch_norm(inputs[0], mean, var, weight, bias, eps=op.eps)
    if type(op) is Linear:
        assert weight is not None
        return F.linear(inputs[0], weight, bias)
    plain = type(op).__module__ == Op.__module__  # of neither weights nor a precision
    module = layer_module(op, shapes) if plain else _loaded(op, shapes, own, dtype)
    result: Tensor = module(*inputs)
    return result


def _loaded(
    op: Op, shapes: Sequence[Shape], own: dict[str, Tensor], dtype: torch.dtype
) -> nn.Module:
    """A layer's module with its ``own`` weights, in a precision."""
    known = type(op) in _RULES
    # Without memory for the fresh weights that its own ones replace at once.
    with torch.device("meta" if known and own else "cpu"):
        module = layer_module(op, shapes)
    module.load_state_dict(own, strict=False, assign=known)
    return module.to(dtype).eval().requires_grad_(False)
