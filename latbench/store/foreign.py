"""Tables of latencies that somebody else measured, and stores of them.

A table has a latency for each architecture on each device, and nothing of how it was measured: no
canary, no second timing, no interval. A store keeps it all the same, one set a device, so that it
is listed, fitted, compared and learnt from like any other. Such a set is of the backend
``"foreign"`` and of protocol version 0, and names its source; its noise floors are not measured.
What is kept as relative is in seconds, in units of one second.
"""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from latbench.errors import ParseError, StoreError, UsageError, quoted
from latbench.npz import npz_arrays
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import One
from latbench.store.file import Store
from latbench.store.keys import key_of_number
from latbench.store.output import new_store
from latbench.store.plain_pickle import read_plain_pickle
from latbench.store.records import MeasurementSet
from latbench.timing.protocol import FOREIGN, Protocol

BACKEND = "foreign"  # in the place of a runtime that nobody named
TABLES = (".npz", ".csv", ".pickle", ".pkl")
COLUMNS = ("architecture", "device", "latency_ms")
_MOST_CHARACTERS = 200  # of a device's or a source's name
_INSERT = (
    "INSERT INTO main.measurements"
    " (set_id, key, repeat, sample_index, status, relative, raw_s, canary_s, finished)"
    " VALUES (?, ?, 0, ?, 'ok', ?, ?, 1.0, ?)"
)
Floats = npt.NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ForeignTable:
    """A table of latencies: ``latency_ms`` ``(devices, architectures)`` in milliseconds, NaN where
    one was not measured."""

    devices: tuple[str, ...]
    architectures: tuple[Architecture, ...]
    latency_ms: Floats


def read_table(path: Path, space: AnySpace) -> ForeignTable:
    """Reads a table of latencies of a space's architectures.

    An ``.npz`` file has the arrays ``latency_ms`` ``(devices, n)``, ``devices`` (names) and
    ``arch`` (n texts, as ``space.parse`` takes them), or, in the place of the last, ``enc``
    ``(n, variables)``: the number of each variable's option, or its place in the array ``ops`` of
    names, where there is one. A ``.csv`` file has the columns ``architecture``, ``device`` and
    ``latency_ms``, one row a latency. NaN, or an empty cell, is a latency that was not measured. A
    ``.pickle`` file is one of the data set LatBench (SamsungLabs/eagle): a dictionary of seconds by
    tuples of numbers as in ``enc``, of the device that the file is called by.

    Args:
        path: The file.
        space: The space that its architectures are of.

    Returns:
        The table, its architectures in the order of the file.

    Raises:
        StoreError: When there is no such file.
        UsageError: For a file of another kind, by its name.
        ParseError: When the file cannot be read, is damaged or no such table, for a row that is not
            of the space or is there twice, and for a latency that is no positive number; the first
            bad row is named.
    """
    if not path.is_file():
        raise StoreError(f"there is no file at {path}; name a table ({', '.join(TABLES)})")
    if path.suffix.lower() not in TABLES:
        raise UsageError(f"{path} is no table that is read; expected one of {', '.join(TABLES)}")
    try:
        path.open("rb").close()  # zipfile takes what may not be read for no archive
        table = _READERS.get(path.suffix.lower(), _from_pickle)(path, space)
    except OSError as error:
        raise ParseError(
            f"{path} cannot be read ({error.strerror or error}); name a table that you may read"
        ) from error
    _check_latencies(path, table)
    return table


def import_table(path: Path, out: Path, space: AnySpace, source: str | None = None) -> int:
    """Makes a store at ``out`` from a table of latencies; returns the number of rows.

    Each device is a set of its own. The store appears only when it is complete.

    Args:
        path: The table, as ``read_table`` reads it.
        out: The store to make.
        space: The space that the table's architectures are of.
        source: Who measured it, by the file's name unless said: part of the sets' conditions, as is
            the file's hash, so that two tables are never mixed.

    Returns:
        The number of rows.

    Raises:
        StoreError: When there is no such table, or ``out`` exists.
        UsageError: For a file of another kind, by its name.
        ParseError: As ``read_table`` raises it, and for a source that is no line of text.
    """
    table = read_table(path, space)
    named = _name(path.stem if source is None else source, "the source")
    keys = [key_of_number(space.rank(architecture)) for architecture in table.architectures]
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    rows = 0
    with new_store(out, space) as store:
        for device, latency_ms in zip(table.devices, table.latency_ms, strict=True):
            measured = np.flatnonzero(~np.isnan(latency_ms)).tolist()
            if measured:
                seconds = (latency_ms / 1e3).tolist()
                found = [(keys[i], i, seconds[i]) for i in measured]
                _add(store, _set_of(device, named, version), found)
            rows += len(measured)
    return rows


