"""Constants of one value as numbers in the code: a scale, or what hides a place from attention.

A parameter would be trained, and a block that reads it would have one argument more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from latbench.export.code.layer_text import LayerCode
from latbench.networks.general.arithmetic import Binary, Where
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Layer, Network
from latbench.networks.weights import Weights

# Those that Python's operators compute of a tensor and a number.
_TAKE_NUMBERS = (
    "add", "sub", "mul", "div", "pow", "equal", "less", "less_equal", "greater", "greater_equal",
)  # fmt: skip

_LARGEST = float(np.finfo(np.float32).max)


def literal_numbers(network: Network, weights: Weights) -> dict[int, str]:
    """Returns the constants that can stand as numbers wherever they are read, by their layers."""
    found = {
        i: _text(weights[f"{i}.value"].item(), layer.op.dtype)
        for i, layer in enumerate(network.layers)
        if isinstance(layer.op, Constant) and layer.shape in ((), (1,)) and layer.op.dtype != "bool"
    }
    for i in network.outputs:
        found.pop(i, None)
    lacking = True
    while lacking:  # what is left out may be what another one was read with
        lacking = False
        for layer in network.layers:
            if found.keys() & {*layer.inputs} and not _takes(network, layer, found):
                lacking = True
                for i in layer.inputs:
                    found.pop(i, None)
    return found


def _text(value: float, dtype: str) -> str:
    if dtype == "int64":
        return str(int(value))
    if not np.isfinite(value):
        return f'float("{value}")'
    short = str(np.float32(value))
    # The digits of float32's largest number, rounded as they are, are beyond it.
    return short if abs(float(short)) <= _LARGEST else repr(float(value))


def _takes(network: Network, layer: Layer, numbers: Mapping[int, str]) -> bool:
    """Whether a layer computes the same of numbers in the place of some inputs."""
    others = [i for i in layer.inputs if i not in numbers]
    if isinstance(layer.op, Binary):
        floats = layer.op.kind != "div" or network.types[layer.inputs[0]] == "float32"
        sound = layer.op.kind in _TAKE_NUMBERS and floats
    else:
        sound = isinstance(layer.op, Where) and layer.inputs[0] not in numbers
        sound = sound and network.types[layer.inputs[1]] == "float32"
    return bool(sound and others and layer.shape == _broadcast(network, others))


def _broadcast(network: Network, layers: Sequence[int]) -> tuple[int, ...]:
    return tuple(np.broadcast_shapes(*(network.layers[i].shape for i in layers)))


def with_numbers(
    code: LayerCode, inputs: Sequence[int], numbers: Mapping[int, str]
) -> tuple[LayerCode, tuple[int, ...]]:
    """Returns a layer's code with numbers in the place of inputs, and the inputs that it has."""
    if not numbers.keys() & {*inputs}:
        return code, tuple(inputs)
    kept = [k for k, i in enumerate(inputs) if i not in numbers]

    def written(match: re.Match[str]) -> str:
        k = int(match[1])
        if k in kept:
            return f"{{{kept.index(k)}}}"
        text = numbers[inputs[k]]
        return f"({text})" if text.startswith("-") and code.name == "pow" else text

    forward = re.sub(r"\{(\d+)\}", written, code.forward)
    return replace(code, forward=forward), tuple(inputs[k] for k in kept)
