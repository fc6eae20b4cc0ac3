"""The models that a command line names, in one place for all commands: the folders of saved models,
published networks, ONNX files and architectures.

A new way in (a file of another format) is an option in ``latbench.cli.model_options`` and a
function here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from latbench.cli.networks_command import parse_network
from latbench.errors import (
    DAMAGE,
    BackendError,
    ParseError,
    UsageError,
    did_you_mean,
    quoted,
    unknown,
)
from latbench.progress import messages

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from latbench.models import Model
    from latbench.spaces import AnySpace

    Array = npt.NDArray[np.generic]

MOST_BYTES = 2**31
_MOST_AXES = 16


class NamedModel(NamedTuple):
    """A model, and the architecture that it was named by, where it was."""

    model: Model
    architecture: Any = None


def named_models(folders: Iterable[Path] = (), networks: Iterable[str] = ()) -> list[Model]:
    """Reads the models saved in folders and builds published networks, in this order.

    Raises UsageError for a network that there is not, and LatbenchError for a folder without a
    model.
    """
    from latbench.models import read_model

    return [*map(read_model, folders), *map(named_network, networks)]


def named_network(text: str) -> Model:
    """Returns the published network that a text as ``mobilenet_v2@128`` names.

    Raises UsageError for a name that there is not, and for a resolution that the network cannot
    take.
    """
    from latbench.zoo.published_networks import published_model

    name, resolution = parse_network(text)
    return published_model(name, resolution=resolution)


def named_architecture(text: str, space: AnySpace | None) -> NamedModel:
    """Returns the architecture of a space that a text or a published name says.

    Raises UsageError without a space, and for a text of no architecture.
    """
    from latbench.models import Model

    if space is None:
        raise UsageError("--architecture is of a space; name it with --space")
    architecture = space.parse(text)
    return NamedModel(Model(str(architecture), space.build(architecture)), architecture)


def model_of(text: str, space: AnySpace, shapes: Sequence[str] = ()) -> Model:
    """Returns the model that a text names.

    It is a path (the folder of a saved model, or an ONNX file, with ``shapes`` such as
    ``input=1,3,224,224`` for the sizes that it leaves open), or the name of a published network
    with a resolution or without (``mobilenet_v2@128``), or an architecture of ``space``, by its
    text or its published name.

    Raises UsageError for any other text, and for a file or folder that is no model.
    """
    from latbench.models import read_model
    from latbench.spaces import known_name
    from latbench.zoo.published_networks import network_names

    if _is_path(text):
        if Path(text).is_file():
            (model,) = onnx_models([Path(text)], shapes, ())
            return model
        return read_model(text)
    names = network_names()
    if text.partition("@")[0] in names:
        return named_network(text)
    try:
        model = named_architecture(text, space).model
    except ParseError as error:
        if any(c in text for c in "(|~ "):  # no name, but a damaged architecture
            raise
        known = [*names, *space.published]
        raise UsageError(
            f"{quoted(text)} is no published network (`latbench networks`), no ONNX file, no "
            "folder of a saved model and no architecture of the space "
            f"{space.name}{did_you_mean(text, known)} --space names another space"
        ) from error
    return replace(model, name=known_name(model.name))


def _is_path(text: str) -> bool:
    """Whether a text is a path; an architecture's may be too long for one."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


class NamedFiles(NamedTuple):
    """The texts of ``--onnx``, ``--shape`` and ``--input``."""

    paths: Sequence[Path] | None = None
    shapes: Sequence[str] | None = None
    inputs: Sequence[str] | None = None


def one_model(
    folder: Path | None,
    network: str | None,
    architecture: str | None,
    space: AnySpace | None,
    files: NamedFiles | None = None,
) -> NamedModel:
    """Returns the one model that a command is about.

    Args:
        folder: The folder of a saved model.
        network: A published network.
        architecture: The text of an architecture.
        space: The space of the architecture.
        files: An ONNX file, with shapes and values of its inputs.

    Returns:
        The model.

    Raises:
        UsageError: Where none or several are named, or what is named is not there.
        LatbenchError: For a folder without a model, a file of no model, a text of no architecture.
    """
    files = files or NamedFiles()
    paths = list(files.paths or ())
    if (given := len(paths) + sum(one is not None for one in (folder, network, architecture))) != 1:
        raise UsageError(
            "name one network, by --network NAME, --model FOLDER, --onnx FILE, or --architecture "
            f"TEXT with --space; got {given or 'none'}"
        )
    found = onnx_models(*files)  # which refuses shapes and inputs of no file
    if len(found) > 1:
        raise UsageError(f"{paths[0]} has {len(found)} ONNX files; name one of them")
    if architecture is not None:
        return named_architecture(architecture, space)
    found += named_models([folder] if folder else (), [network] if network is not None else ())
    return NamedModel(found[0])


