"""The torch rules of ``latbench.networks.general``, but for those of windows.

They compute what ONNX' operators do (https://onnx.ai/onnx/operators/), in any precision of floats:
what converts to floats takes the precision of its module, as weights do. Where a shape begins with
the batch, another batch is let through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latbench.export.general.stateless import Stateless
from latbench.networks.general.arithmetic import Binary, Cast, Unary, Where
from latbench.networks.general.arrays import (
    ArgMax,
    Constant,
    Cut,
    Embedding,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
)
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.ops import Op, Shape

_DTYPES = {"int64": torch.int64, "bool": torch.bool}


class _Constant(nn.Module):
    """A tensor of weights; integers and truth values are converted when they are loaded, so that no
    run and no change of precision does it."""

    def __init__(self, op: Constant) -> None:
        super().__init__()
        if op.dtype == "float32":
            self.value = nn.Parameter(torch.ones(op.shape))
        else:
            self.register_buffer("value", torch.ones(op.shape, dtype=_DTYPES[op.dtype]))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        given = state_dict.get(f"{prefix}value")
        if given is not None and not self.value.is_floating_point():
            state_dict[f"{prefix}value"] = given.to(self.value.dtype)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self) -> Tensor:
        return self.value


class _Cast(nn.Module):
    """A conversion of each element; to floats of the precision that the module is in."""

    like: Tensor

    def __init__(self, op: Cast) -> None:
        super().__init__()
        self.to_type = _DTYPES.get(op.to)
        # On the CPU although ``to_torch`` makes modules without memory, which it could not fill.
        self.register_buffer("like", torch.empty(0, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.to_type or self.like.dtype)


def _clip(x: Tensor, least: float, most: float) -> Tensor:
    if not x.is_floating_point():
        bounds = torch.iinfo(x.dtype)
        low, high = max(least, bounds.min), min(most, bounds.max)
        return x.clamp(math.ceil(low), math.floor(high))
    # Files write "no bound" as the largest float32, which float16 does not have.
    largest = torch.finfo(x.dtype).max
    return x.clamp(max(least, -largest), min(most, largest))


_UNARY: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "abs": lambda x, a, b: x.abs(),
    "ceil": lambda x, a, b: x.ceil(),
    "clip": _clip,
    "cos": lambda x, a, b: x.cos(),
    "elu": lambda x, a, b: F.elu(x, a),
    "erf": lambda x, a, b: x.erf(),
    "exp": lambda x, a, b: x.exp(),
    "floor": lambda x, a, b: x.floor(),
    "gelu": lambda x, a, b: F.gelu(x),
    "gelu_tanh": lambda x, a, b: F.gelu(x, approximate="tanh"),
    "hsigmoid": lambda x, a, b: (x * a + b).clamp(0, 1),
    "leaky_relu": lambda x, a, b: F.leaky_relu(x, a),
    "log": lambda x, a, b: x.log(),
    "mish": lambda x, a, b: F.mish(x),
    "neg": lambda x, a, b: -x,
    "not": lambda x, a, b: x.logical_not(),
    "reciprocal": lambda x, a, b: x.reciprocal(),
    "round": lambda x, a, b: x.round(),
    "selu": lambda x, a, b: F.selu(x),
    "sign": lambda x, a, b: x.sign(),
    "sin": lambda x, a, b: x.sin(),
    "softplus": lambda x, a, b: F.softplus(x),
    "softsign": lambda x, a, b: F.softsign(x),
    "sqrt": lambda x, a, b: x.sqrt(),
    "tanh": lambda x, a, b: x.tanh(),
}


def _unary(op: Unary, inputs: Sequence[Shape]) -> nn.Module:
    function, a, b = _UNARY[op.kind], op.alpha, op.beta
    return Stateless(lambda x: function(x, a, b), op.kind)


def _divided(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _remainder(a: Tensor, b: Tensor) -> Tensor:
    """Of integers with the divisor's sign, of floats with the dividend's, as ONNX has them."""
    return torch.fmod(a, b) if a.is_floating_point() else torch.remainder(a, b)


_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": _divided,
    "pow": lambda a, b: torch.pow(a, b).to(a.dtype),
    "min": torch.minimum,
    "max": torch.maximum,
    "mod": _remainder,
    "prelu": lambda a, b: a.clamp(min=0) + b * a.clamp(max=0),
    "equal": torch.eq,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "xor": torch.logical_xor,
}


def _reshape(op: Reshape, inputs: Sequence[Shape]) -> nn.Module:
    # The elements' number says what the first axis is, so that it may be of another batch.
    shape = (-1, *op.shape[1:]) if op.shape else ()
    return Stateless(lambda x: x.reshape(shape), str(op.shape))


def _cut(op: Cut, inputs: Sequence[Shape]) -> nn.Module:
    index = (slice(None),) * op.axis + (slice(op.start, op.end, op.step),)
    return Stateless(lambda x: x[index], f"axis={op.axis}, {op.start}:{op.end}:{op.step}")


def _join(op: Join, inputs: Sequence[Shape]) -> nn.Module:
    def joined(*xs: Tensor) -> Tensor:
        # A constant has the batch of the file, such as the token that classifies.
        batch = max(x.shape[0] for x in xs)
        same = [x if x.shape[0] == batch else x.expand(batch, *x.shape[1:]) for x in xs]
        return torch.cat(same, op.axis)

    if op.axis == 0 or inputs[0][0] > 1:
        return Stateless(lambda *xs: torch.cat(xs, op.axis), f"axis={op.axis}")
    return Stateless(joined, f"axis={op.axis}")


def _mean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keep)
    count = math.prod(x.shape[i] for i in axes)
    return torch.div(x.sum(axes, keep), count, rounding_mode="trunc")


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return reduce(lambda y, axis: y.prod(axis, keep), sorted(axes, reverse=True), x)


def _length(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    squares = x.square().sum(axes, keep)
    return squares.sqrt().to(x.dtype)


_REDUCE: dict[str, Callable[[Tensor, tuple[int, ...], bool], Tensor]] = {
    "mean": _mean,
    "sum": lambda x, axes, keep: x.sum(axes, keep),
    "max": lambda x, axes, keep: x.amax(axes, keep),
    "min": lambda x, axes, keep: x.amin(axes, keep),
    "prod": _product,
    "l1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "l2": _length,
}


def _reduce(op: Reduce, inputs: Sequence[Shape]) -> nn.Module:
    function, axes, keep = _REDUCE[op.kind], op.axes, op.keep
    if not axes:  # torch would take all of them; each element is reduced alone
        return Stateless(torch.abs if op.kind in ("l1", "l2") else lambda x: x, op.kind)
    return Stateless(lambda x: function(x, axes, keep), f"{op.kind} over {axes}")


def _expand(op: Expand, inputs: Sequence[Shape]) -> nn.Module:
    rank = len(op.shape) - len(inputs[0])
    given = (0,) * rank + inputs[0]
    # -1 keeps an axis, whatever its size is.
    sizes = tuple(-1 if a == b else b for a, b in zip(given, op.shape, strict=True))
    return Stateless(lambda x: x.expand(sizes), str(op.shape))


def _gather(op: Gather, inputs: Sequence[Shape]) -> nn.Module:
    def chosen(x: Tensor, places: Tensor) -> Tensor:
        index: tuple[Any, ...] = (*(slice(None),) * op.axis, places)
        return x[index]

    return Stateless(chosen, f"axis={op.axis}")


def _embedding(op: Embedding, inputs: Sequence[Shape]) -> nn.Module:
    weight = torch.empty(op.rows, op.width)
    if not weight.is_meta:  # to draw normal numbers without memory, torch imports for 3 s
        nn.init.normal_(weight)
    found: nn.Module = nn.Embedding.from_pretrained(weight, freeze=False)  # type: ignore[no-untyped-call]
    return found


def _softmax(op: Softmax, inputs: Sequence[Shape]) -> nn.Module:
    function = F.log_softmax if op.log else F.softmax
    return Stateless(lambda x: function(x, op.axis), f"axis={op.axis}")


def _layer_norm(op: LayerNorm, inputs: Sequence[Shape]) -> nn.Module:
    return nn.LayerNorm(inputs[0][-op.dims :], eps=op.eps, bias=op.bias)


GENERAL_RULES: dict[type[Op], Callable[[Any, Sequence[Shape]], nn.Module]] = {
    Unary: _unary,
    Binary: lambda op, _: Stateless(_BINARY[op.kind], op.kind),
    Where: lambda op, _: Stateless(torch.where, "where"),
    Cast: lambda op, _: _Cast(op),
    Constant: lambda op, _: _Constant(op),
    Reshape: _reshape,
    Transpose: lambda op, _: Stateless(lambda x: x.permute(op.order), str(op.order)),
    Cut: _cut,
    Join: _join,
    Reduce: _reduce,
    ArgMax: lambda op, _: Stateless(lambda x: x.argmax(op.axis, op.keep), f"axis={op.axis}"),
    Expand: _expand,
    Gather: _gather,
    Embedding: _embedding,
    MatMul: lambda op, _: Stateless(torch.matmul, "matrix product"),
    Dense: lambda op, inputs: nn.Linear(inputs[0][-1], op.out_features, op.bias),
    Softmax: _softmax,
    LayerNorm: _layer_norm,
    GroupNorm: lambda op, inputs: nn.GroupNorm(op.groups, inputs[0][1], op.eps),
}