def _set_of(device: str, source: str, version: str) -> MeasurementSet:
    return MeasurementSet(
        backend=BACKEND, options={"source": source}, version=version, device=device,
        protocol=Protocol(version=FOREIGN), canary="none", machine={},
    )  # fmt: skip


def _add(store: Store, of: MeasurementSet, found: Sequence[tuple[Any, int, float]]) -> None:
    set_id, now = store.add_set(of), time.time()
    store.connection.executemany(
        _INSERT, ((set_id, key, index, s, s, now) for key, index, s in found)
    )


def _from_npz(path: Path, space: AnySpace) -> ForeignTable:
    arrays = npz_arrays(path, ("latency_ms", "devices"), ("arch", "enc", "ops"))
    latency_ms, devices = arrays["latency_ms"], arrays["devices"]
    if devices.ndim != 1 or devices.dtype.kind != "U":
        raise _unlike(path, "devices", devices, "names (devices,)")
    if latency_ms.dtype.kind not in "uif" or latency_ms.ndim != 2:
        raise _unlike(path, "latency_ms", latency_ms, "numbers (devices, architectures)")
    if "arch" in arrays:
        texts = arrays["arch"]
        if texts.ndim != 1 or texts.dtype.kind != "U":
            raise _unlike(path, "arch", texts, "texts (architectures,)")
        architectures = tuple(_each(path, space, texts.tolist(), space.parse))
    elif "enc" in arrays:
        codes, decode = arrays["enc"], _decoder(path, space, arrays["enc"], arrays.get("ops"))
        architectures = tuple(_each(path, space, codes.tolist(), decode))
    else:
        raise ParseError(f"{path} has no array 'arch' (texts) nor 'enc' (numbers of options)")
    if latency_ms.shape != (len(devices), len(architectures)):
        raise ParseError(
            f"{path}: latency_ms has shape {latency_ms.shape}; expected one row for each of "
            f"{len(devices)} devices and one column for each of {len(architectures)} architectures"
        )
    names = tuple(_name(str(d), f"a device of {path}") for d in devices)
    if len(set(names)) < len(names):
        raise ParseError(f"{path} names a device twice; expected different names")
    return ForeignTable(names, architectures, latency_ms.astype(np.float64))


def _unlike(path: Path, key: str, array: npt.NDArray[Any], expected: str) -> ParseError:
    return ParseError(
        f"{path}: {key} has shape {array.shape} and type {array.dtype}; expected {expected}"
    )


def _decoder(
    path: Path, space: AnySpace, codes: npt.NDArray[Any], operations: npt.NDArray[Any] | None
) -> Callable[[list[int]], Architecture]:
    """What gives the architecture of a row of numbers."""
    variables = space.forest.variables
    if not all(isinstance(v, One) for v in variables):
        raise ParseError(f"the variables of {space} are no plain numbers; give texts in 'arch'")
    if codes.dtype.kind not in "ui" or codes.ndim != 2 or codes.shape[1] != len(variables):
        raise _unlike(path, "enc", codes, f"whole numbers (architectures, {len(variables)})")
    if operations is not None and (operations.ndim != 1 or operations.dtype.kind != "U"):
        raise _unlike(path, "ops", operations, "names (operations,)")
    names: list[str] | None = None if operations is None else operations.tolist()

    def decode(row: list[int]) -> Architecture:
        code = tuple(_option(space, i, k, names) for i, k in enumerate(row))

        def existing(i: int) -> int:
            if code[i] < 0:
                raise ParseError(f"{variables[i].name} has no value (-1) where it exists")
            return code[i]

        for v, value, grown in zip(variables, code, space.forest.grow(existing), strict=True):
            if value != grown:
                raise ParseError(f"{v.name} has a value where it does not exist; expected -1")
        return space.of(code)

    return decode


def _option(space: AnySpace, i: int, number: int, names: list[str] | None) -> int:
    """The number of a variable's option; -1 of one that does not exist."""
    v = space.forest.variables[i]
    known = v.options if names is None else names
    if number == -1:
        return -1
    if not 0 <= number < len(known):
        raise ParseError(f"{v.name} has the number {number}; expected 0 to {len(known) - 1}")
    if known[number] not in v.options:
        raise ParseError(
            f"{v.name} is {quoted(known[number])}; expected one of {', '.join(v.options)}"
        )
    return v.options.index(known[number])


