"""A store as one Parquet file, for other tools, and back without loss."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from latbench.errors import LatbenchError, StoreError
from latbench.spaces import space_from_identity
from latbench.store.file import Store
from latbench.store.migration import repacked
from latbench.store.output import new_file, new_store
from latbench.store.records import set_from_conditions
from latbench.store.schema import (
    COLUMNS,
    FIRST_SAMPLER,
    INSERT_ROW,
    INSERT_TIMINGS,
    SCHEMA_VERSION,
    newer_columns,
    store_errors,
    with_sampler_of,
)
from latbench.store.table_rows import StoredTable, put_table, stored_tables

_BATCH_ROWS = 20_000
_FORMAT = b"latbench_store"
# Columns as they are stored; the architecture is its text, and the rest of a file is derived.
_STORED = COLUMNS[COLUMNS.index("repeat") :]


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet. Raises StoreError saying how to get them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise StoreError(
            "Parquet files need pyarrow; install it with pip install 'latbench[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _schema(pa: Any, header: Mapping[str, Any]) -> Any:
    integer, number, text = pa.int64(), pa.float64(), pa.string()
    name = pa.dictionary(pa.int32(), text)
    columns = {
        "set_id": integer, "backend": name, "device": name, "architecture": text,
        "repeat": integer, "seed": integer, "sample_index": integer, "status": text,
        "latency_s": number, "relative": number, "half_width": number, "raw_s": number,
        "canary_s": number, "stop": text, "error": text, "finished": number,
        "rejected": integer, "host": name, "throttled": name, "build_s": number,
        "memory_bytes": integer, "device_memory_bytes": integer, "model_bytes": integer,
        "energy_j": number, "occasion": integer, "block": integer,
        "canaries": text, "machine": text, "fallbacks": name, "steps": text,
        "raw_timings": pa.list_(pa.float32()),
    }  # fmt: skip
    fields = [pa.field(key, kind) for key, kind in columns.items()]
    return pa.schema(fields, metadata={_FORMAT: json.dumps(header)})


def export_parquet(store: Store, path: Path) -> int:
    """Writes all sets of a store to a new Parquet file; returns the number of rows.

    One row a timing: the set's id, backend and device, the text of the architecture or model, the
    columns of ``docs/store.md``, the anchored ``latency_s`` and the raw timings as float32 seconds.
    The space, the sampler, the conditions of the sets and the latency tables are JSON in the
    schema's metadata, under ``latbench_store``.

    Raises StoreError without pyarrow, or when ``path`` exists.
    """
    pa, parquet = _pyarrow()
    summaries = {s.id: s for s in store.sets()}
    with store_errors(store.path):
        sets = store.connection.execute(
            "SELECT id, conditions, created FROM main.sets ORDER BY id"
        ).fetchall()
    header = {
        "schema_version": SCHEMA_VERSION,
        "space": store.space.identity(),
        "sampler": store.space.sampler,
        "sets": [{"id": i, "conditions": c, "created": t} for i, c, t in sets],
        "tables": [one.values() for one in stored_tables(store)],
    }
    schema, count = _schema(pa, header), 0
    with new_file(path) as partial, _writer(parquet, partial, schema) as writer:
        for rows in _batches(store):
            for row in rows:
                found = summaries[row["set_id"]]
                row["backend"], row["device"] = found.set.backend, found.set.device
                measured = row["relative"] is not None and found.anchor_s is not None
                row["latency_s"] = row["relative"] * found.anchor_s if measured else None
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
            count += len(rows)
    return count


def _writer(parquet: Any, path: Path, schema: Any) -> Any:
    return parquet.ParquetWriter(path, schema, write_page_checksum=True)


def _batches(store: Store) -> Iterator[list[dict[str, Any]]]:
    with store_errors(store.path):
        cursor = store.connection.execute(
            f"SELECT set_id, key, {', '.join(_STORED)}, visits FROM main.measurements"
            " LEFT JOIN main.timings USING (set_id, key, repeat)"
        )
        names = [column[0] for column in cursor.description]
        while rows := cursor.fetchmany(_BATCH_ROWS):
            yield [_exported(store, dict(zip(names, row, strict=True))) for row in rows]


def _exported(store: Store, row: dict[str, Any]) -> dict[str, Any]:
    visits = row.pop("visits")
    row["raw_timings"] = None if visits is None else np.frombuffer(visits, "<f4")
    row["architecture"] = store.text(row.pop("key"))
    return row


def import_parquet(path: Path, out: Path) -> int:
    """Makes a store at ``out`` from a file of ``export_parquet``; returns the number of rows.

    The store is equal to the one exported. It appears only when it is complete. Raises StoreError
    without pyarrow, when the file is damaged or not such a file, or when ``out`` exists.
    """
    pa, parquet = _pyarrow()
    if not path.is_file():
        raise StoreError(f"there is no file at {path}; `latbench export` makes one")
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            header = _header(path, file.schema_arrow.metadata)
            schema = _schema(pa, header)
            newer = newer_columns(header["schema_version"])
            missing = {*schema.names}.difference(newer, file.schema_arrow.names)
            if missing:
                raise StoreError(f"{path} has no column {', '.join(sorted(missing))}; export again")
            space = space_from_identity(header["space"], str(path))
            space = with_sampler_of(path, space, header.get("sampler", FIRST_SAMPLER))
            with new_store(out, space) as store:
                batches = (batch.to_pylist() for batch in file.iter_batches(_BATCH_ROWS))
                return _fill(store, header, itertools.chain.from_iterable(batches))
    except LatbenchError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from error
    except (pa.ArrowException, KeyError, TypeError, ValueError, sqlite3.IntegrityError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path} is not a whole Parquet file of `latbench export`: {error}; export it again"
    )


def _header(path: Path, metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    text = (metadata or {}).get(_FORMAT)
    if text is None:
        raise StoreError(f"{path} was not written by `latbench export`; name a file that was")
    header: dict[str, Any] = json.loads(text)
    if header["schema_version"] > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {header['schema_version']}, this latbench reads up to "
            f"{SCHEMA_VERSION}; use the latbench version that wrote it"
        )
    return header


def _fill(store: Store, header: Mapping[str, Any], rows: Iterator[dict[str, Any]]) -> int:
    db, current = store.connection, header["schema_version"] >= 3
    ids = {
        s["id"]: store.add_set(set_from_conditions(s["conditions"]), s["created"])
        for s in header["sets"]
    }
    for values in header.get("tables", ()):
        one = StoredTable.from_values(values)
        put_table(store, replace(one, set_id=ids[one.set_id]))
    count = 0
    for row in rows:
        key = (ids[row["set_id"]], store.key(row["architecture"]), row["repeat"])
        db.execute(INSERT_ROW, (*key, *(row.get(name) for name in _STORED[1:])))
        if row["raw_timings"] is not None:
            blob = np.array(row["raw_timings"], "<f4").tobytes()
            db.execute(INSERT_TIMINGS, (*key, blob if current else repacked(blob, store.path)))
        count += 1
    return count
