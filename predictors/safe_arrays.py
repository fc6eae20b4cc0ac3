"""Fitted arrays on disk: safetensors in, checked arrays out. Never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from latbench.errors import ParseError

Arrays = dict[str, npt.NDArray[Any]]
MAX_STATE_BYTES = 256 * 2**20


def read_limited(path: Path, limit: int = MAX_STATE_BYTES) -> bytes:
    """Reads the bytes of a regular file of at most ``limit`` bytes. Raises ParseError otherwise."""
    try:
        if not path.is_file():
            raise ParseError(f"{path} is missing or not a file; save the predictor again")
        with path.open("rb") as file:
            # Reading allocates what it is asked for, whatever is there.
            data = file.read(min(limit, path.stat().st_size) + 1)
    except OSError as error:
        raise ParseError(f"{path} cannot be read ({error}); save the predictor again") from error
    if len(data) > limit:
        raise ParseError(f"{path} has more than the {limit:,} bytes expected of such a file")
    return data


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes arrays as a safetensors file."""
    path.write_bytes(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))


def read_arrays(path: Path) -> Arrays:
    """Reads the arrays of a safetensors file, all finite float32 or float64. Raises ParseError."""
    data = read_limited(path)
    try:
        arrays: Arrays = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ParseError(f"{path} is not a whole safetensors file: {error}") from error
    for name, array in arrays.items():
        if array.dtype not in (np.float32, np.float64) or not np.isfinite(array).all():
            raise ParseError(f"{path}: tensor {name!r} must hold finite floats, got {array.dtype}")
    return arrays


def take(
    arrays: Arrays, name: str, shape: tuple[int | None, ...], dtype: type[np.floating[Any]]
) -> npt.NDArray[Any]:
    """Takes one array of the given type and shape.

    Args:
        arrays: The arrays of a saved predictor by their names.
        name: The name of the array.
        shape: Its shape; None fits any length.
        dtype: Its type.

    Returns:
        The array.

    Raises:
        ParseError: When the array is missing, or has another type or shape.
    """
    array = arrays.get(name)
    if array is None:
        raise ParseError(f"the saved predictor has no tensor {name!r}; save it again")
    fits = len(shape) == array.ndim and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ParseError(
            f"tensor {name!r} of the saved predictor is {array.dtype}{array.shape}, expected "
            f"{np.dtype(dtype)}{shape}; it was saved with other parameters or is damaged"
        )
    return array
