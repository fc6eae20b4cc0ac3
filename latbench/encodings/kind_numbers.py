"""A fixed number for every kind of op, those of plug-ins as well, for encodings that know no space.

A number never changes its meaning, so that saved predictors stay right: new kinds of latbench are
appended, and a kind from outside has one of the last numbers, taken from its name. Two of them may
have the same one; they are told apart by their sizes alone then. A kind of networks from outside
(``latbench.networks.general``) that runtimes compute by the kernel of another one has its number,
so that what is known of that is known of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from types import MappingProxyType

from latbench.networks.ops import Op

# An op's class, with its ``kind`` where it has one; the first has number 1.
OP_KINDS: tuple[str, ...] = (
    "Input", "Conv", "BatchNorm", "Activation relu", "Activation relu6", "Activation hswish",
    "Activation sigmoid", "Pool max", "Pool avg", "GlobalAvgPool", "Elementwise add",
    "Elementwise mul", "Concat", "Slice", "Pad", "Zero", "Flatten", "Linear",
    "Activation silu", "Activation hsigmoid", "ChannelShuffle",
    "TransposedConv", "LocalResponseNorm", "Resize", "MatMul", "Softmax", "LayerNorm", "GroupNorm",
    "Reshape", "Transpose", "Reduce", "ArgMax", "Expand", "Gather", "Embedding", "Unary",
    "Unary gelu", "Binary", "Where", "Cast", "Constant", "Unread",
)  # fmt: skip
# General kinds by what they have the number of; those that are neither here nor above have that of
# their class.
SAME_KERNELS: Mapping[str, str] = MappingProxyType({
    "RectConv": "Conv", "RectPool max": "Pool max", "RectPool avg": "Pool avg", "Dense": "Linear",
    "Binary add": "Elementwise add", "Binary mul": "Elementwise mul", "Join": "Concat",
    "Cut": "Slice", "PadAround": "Pad", "Unary gelu_tanh": "Unary gelu",
    "Unary clip": "Activation relu6", "Unary hsigmoid": "Activation hsigmoid",
})  # fmt: skip
_GENERAL = "latbench.networks.general."
_OWN, _OTHERS = 48, 16
KIND_NUMBERS = _OWN + _OTHERS  # all numbers are below; 0 is no op


def kind_name(op: Op) -> str:
    """Returns the name of an op's kind: ``"Conv"``, ``"Activation relu"``."""
    return f"{type(op).__name__} {getattr(op, 'kind', '')}".strip()


def kind_number(op: Op) -> int:
    """Returns the number of an op's kind, 1 to ``KIND_NUMBERS - 1``."""
    name = kind_name(op)
    if type(op).__module__.startswith(_GENERAL):
        own = type(op).__name__
        name = next((n for n in (name, own) if n in SAME_KERNELS or n in _NUMBERS), name)
        name = SAME_KERNELS.get(name, name)
    if name in _NUMBERS:
        return _NUMBERS[name]
    return _OWN + zlib.crc32(name.encode()) % _OTHERS


_NUMBERS = {name: i for i, name in enumerate(OP_KINDS, start=1)}
