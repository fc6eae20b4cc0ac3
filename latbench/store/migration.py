"""The migration of a file of an older schema version to this one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latbench.errors import DAMAGE, LatbenchError, StoreError, UsageError
from latbench.plugins import registry
from latbench.spaces import AnySpace, make_space
from latbench.store.keys import key_of
from latbench.store.raw import pack, unpack_version_2
from latbench.store.records import set_from_conditions
from latbench.store.schema import (
    COLUMNS,
    FIRST_SAMPLER,
    INSERT_ROW,
    INSERT_TIMINGS,
    SCHEMA_VERSION,
    check,
    create_latency_tables,
    create_rows,
    newer_columns,
    read_space,
    sqlite_errors,
    store_errors,
    transaction,
    write_sampler,
)


def open_space(db: sqlite3.Connection, path: Path, need: bool) -> AnySpace:
    """Brings a file of an older version, or of an older encoding version of its space, to today's,
    in place; returns its space (see ``read_space``).

    It is one transaction: a file in which something is damaged, or whose space cannot be made, is
    left as it was, for the version of latbench that can read it.

    Raises StoreError, or what making the space raises.
    """
    with sqlite_errors(path):
        if check(db, path) == SCHEMA_VERSION and _renumbering(db, path) is None:
            return read_space(db, path, need)
        with transaction(db):
            with store_errors(path):
                _migrate(db, path)
            _renumber(db, path)
            return read_space(db, path, need)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = check(db, path)
    if version == SCHEMA_VERSION:
        return  # another process was faster
    if version < 3:
        _new_tables(db, path, version)
    else:
        _new_columns(db, version)
    create_latency_tables(db)
    if version < 4:
        write_sampler(db, FIRST_SAMPLER)
    for set_id, conditions in db.execute("SELECT id, conditions FROM sets").fetchall():
        # Which names the protocol's version (5), and precisions as they are spelled today (6).
        key = set_from_conditions(conditions).key
        db.execute("UPDATE sets SET key = ? WHERE id = ?", (key, set_id))
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _renumbering(db: sqlite3.Connection, path: Path) -> tuple[str, Sequence[int]] | None:
    """Today's identity of a store's space and its number of each older one, where the space says
    how (``SearchSpace.renumbering``); whatever else is wrong with the space, reading it says."""
    with sqlite_errors(path):
        found = db.execute("SELECT value FROM main.meta WHERE key = 'space'").fetchone()
    try:
        identity = dict(json.loads(found[0]))
        name, version = str(identity["name"]), int(identity["encoding_version"])
        dropped = registry("space").find(name, f"the store {path}").dropped.get(version, ())
        config = {k: v for k, v in dict(identity["config"]).items() if k not in dropped}
        space = make_space(name, config, f"the store {path}")
        if version == space.encoding_version or (new := space.renumbering(version)) is None:
            return None
    except (*DAMAGE, LatbenchError):
        return None
    return json.dumps(space.identity(), sort_keys=True), new


def _renumber(db: sqlite3.Connection, path: Path) -> None:
    """Brings the rows to today's numbers."""
    found = _renumbering(db, path)
    if found is None:
        return
    identity, new = found
    for table in ("measurements", "timings"):
        # First to numbers that no row has, so that no two rows meet on the way.
        for old, number in enumerate(new):
            db.execute(f"UPDATE main.{table} SET key = ? WHERE key = ?", (-1 - number, old))
        db.execute(f"UPDATE main.{table} SET key = -1 - key WHERE typeof(key) = 'integer'")
    db.execute("UPDATE main.meta SET value = ? WHERE key = 'space'", (identity,))


def _new_columns(db: sqlite3.Connection, version: int) -> None:
    """The columns of this version, in tables of 3 to 7."""
    for name in newer_columns(version):
        kind = "INTEGER" if name in ("occasion", "block") else "TEXT"
        db.execute(f"ALTER TABLE measurements ADD COLUMN {name} {kind}")
    if version > 6:
        return
    # The column keeps its affinity for integers, which changes nothing: no model's text is a
    # number, and a BLOB is never converted. So no row is rewritten.
    for table in ("measurements", "timings"):
        db.execute(f"ALTER TABLE {table} RENAME COLUMN rank TO key")


def _new_tables(db: sqlite3.Connection, path: Path, version: int) -> None:
    """The tables of version 3, from those of 1 or 2."""
    tables = ["measurements"] + (["timings"] if version > 1 else [])
    for table in tables:
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    create_rows(db)
    (_from_1 if version == 1 else _from_2)(db, path)
    for table in tables:
        db.execute(f"DROP TABLE old_{table}")


def _from_2(db: sqlite3.Connection, path: Path) -> None:
    names = [name for name in COLUMNS if name not in newer_columns(2)]
    old = ", ".join("rank" if name == "key" else name for name in names)
    db.execute(f"INSERT INTO measurements ({', '.join(names)}) SELECT {old} FROM old_measurements")
    for *key, visits in db.execute("SELECT set_id, rank, repeat, visits FROM old_timings"):
        db.execute(INSERT_TIMINGS, (*key, repacked(visits, path)))


def _from_1(db: sqlite3.Connection, path: Path) -> None:
    space = read_space(db, path)
    for row in db.execute(
        "SELECT architecture, set_id, repeat, sample_index, status, relative, half_width,"
        " raw_s, canary_s, stop, error, finished, visits FROM old_measurements"
    ):
        _row_of_1(db, space, path, *row)


def _row_of_1(
    db: sqlite3.Connection, space: AnySpace, path: Path, architecture: str, set_id: int,
    repeat: int, index: int | None, *values: Any,
) -> None:  # fmt: skip
    try:
        parsed = space.parse(architecture)
    except UsageError as error:
        raise _damaged(path, f"a row of it is not in its space, {error}") from error
    # Version 1 kept no seed. The default is the likely one, and the sample tells.
    seed = 0 if index is not None and space.sample(0, index) == parsed else None
    *rest, visits = values
    key = (set_id, key_of(space, str(parsed)), repeat)
    db.execute(INSERT_ROW, (*key, seed, index, *rest, *(None for _ in newer_columns(1))))
    if visits:
        db.execute(INSERT_TIMINGS, (*key, repacked(visits, path)))


def repacked(visits: Any, path: Path) -> bytes:
    """Packs raw timings of version 1 or 2 as this version keeps them. Raises StoreError about
    ``path`` when they cannot be read."""
    try:
        return pack(unpack_version_2(visits))
    except StoreError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(f"the store {path} is damaged and was left as it is: {what}")
