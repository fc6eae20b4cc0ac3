"""A fixed number for every kind of op, those of plug-ins as well, for encodings that know no space.

A number never changes its meaning, so that saved predictors stay right: new kinds of latbench are
appended, and a kind from outside has one of the last numbers, taken from its name. Two of them may
have the same one; they are told apart by their sizes alone then.
"""

from __future__ import annotations

import zlib

from latbench.networks.ops import Op

# An op's class, with its ``kind`` where it has one; the first has number 1.
OP_KINDS: tuple[str, ...] = (
    "Input", "Conv", "BatchNorm", "Activation relu", "Activation relu6", "Activation hswish",
    "Activation sigmoid", "Pool max", "Pool avg", "GlobalAvgPool", "Elementwise add",
    "Elementwise mul", "Concat", "Slice", "Pad", "Zero", "Flatten", "Linear",
    "Activation silu", "Activation hsigmoid", "ChannelShuffle",
)  # fmt: skip
_OWN, _OTHERS = 48, 16
KIND_NUMBERS = _OWN + _OTHERS  # all numbers are below; 0 is no op


def kind_name(op: Op) -> str:
    """Returns the name of an op's kind: ``"Conv"``, ``"Activation relu"``."""
    return f"{type(op).__name__} {getattr(op, 'kind', '')}".strip()


def kind_number(op: Op) -> int:
    """Returns the number of an op's kind, 1 to ``KIND_NUMBERS - 1``."""
    name = kind_name(op)
    if name in _NUMBERS:
        return _NUMBERS[name]
    return _OWN + zlib.crc32(name.encode()) % _OTHERS


_NUMBERS = {name: i for i, name in enumerate(OP_KINDS, start=1)}
