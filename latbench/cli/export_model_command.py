"""``latbench export-model``: a network as files that need nothing of latbench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latbench.cli import completing
from latbench.cli.common import JsonOption, console, print_json
from latbench.cli.model_options import (
    InputOption,
    OneArchitectureOption,
    OneNetworkOption,
    ShapeOption,
)
from latbench.cli.naming_models import onnx_models
from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.models import Exported, Model

ModelArgument = Annotated[
    Path | None,
    typer.Argument(help="Folder of a saved model, or an ONNX file.", show_default=False),
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="The space of --architecture, or of the layers of MODEL; e.g. 'darts(channels=16)'.",
        autocompletion=completing.spaces,
    ),
]
OnnxOption = Annotated[
    Path | None, typer.Option("--onnx", metavar="NET.onnx", help="Write an ONNX file.")
]
TorchOption = Annotated[
    Path | None,
    typer.Option("--torch", metavar="NET.py", help="Write torch code that can be read and edited."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="NET.safetensors", help="Write the weights, by the torch code's names."
    ),
]
AnyBatchOption = Annotated[
    bool, typer.Option("--any-batch", help="The ONNX file takes any number of images a run.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def export_model(
    model: ModelArgument = None,
    architecture: OneArchitectureOption = None,
    space: SpaceOption = None,
    network: OneNetworkOption = None,
    onnx: OnnxOption = None,
    torch: TorchOption = None,
    weights: WeightsOption = None,
    any_batch: AnyBatchOption = False,
    force: ForceOption = False,
    shape: ShapeOption = None,
    given: InputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a network as ONNX, torch code and weights that need nothing of latbench.

    What a search trained is a saved model, and so is what was pruned. An ONNX file's layers become
    torch code, too. An architecture and a published network have invented weights. What the files
    compute is compared with the model before they are written.
    """
    from latbench.models import export_model as export
    from latbench.models.exporting import check_files

    named = {"onnx": onnx, "torch": torch, "weights": weights}
    check_files({kind: path for kind, path in named.items() if path is not None}, force)
    if model is not None and model.suffix.lower() == ".onnx" and not model.is_dir():
        chosen = _of_file(model, architecture, space, network, shape, given)
    elif shape or given:
        raise UsageError("--shape and --input are of an ONNX file's inputs; name one as MODEL")
    else:
        chosen = _chosen(model, architecture, space, network)
    found = export(
        chosen, onnx=onnx, torch=torch, weights=weights, any_batch=any_batch, force=force
    )
    if as_json:
        print_json(_values(found))
    else:
        _print(found)


def _of_file(
    file: Path, architecture: str | None, space: str | None, network: str | None,
    shapes: list[str] | None, inputs: list[str] | None,
) -> Model:  # fmt: skip
    """The model of an ONNX file, which is named by nothing else."""
    others = {"--architecture": architecture, "--space": space, "--network": network}
    named = [name for name, value in others.items() if value is not None]
    if named:
        raise UsageError(f"{file} is an ONNX file, which is of no {named[0]}; give one of them")
    (found,) = onnx_models([file], shapes, inputs)
    return found


def _chosen(
    model: Path | None, architecture: str | None, space: str | None, network: str | None
) -> Model:
    """The model that is named, in one of three ways."""
    from latbench.cli.naming_models import one_model
    from latbench.spaces import parse_space

    ways = {"MODEL": model, "--architecture": architecture, "--network": network}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        said = " and ".join(given) if given else "nothing"
        raise UsageError(
            f"{said} to export; name a saved model's folder or an ONNX file, or --architecture "
            "with --space, or --network: one of the three"
        )
    if space is not None and network is not None:
        raise UsageError("--network names a published network, which is of no --space; give one")
    known = None if space is None else parse_space(space)  # it imports the layers of a model
    return one_model(model, network, architecture, known).model


def _values(found: Exported) -> dict[str, object]:
    model, trained = found.model, found.model.trained
    return {
        "model": str(model),
        "files": {kind: str(path) for kind, path in found.files.items()},
        "size_bytes": {kind: path.stat().st_size for kind, path in found.files.items()},
        "parameters": model.network.parameters,
        "macs": model.network.macs,
        "onnx_error": found.onnx_error,
        "torch_error": found.torch_error,
        "weights": "invented" if model.weights is None else "saved",
        "trained": None if trained is None else trained.values(),
    }


_WHAT = {"onnx": "ONNX", "torch": "torch code", "weights": "weights"}


def _print(found: Exported) -> None:
    model = found.model
    errors = {"onnx": found.onnx_error, "torch": found.torch_error}
    for kind, path in found.files.items():
        error = errors.get(kind)
        checked = "" if error is None else f", off by {error:.1g} of the model's largest output"
        if kind == "onnx" and error is None:
            checked = ", not compared, since ONNX Runtime is not installed"
        console.print(f"{_WHAT[kind]}: {path}{checked}", soft_wrap=True)
    if model.trained is not None:
        console.print(f"{model.trained}. {model.trained.reads}", soft_wrap=True)
    elif model.weights is None:
        console.print("its weights are invented: train it before it is used", soft_wrap=True)


COMMANDS = (export_model,)
