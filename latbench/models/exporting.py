"""A model as files that need nothing of latbench: ONNX, torch code and safetensors.

All of them are made, and compared with what the model computes, before any is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latbench.errors import BackendError, UsageError, in_words, quoted
from latbench.export.parity import FLOAT32, numpy_type, parity
from latbench.files import replacing
from latbench.models.model_folder import read_model
from latbench.models.named import Model
from latbench.networks.general.arrays import Constant

if TYPE_CHECKING:
    from onnx import ModelProto

    from latbench.export.code.torch_file import TorchCode

_SUFFIXES = {"onnx": ".onnx", "torch": ".py", "weights": ".safetensors"}
_TAKES_ONNX_BYTES = (1 << 31) - 1  # protobuf's limit of one message
_MOST_NAMED = 3


@dataclass(frozen=True)
class Exported:
    """The files that a model was exported as, by ``"onnx"``, ``"torch"`` and ``"weights"``.

    The errors are how far the outputs of the ONNX file (in ONNX Runtime) and of the torch file lie
    from the model's, as shares of each one's largest value; None where there is no such file, or
    ONNX Runtime is not installed.
    """

    model: Model
    files: Mapping[str, Path]
    onnx_error: float | None = None
    torch_error: float | None = None


def export_model(
    model: Model | str | Path,
    *,
    onnx: str | Path | None = None,
    torch: str | Path | None = None,
    weights: str | Path | None = None,
    any_batch: bool = False,
    force: bool = False,
) -> Exported:
    """Writes a model as files that need nothing of latbench.

    The names in the file of weights are those of the torch code, whose ``load(path)`` reads it. A
    model without weights of its own is exported with the invented ones that it is measured with.
    One that was read from an ONNX file gives that very file.

    Args:
        model: The model, or the folder of a saved one.
        onnx: The ONNX file (``.onnx``).
        torch: The file of torch code (``.py``).
        weights: The file of weights (``.safetensors``).
        any_batch: Whether the ONNX file takes any number of images a run, rather than the model's.
        force: Whether files that are there are replaced.

    Returns:
        The files, and how far their outputs lie from the model's.

    Raises:
        UsageError: Where there is nothing to export, a file has another suffix, or is there; and
            for any batch of a model that was read from a file.
        ParseError: Where the folder is no saved model.
        BackendError: For a layer kind without a rule, or a file that computes something else;
            nothing is written then.
    """
    named = {"onnx": onnx, "torch": torch, "weights": weights}
    files = {kind: Path(path) for kind, path in named.items() if path is not None}
    check_files(files, force)
    if any_batch and onnx is None:
        raise UsageError("any batch is for the ONNX file; the torch file takes any as it is")
    taken = model if isinstance(model, Model) else read_model(model)
    if any_batch and taken.source is not None:
        raise UsageError(
            f"{taken.name} was read from an ONNX file, which is written as it is; leave any batch "
            "out"
        )
    contents: dict[str, bytes] = {}
    errors: dict[str, float | None] = {}
    if onnx is not None:
        contents["onnx"] = _onnx_bytes(taken, any_batch)
        errors["onnx"] = _onnx_error(taken, contents["onnx"], 2 if any_batch else 1)
    if torch is not None or weights is not None:
        code = _code(taken)
        state = _state(taken, code)
        errors["torch"] = _torch_error(taken, code, state)
        contents |= {"torch": code.text.encode(), "weights": _safetensors(taken, state)}
    for kind, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(contents[kind])
    return Exported(taken, files, errors.get("onnx"), errors.get("torch"))


def check_files(files: Mapping[str, Path], force: bool) -> None:
    """Raises UsageError unless files can be written: by their kinds at least one, with the kind's
    suffix, each another, and not there already without ``force``."""
    if not files:
        raise UsageError(
            "nothing to export: name an ONNX file, a file of torch code or one of weights (--onnx "
            "net.onnx, --torch net.py, --weights net.safetensors)"
        )
    for kind, path in files.items():
        if path.suffix != _SUFFIXES[kind]:
            raise UsageError(
                f"the file for {kind} must end in {_SUFFIXES[kind]}, got {quoted(str(path))}"
            )
        if path.is_dir() or (path.exists() and not force):
            there = "is a folder" if path.is_dir() else "is there already"
            mend = "name another file" + ("" if path.is_dir() else ", or replace it with --force")
            raise UsageError(f"{path} {there}; {mend}")


def _about(model: Model) -> list[str]:
    """What is said of a model in its files, in sentences."""
    from latbench._version import __version__

    about = [f"{model}, written by latbench {__version__}.", _sizes(model)]
    if model.trained is not None:
        said = str(model.trained)
        about.append(f"{said[0].upper()}{said[1:]}. {model.trained.reads}")
    elif model.weights is None:
        about.append("Its weights were invented, to measure it: it knows nothing.")
    return about


def _sizes(model: Model) -> str:
    network = model.network
    taken, given = (
        (f"{what}s " if len(rows) > 1 else f"{what} ")
        + ", ".join(str(network.layers[i].shape) for i in rows)
        for what, rows in (("Input", network.inputs), ("output", network.outputs))
    )
    return f"{taken}, {given}: {network.parameters:,} parameters, {network.macs:,} multiply-adds."


def _onnx_bytes(model: Model, any_batch: bool) -> bytes:
    if model.source is not None:
        return model.source
    made = model.onnx()
    made.doc_string = "\n\n".join(_about(model))
    if model.trained is not None:
        for name, value in model.trained.values().items():
            text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            made.metadata_props.add(key=name, value=text)
    if any_batch:
        _open_batch(made)
    if made.ByteSize() > _TAKES_ONNX_BYTES:
        raise UsageError(
            f"{model.name} has {made.ByteSize():,} bytes, and an ONNX file 2 GiB at most; export "
            "it with --torch and --weights"
        )
    return bytes(made.SerializeToString())


def _open_batch(made: ModelProto) -> None:
    """Leaves the first dimension of inputs and outputs open, under one name."""
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _onnx_error(model: Model, content: bytes, times: int) -> float | None:
    """How far ONNX Runtime's outputs lie from the model's, on its inputs put so many times into one
    batch; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    arrays = [np.concatenate([x] * times) if times > 1 else x for x in model.inputs()]
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )  # fmt: skip
        feeds = {
            place.name: array.astype(numpy_type(place.type), copy=False)
            for place, array in zip(session.get_inputs(), arrays, strict=True)
        }
        results = session.run(None, feeds)
    except Exception as error:  # those of ONNX Runtime have no class in common
        fixed = "; leave any batch out, where a layer has a fixed one" if times > 1 else ""
        raise BackendError(
            f"ONNX Runtime cannot run the ONNX file of {model.name} ({in_words(error)}){fixed}"
        ) from error
    parts = zip(*(np.split(y, times) if times > 1 else [y] for y in results), strict=True)
    return max(_checked(model, part, "ONNX file") for part in parts)


