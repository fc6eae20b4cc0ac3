"""Plain arrays of an ``.npz`` file, which may be damaged or not what it says."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import DAMAGE, ParseError

# By a header's version; the third is for arrays of records.
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_MAX_DEFLATION = 1032  # zlib's own limit: https://zlib.net/zlib_tech.html


def npz_arrays(
    path: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Reads arrays of an ``.npz`` file by their names; no pickled ones.

    Args:
        path: The file.
        needed: The names of the arrays that it must have.
        optional: The names of those that are read where it has them.

    Returns:
        The arrays by their names.

    Raises:
        ParseError: When an array is missing, or the file is damaged or no such file.
    """
    if not zipfile.is_zipfile(path):
        raise ParseError(f"{path} is not an .npz file, or it is truncated")
    try:
        with zipfile.ZipFile(path) as file:
            there = set(file.namelist())
            missing = [key for key in needed if f"{key}.npy" not in there]
            if missing:
                expected = ", ".join(needed)
                raise ParseError(f"{path} has no array {missing[0]!r}; expected {expected}")
            keys = [*needed, *(key for key in optional if f"{key}.npy" in there)]
            return {key: _npy_array(file, f"{key}.npy", path.stat().st_size) for key in keys}
    except ParseError:
        raise
    except (*DAMAGE, OSError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        reason = str(error)[:200]
        raise ParseError(f"{path} is not an .npz file of plain arrays: {reason}") from error


def _npy_array(file: zipfile.ZipFile, name: str, size: int) -> npt.NDArray[Any]:
    """An array of an archive of ``size`` bytes. NumPy makes room for what the array's header says
    before it reads, so the header is held against what the archive can hold."""
    member = file.getinfo(name)
    with file.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = _HEADERS[version](stream)
    if math.prod(shape) * dtype.itemsize > min(member.file_size, _MAX_DEFLATION * size):
        raise ValueError(f"{name} is said to have shape {shape}, more than the file holds")
    with file.open(member) as stream:
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array
