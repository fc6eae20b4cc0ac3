"""``latbench show``: layers, shapes and counts of single networks, without measuring."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, SpaceOption, console, print_json, say_doubt, show
from latbench.cli.model_options import ShapeOption
from latbench.cli.naming_models import model_of
from latbench.text import plural

if TYPE_CHECKING:
    from latbench.models import Model
    from latbench.networks.ops import Op


def show_(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE|FOLDER|ARCHITECTURE...",
            help="A published network (`latbench networks`), an ONNX file, the folder of a saved "
            "model, or an architecture of --space.",
            autocompletion=completing.networks,
        ),
    ],
    space: SpaceOption = "darts",
    shape: ShapeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the layers, shapes, parameters and multiply-adds of networks, without measuring."""
    from latbench.spaces import parse_space

    found = parse_space(space)
    say_doubt(found)
    described = [describe(model_of(name, found, shape or ())) for name in names]
    if as_json:
        print_json(described)
        return
    for one in described:
        _print(one)


def describe(model: Model) -> dict[str, Any]:
    """Returns what there is to count of a model, as JSON has it. Macs are those of a whole run."""
    network = model.network
    stored = [0] * len(network.layers)
    for name, shape, trained in network.tensors():
        if trained:
            stored[int(name.partition(".")[0])] += _size(shape)
    layers = [
        {
            "layer": i,
            "kind": type(layer.op).__name__,
            "settings": settings_text(layer.op),
            "inputs": list(layer.inputs),
            "output_shape": list(layer.shape),
            "parameters": stored[i],
            "macs": network.layer_macs(layer),
        }
        for i, layer in enumerate(network.layers)
    ]
    return {
        "model": model.name,
        "weights": "given" if model.weights is not None else "invented",
        "batch": network.input_shape[0],
        "input_shape": list(network.input_shape),
        "output_shape": list(network.output_shape),
        "parameters": network.parameters,
        "macs": network.macs,
        "bytes_moved": network.bytes_moved,
        "layers": layers,
    }


def settings_text(op: Op) -> str:
    """Writes a layer's settings that are not the default: ``out_channels=16, kernel=3``."""
    import dataclasses

    said = [
        f"{f.name}={getattr(op, f.name)}"
        for f in dataclasses.fields(op)
        if f.default is dataclasses.MISSING or getattr(op, f.name) != f.default
    ]
    return ", ".join(said)


def _size(shape: tuple[int, ...]) -> int:
    import math

    return math.prod(shape)


def _print(one: dict[str, Any]) -> None:
    from latbench.networks.resizing import size_text

    columns: dict[str, Callable[..., str]] = {
        "layer": str, "kind": str, "settings": str,
        "inputs": lambda places: ", ".join(map(str, places)), "output_shape": size_text,
        "parameters": "{:,}".format, "macs": "{:,}".format,
    }  # fmt: skip
    show(one["layers"], False, one["model"], columns)
    batch = one["batch"]
    a_run = f" a run of {batch}" if batch > 1 else ""
    console.print(
        f"{one['model']}: {plural(len(one['layers']) - 1, 'layer')}, input "
        f"{size_text(one['input_shape'])}, output {size_text(one['output_shape'])}, "
        f"{one['parameters']:,} parameters, {one['macs']:,} multiply-adds{a_run}",
        soft_wrap=True,
    )


COMMANDS = (show_,)