def _checked(model: Model, outputs: Sequence[npt.NDArray[Any]], what: str) -> float:
    found = tuple(np.asarray(y, np.float32) for y in outputs)
    error, allowed = parity(model, found if len(found) > 1 else found[0], FLOAT32)
    if not error <= allowed:
        raise BackendError(
            f"the {what} of {model.name} computes something else than the model (off by {error:.2g}"
            f" of its largest output, {allowed:.2g} allowed); nothing was written"
        )
    return error


def _code(model: Model) -> TorchCode:
    from latbench.export.code.torch_file import torch_code

    return torch_code(model.network, _about(model), model.arrays)


def _state(model: Model, code: TorchCode) -> dict[str, npt.NDArray[Any]]:
    """The arrays by their names in the torch code."""
    types = model.network.types
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, array in model.arrays.items():
        if name not in code.names:
            continue  # it is a number in the text
        # Weights are floats, but for constants of integers and truth values.
        layer = model.network.layers[row := int(name.partition(".")[0])]
        dtype = types[row] if isinstance(layer.op, Constant) else array.dtype
        arrays[code.names[name]] = np.array(array, dtype, order="C")
    return arrays | {name: np.zeros((), np.int64) for name in code.counters}


def _safetensors(model: Model, state: Mapping[str, npt.NDArray[Any]]) -> bytes:
    from safetensors.numpy import save

    return save(dict(state), metadata={"format": "pt", "model": "\n".join(_about(model))})


def _torch_error(
    model: Model, code: TorchCode, state: Mapping[str, npt.NDArray[Any]]
) -> float:  # fmt: skip
    """How far the outputs of the torch code lie from the model's."""
    import torch

    place: dict[str, Any] = {"__name__": "exported"}
    # It is what was written a moment ago: of what a model says, numbers and a docstring are in it.
    exec(compile(code.text, "<exported>", "exec"), place)  # noqa: S102
    net = place["Net"]()
    made = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    other = made.items() ^ {name: array.shape for name, array in state.items()}.items()
    if other:
        raise BackendError(
            f"the torch code of {model.name} has other tensors than its layers, such as "
            f"{min(other)[0]!r}; mend the rule of the layer kind"
        )
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with torch.inference_mode():
        inputs = (torch.from_numpy(np.ascontiguousarray(array)) for array in model.inputs())
        outputs = net.eval()(*inputs)
    several = isinstance(outputs, tuple)
    return _checked(
        model, [y.detach().numpy() for y in (outputs if several else [outputs])], "torch file"
    )
