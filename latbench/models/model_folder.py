"""A model as a folder: ``network.json``, and ``weights.safetensors`` where weights were given.

A model that came from an ONNX file has that in ``source.onnx``, and inputs that were given are in
``inputs.safetensors``. Reading it runs no code that it names, and a folder that is not what was
saved is refused: the text of the model in ``network.json`` has the digest of what it computes.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import DAMAGE, ParseError, UsageError, in_words, quoted
from latbench.files import read_json, replacing_folder
from latbench.models.named import Model, digest_of
from latbench.models.network_json import network_from, network_values
from latbench.models.trained import Trained
from latbench.networks.network import FLOAT32_BYTES, Network
from latbench.networks.weights import Weights

FORMAT = 1
NETWORK_FILE, WEIGHTS_FILE = "network.json", "weights.safetensors"
SOURCE_FILE, INPUTS_FILE = "source.onnx", "inputs.safetensors"
_MOST_SEARCHED, _MOST_NAMED = 500, 4  # folders, for what might have been meant
# A safetensors file has a header of names and shapes besides the values.
_HEADER_BYTES, _HEADER_BYTES_A_TENSOR = 4096, 512
_MOST_ITEM_BYTES = 8


def save_model(model: Model, folder: str | Path) -> None:
    """Writes a model as a folder, whole or not at all; an older model there is replaced.

    Raises UsageError when the folder holds anything else, when a layer kind cannot be saved, for a
    name that is empty or has line breaks, or for weights with NaN or infinity.
    """
    if not model.name.strip() or not model.name.isprintable():
        raise UsageError(
            f"a model is called {quoted(model.name)}; give it a name of one line that can be "
            "printed"
        )
    _check_finite(model, f"the model {quoted(model.name)}")
    values = {
        "format": FORMAT,
        "name": model.name,
        "text": str(model),
        "weights": model.weights is not None,
        "layers": network_values(model.network),
    }
    values |= {key: value for key, value in _further(model).items() if value}
    with replacing_folder(Path(folder), NETWORK_FILE, "saved model") as fresh:
        (fresh / NETWORK_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        if model.source is not None:
            (fresh / SOURCE_FILE).write_bytes(model.source)
        for name, arrays in ((WEIGHTS_FILE, model.weights), (INPUTS_FILE, model.given or None)):
            if arrays is not None:
                from safetensors.numpy import save_file

                save_file(
                    {key: np.asarray(a, order="C") for key, a in arrays.items()}, fresh / name
                )


def _further(model: Model) -> dict[str, Any]:
    """What few models have, and is only written where they do."""
    return {
        "tuned": dict(model.tuned),
        "trained": None if model.trained is None else model.trained.values(),
        "source": model.source is not None,
        "given": digest_of(model.given) if model.given else "", "notes": list(model.notes),
    }  # fmt: skip


def read_model(folder: str | Path, own: bool = False) -> Model:
    """Reads the model that ``save_model`` wrote.

    ``own`` says that this very program wrote the folder; else a layer kind of a plug-in is only
    accepted when its module is imported already (``latbench.plugins``). Raises ParseError when the
    folder is no saved model, or is not what was saved.
    """
    folder = Path(folder)
    where = f"the model {folder}"
    try:
        return _read(folder, where, own)
    except ParseError:
        raise
    except OSError as error:
        raise ParseError(
            f"{where} cannot be read ({error.strerror or error}); name a folder of save_model"
        ) from error
    except DAMAGE as error:
        raise ParseError(f"{where} is damaged ({in_words(error)}); save it again") from error


def _read(folder: Path, where: str, own: bool) -> Model:
    if not (folder / NETWORK_FILE).is_file():
        raise ParseError(f"there is no saved model at {folder}; {_instead(folder)}")
    try:
        values: dict[str, Any] = dict(read_json(folder / NETWORK_FILE))
    except ParseError as error:  # whose remedy is that of files which are made again
        raise ParseError(
            f"{where} is damaged: its {NETWORK_FILE} is not valid JSON; save it again"
        ) from error
    if values.get("format") != FORMAT:
        raise ParseError(
            f"{where} has format {str(values.get('format'))[:20]}, this latbench reads {FORMAT}; "
            "use the latbench version that wrote it"
        )
    network = network_from(values["layers"], where, own)
    weights = _weights(folder / WEIGHTS_FILE, where, network) if values["weights"] else None
    source = _source(folder / SOURCE_FILE, where, own) if values.get("source") else None
    given = _given(folder / INPUTS_FILE, where, network) if values.get("given") else {}
    if given and digest_of(given) != values["given"]:
        raise ParseError(f"{where} is damaged: {INPUTS_FILE} is not what was saved; save it again")
    model = Model(
        str(values["name"]), network, weights, dict(values.get("tuned", {})),
        trained=Trained.of_values(values["trained"]) if "trained" in values else None,
        source=source, given=given, notes=tuple(map(str, values.get("notes", ()))),
    )  # fmt: skip
    if str(model) != values["text"]:
        raise ParseError(f"{where} is damaged: it is not what was saved; save it again")
    _check_finite(model, where, ParseError)
    return model


def _instead(folder: Path) -> str:
    """What to name instead of a folder that is no saved model: those in it, where there are any, as
    in that of an experiment."""
    found: list[str] = []
    for place, folders, files in itertools.islice(os.walk(folder), _MOST_SEARCHED):
        folders.sort()
        found += [place] if NETWORK_FILE in files else []
    several = ", ".join(sorted(found)[:_MOST_NAMED])
    return f"in it there are {several}; name one" if several else "name a folder of save_model"


def _check_finite(model: Model, where: str, kind: type[UsageError] = UsageError) -> None:
    """Refuses weights with which no two outputs can be compared."""
    for name, array in (model.weights or {}).items():
        if not np.isfinite(array).all():
            raise kind(
                f"{where} has NaN or infinity in its weight {name!r}; save it with finite weights"
            )


def _source(path: Path, where: str, own: bool) -> bytes:
    """The ONNX file that the model came from, which refers to no other file."""
    if not path.is_file():
        raise ParseError(f"{where} lacks its {SOURCE_FILE}; save it again")
    data = path.read_bytes()
    if not own:
        from latbench.importing.onnx_file import parsed

        parsed(data, str(path))
    return data


def _weights(path: Path, where: str, network: Network) -> Weights:
    """The arrays of a file, which may not be larger than the network's tensors are."""
    shapes = [shape for _, shape, _ in network.tensors()]
    values = FLOAT32_BYTES * sum(math.prod(shape) for shape in shapes)
    return _arrays(path, where, values, len(shapes))


def _given(path: Path, where: str, network: Network) -> dict[str, npt.NDArray[Any]]:
    """The inputs that were given; whether they are the network's, the model looks at."""
    shapes = [network.layers[i].shape for i in network.inputs]
    return _arrays(path, where, _MOST_ITEM_BYTES * sum(map(math.prod, shapes)), len(shapes))


def _arrays(path: Path, where: str, values: int, tensors: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a safetensors file that has no more than ``values`` bytes in ``tensors``."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not path.is_file():
        raise ParseError(f"{where} lacks its {path.name}; save it again")
    size = path.stat().st_size
    if size > values + _HEADER_BYTES + _HEADER_BYTES_A_TENSOR * tensors:
        raise ParseError(
            f"{where} is damaged: {path.name} has {size:,} bytes, its network's tensors have "
            f"{values:,}; save it again"
        )
    try:
        # Copies: what is loaded may not be written to, which torch warns of.
        return {name: np.array(a) for name, a in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise ParseError(
            f"{where} is damaged: {path.name} is no whole safetensors file ({error}); save it again"
        ) from error
