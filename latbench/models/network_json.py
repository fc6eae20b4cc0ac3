"""A network as plain values that JSON holds, and back.

A layer is its op's class, its attributes and the layers that it reads. latbench's own layer kinds
are called by their class, one of a plug-in is called ``module:Class``: a file may name one, but not
import its module (``latbench.plugins``). Shapes follow from the ops and are not kept.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping
from typing import Any

from latbench.errors import DAMAGE, ParseError, UsageError, in_words, quoted
from latbench.networks.general import arithmetic, arrays, products, windows
from latbench.networks.network import Layer, Network, NetworkBuilder
from latbench.networks.ops import (
    LATER,
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
    Slice,
    Zero,
)
from latbench.plugins import Registry, reference_of
from latbench.validation import check_fields

KNOWN: tuple[type[Op], ...] = (
    Activation, BatchNorm, ChannelShuffle, Concat, Conv, Elementwise, Flatten, GlobalAvgPool, Input,
    Linear, Pad, Pool, Slice, Zero,
    *(
        kind
        for module in (windows, arithmetic, arrays, products)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Op) and kind.__module__ == module.__name__
    ),
)  # fmt: skip
_REGISTRY = Registry(
    "layer kind",
    "latbench.layers",
    "latbench.networks.ops:Op",
    {cls.__name__: reference_of(cls) for cls in KNOWN},
    ParseError,
    titled=False,
)


def imported_modules() -> set[str]:
    """Returns the modules of others' layer kinds that are imported: what this process reads may
    name them, and so may what a process that it starts reads."""
    found, kinds = set[str](), [Op]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.add(kind.__module__)
    return {name for name in found if name.partition(".")[0] != "latbench"}


def network_values(network: Network) -> list[dict[str, Any]]:
    """Returns a network's layers as values of JSON, and behind them its outputs where there are
    several.

    Raises UsageError for a layer kind with an attribute that is no number, text or truth value, nor
    a tuple of these, or whose class is not at the top level of its module.
    """
    several: list[dict[str, Any]] = [{"outputs": [*network.results]}] if network.results else []
    return [_values_of(layer) for layer in network.layers] + several


def _values_of(layer: Layer) -> dict[str, Any]:
    op = layer.op
    fields = {
        f.name: _plain(op, getattr(op, f.name))
        for f in dataclasses.fields(op)
        if not (f.metadata == LATER and getattr(op, f.name) == f.default)
    }
    return {"op": _name_of(type(op)), "with": fields, "inputs": [int(i) for i in layer.inputs]}


def _name_of(cls: type[Op]) -> str:
    if cls in KNOWN:
        return cls.__name__
    if "." in cls.__qualname__:
        raise UsageError(
            f"the layer kind {reference_of(cls)} cannot be saved; put the class at the top level "
            "of its module"
        )
    return reference_of(cls)


def _plain(op: Op, value: object) -> Any:
    """An attribute as JSON has it. numpy's numbers become Python's."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, tuple | list):
        return [_plain(op, v) for v in value]
    raise UsageError(
        f"the attribute {quoted(repr(value))} of {op} cannot be saved; a layer kind has numbers, "
        "texts, truth values, and tuples of these"
    )


def network_from(layers: Any, where: str, own: bool = False) -> Network:
    """Builds the network that ``network_values`` described; every shape is inferred again.

    Args:
        layers: The values, as they were read.
        where: What they were read from, for messages ("the model x").
        own: Whether this very program wrote them; else they may name no module that is not
            imported.

    Returns:
        The network.

    Raises:
        ParseError: When they are not whole, or name a layer kind that is not known or not to be
            imported.
    """
    try:
        results: tuple[int, ...] = (len(layers) - 1,)
        if "outputs" in layers[-1]:
            *layers, last = layers
            results = tuple(map(_place, last["outputs"]))
        ops = [_op_of(values, where, own) for values in layers]
        inputs = [op for op in ops if isinstance(op, Input)]
        if not inputs or ops[: len(inputs)] != inputs or layers[0]["inputs"] != []:
            raise ParseError(f"{where} is damaged: its first layer is no input; save it again")
        b = NetworkBuilder.of_inputs(*inputs)
        for op, values in zip(ops[len(inputs) :], layers[len(inputs) :], strict=True):
            b.add(op, *map(_place, values["inputs"]))
        network = b.build(*results)
    except ParseError:
        raise
    except DAMAGE as error:
        raise ParseError(
            f"{where} is damaged: its layers cannot be read ({in_words(error)}); save it again"
        ) from error
    if len(network.layers) != len(layers):
        raise ParseError(f"{where} is damaged: nothing reads some of its layers; save it again")
    return network


def _place(value: object) -> int:
    if type(value) is not int:  # True is no number
        raise TypeError(f"a layer reads layer {value!r}")
    return value


def _op_of(values: Mapping[str, Any], where: str, own: bool) -> Op:
    try:
        cls: type[Op] = _REGISTRY.find(str(values["op"]), None if own else where)
    except ParseError as error:
        said = str(error)
        raise ParseError(said if said.startswith(where) else f"{where}: {said}") from error
    op = cls(**{name: _frozen(value) for name, value in dict(values["with"]).items()})
    check_fields(op)
    return op


def _frozen(value: Any) -> Any:
    """Lists as the tuples that they were; an op is hashable."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