def _each(
    path: Path, space: AnySpace, rows: Sequence[T], make: Callable[[T], Architecture]
) -> Iterator[Architecture]:
    """Yields the architectures of rows. Raises ParseError naming the first one that is none of the
    space, or is there twice."""
    first: dict[Architecture, int] = {}
    for i, row in enumerate(rows):
        architecture = _of_row(path, space, make, row, f"row {i} (counted from 0)")
        before = first.setdefault(architecture, i)
        if before != i:
            raise ParseError(
                f"{path} has one architecture in the rows {before} and {i} (counted from 0); "
                "expected each once, since a table has one latency of it"
            )
        yield architecture


def _of_row(
    path: Path, space: AnySpace, make: Callable[[T], Architecture], row: T, place: str
) -> Architecture:
    try:
        return make(row)
    except ParseError as error:
        raise ParseError(f"{path} has no architecture of {space} in {place}: {error}") from error


def _from_csv(path: Path, space: AnySpace) -> ForeignTable:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _from_rows(path, space, csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ParseError(f"{path} is not a CSV file: {str(error)[:200]}") from error


def _from_rows(path: Path, space: AnySpace, rows: csv.DictReader[str]) -> ForeignTable:
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise ParseError(f"{path} has no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    parsed: dict[str, int] = {}
    architectures: dict[Architecture, int] = {}
    devices: dict[str, int] = {}
    cells: dict[tuple[int, int], float] = {}
    for row in rows:
        place = f"line {rows.line_num}"
        text, device, latency = (row[name] or "" for name in COLUMNS)
        if text not in parsed:
            architecture = _of_row(path, space, space.parse, text, place)
            parsed[text] = architectures.setdefault(architecture, len(architectures))
        d = devices.get(device)
        if d is None:
            d = devices[_name(device, f"the device in {place} of {path}")] = len(devices)
        if (d, parsed[text]) in cells:
            raise ParseError(
                f"{path} has a second latency of an architecture on {device} in {place}; expected "
                "one"
            )
        cells[d, parsed[text]] = _number(path, latency, place)
    latency_ms = np.full((len(devices), len(architectures)), np.nan)
    if cells:
        latency_ms[tuple(np.array(list(cells)).T)] = list(cells.values())
    return ForeignTable(tuple(devices), tuple(architectures), latency_ms)


def _from_pickle(path: Path, space: AnySpace) -> ForeignTable:
    rows = read_plain_pickle(path)
    if not all(isinstance(key, tuple) and all(type(k) is int for k in key) for key in rows):
        raise ParseError(
            f"{path} has keys that are no tuples of whole numbers; expected the number of each "
            "variable's option"
        )
    codes = [list(key) for key in rows]
    same = len({len(code) for code in codes}) == 1
    decode = _decoder(path, space, np.array(codes if same else [], np.int64), None)
    # What could not be measured has a word in the place of its latency.
    values = [1e3 * v if isinstance(v, (int, float)) else math.nan for v in rows.values()]
    return ForeignTable(
        (_name(path.stem, f"the device of {path}"),),
        tuple(_each(path, space, codes, decode)),
        np.array([values], np.float64),
    )


def _number(path: Path, text: str, place: str) -> float:
    try:
        value = float(text.strip() or "nan")
    except ValueError:
        value = math.inf
    if not (math.isnan(value) or 0 < value < math.inf):
        raise ParseError(
            f"{path} has the latency {quoted(text)} in {place}; expected milliseconds above 0, or "
            "nothing where it was not measured"
        )
    return value


def _check_latencies(path: Path, table: ForeignTable) -> None:
    y = table.latency_ms
    bad = np.argwhere(~(np.isnan(y) | ((y > 0) & np.isfinite(y))))
    if len(bad):
        d, i = bad[np.argsort(bad[:, 1], kind="stable")][0].tolist()
        raise ParseError(
            f"{path} has the latency {y[d, i]:g} of row {i} (counted from 0) on "
            f"{table.devices[d]}; expected milliseconds above 0, or NaN where it was not measured"
        )
    if not (~np.isnan(y)).any():
        raise ParseError(f"{path} has no latency; expected one or more")


def _name(text: str, what: str) -> str:
    """A name that stands in a set's conditions, in tables and in messages."""
    if not (0 < len(text) <= _MOST_CHARACTERS and text.isprintable() and text == text.strip()):
        raise ParseError(
            f"{what} is called {quoted(text)}; expected a name of 1 to {_MOST_CHARACTERS} "
            "printable characters, without spaces around it"
        )
    return text


_READERS: dict[str, Callable[[Path, AnySpace], ForeignTable]] = {
    ".csv": _from_csv, ".npz": _from_npz,
}  # fmt: skip