def onnx_models(
    paths: Sequence[Path] | None, shapes: Sequence[str] | None, inputs: Sequence[str] | None
) -> list[Model]:
    """Reads the networks that ``--onnx``, ``--shape`` and ``--input`` name, and says once what was
    invented for them.

    Args:
        paths: Files, and folders of files.
        shapes: Texts such as ``input=1,3,224,224``.
        inputs: Texts such as ``ids=ids.npy``.

    Returns:
        The models, called as the files are.

    Raises:
        ParseError: For a file that is no whole ONNX model, or has a part that cannot be read.
        UsageError: For a folder without such files, and for shapes and values that no file takes.
    """
    fixed = dict(map(parse_shape, shapes or ()))
    given = {name: read_input(path) for name, path in map(_named_file, inputs or ())}
    if not paths:
        if fixed or given:
            raise UsageError("--shape and --input are of ONNX files' inputs; name one with --onnx")
        return []
    files = list(dict.fromkeys(file for path in paths for file in onnx_files(path)))
    takes = [_taken(file) if len(files) > 1 and (fixed or given) else None for file in files]
    known = set[str]().union(*(one.names for one in takes if one is not None))
    for name in (*fixed, *given) if known else ():
        if name not in known:
            raise UsageError(unknown("input", name, sorted(known)))
    found = [
        _model(file, name, fixed, given, taken)
        for file, name, taken in zip(files, names_of(files), takes, strict=True)
    ]
    for model in found:
        if model.notes:
            messages.print(f"{model.name}: {'; '.join(model.notes)}", soft_wrap=True)
    return found


@contextmanager
def trainable_folder(path: Path, shapes: Sequence[str] | None) -> Iterator[Path]:
    """Saves the network of an ONNX file with its weights where what trains reads models, for as
    long as the body runs.

    Raises ParseError and UsageError as ``onnx_models`` does, and UsageError for more than one file,
    and for an operator that torch has no layer for.
    """
    from latbench.export.torch import to_torch
    from latbench.models import save_model

    (model, *others) = onnx_models([path], shapes, ())
    if others:
        raise UsageError(f"{path} has {len(others) + 1} ONNX files; name one of them")
    try:
        to_torch(model.network, model.weights)
    except BackendError as error:
        raise UsageError(f"{path} cannot be trained: {error}") from error
    with TemporaryDirectory(prefix="latbench-onnx-") as folder:
        save_model(model, Path(folder) / path.name)
        yield Path(folder) / path.name


class _Taken(NamedTuple):
    """The inputs of a file, and those of them whose sizes it leaves open."""

    names: set[str]
    open_ones: set[str]


def _taken(file: Path) -> _Taken:
    from latbench.importing.onnx_file import read_file

    read = read_file(file)
    inputs = [i for i in read.model.graph.input if i.name not in read.tensors()]
    left = {
        i.name for i in inputs
        if any(not dim.dim_value > 0 for dim in i.type.tensor_type.shape.dim)
    }  # fmt: skip
    return _Taken({i.name for i in inputs}, left)


def _model(
    file: Path, name: str, shapes: Mapping[str, tuple[int, ...]], given: Mapping[str, Array],
    taken: _Taken | None,
) -> Model:  # fmt: skip
    """The model of a file; of several, with the shapes and values that are for it."""
    from latbench.models import Model

    if taken is not None:
        shapes = {key: sizes for key, sizes in shapes.items() if key in taken.open_ones}
        given = {key: array for key, array in given.items() if key in taken.names}
    return Model.from_onnx(file, shapes, given, name)


def onnx_files(path: Path) -> list[Path]:
    """Returns the file itself, or a folder's ``.onnx`` files in the order of their names.

    Raises UsageError for what is neither, and for a folder without any.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".onnx")
        if not found:
            raise UsageError(f"the folder {path} has no .onnx files; name one that has")
        return found
    if not path.is_file():
        raise UsageError(f"there is no ONNX file at {path}; name a file, or a folder of files")
    return [path]


def names_of(files: Sequence[Path]) -> list[str]:
    """Returns what the models of files are called: the files' names without their suffixes, with
    as many folders before them as tell them apart."""
    depth, names = 1, [file.stem for file in files]
    while len(set(names)) < len(names) and depth < _MOST_AXES:
        depth += 1
        parts = [file.resolve().with_suffix("").parts for file in files]
        names = ["/".join(p[-depth:]) for p in parts]
    return names


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Reads ``input=1,3,224,224`` as a name and sizes. Raises UsageError for any other text."""
    name, equals, sizes = text.rpartition("=")
    numbers = [part.strip() for part in sizes.replace("x", ",").split(",")]
    sound = all(n.isascii() and n.isdecimal() and len(n) < 10 and int(n) > 0 for n in numbers)
    if not (equals and name and sound and len(numbers) <= _MOST_AXES):
        raise UsageError(
            f"--shape {quoted(text)} is no shape of an input; expected INPUT=SIZES with whole "
            "numbers from 1, such as input=1,3,224,224"
        )
    return name, tuple(map(int, numbers))


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (equals and name and path):
        raise UsageError(
            f"--input {quoted(text)} names no input and file; expected INPUT=FILE.npy, such as "
            "ids=ids.npy"
        )
    return name, Path(path)


def read_input(path: Path) -> Array:
    """Reads an array of a ``.npy`` file; no pickled ones, and no more than 2 GiB.

    Raises UsageError for a file that cannot be read, or is none.
    """
    import numpy as np

    try:
        # A map takes no memory, and is refused where the file is shorter than its header says.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.ndarray) or math.prod(mapped.shape) * mapped.itemsize > (
            MOST_BYTES
        ):
            raise UsageError(f"{path} holds no array of at most 2 GiB; save one by numpy.save")
        return np.array(mapped)
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(
            f"the input {path} cannot be read ({error.strerror or error}); name a file of "
            "numpy.save"
        ) from error
    except (*DAMAGE, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"{path} is no .npy file of plain numbers ({reason}); save one by numpy.save"
        ) from error
