"""The tables of a store, their version, and how an older file is brought up to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latbench.errors import DAMAGE, LatbenchError, StoreError, quoted
from latbench.spaces import AnySpace, shown_space, space_from_identity
from latbench.spaces.base import SAMPLER

# 1: first version; architectures as text, raw timings in the row, no seeds.
# 2: architectures by number, raw timings in a table of their own, seeds.
# 3: rejected visits (and how long each visit waited), the row's host, throttling, other costs.
# 4: the same tables; `meta` names the sampler.
# 5: a row says which run of a campaign timed it, what the canaries took and the machine was like.
# 6: the same tables; the options of sets spell precisions as they are spelled today.
# 7: a row has a key (latbench.store.keys) where it had a number below 2^63.
# 8: a row says which layers had no kernel, and how long each step took; latency tables.
SCHEMA_VERSION = 8
FIRST_SAMPLER = 1  # of files that name none
APPLICATION_ID = 0x4C415442  # "LATB" in SQLite's header, so that another program's file is refused

_ROWS = """
CREATE TABLE measurements (
    set_id INTEGER NOT NULL REFERENCES sets(id), key NOT NULL, repeat INTEGER NOT NULL,
    seed INTEGER, sample_index INTEGER, status TEXT NOT NULL,
    relative REAL, half_width REAL, raw_s REAL, canary_s REAL, stop TEXT, error TEXT,
    finished REAL NOT NULL,
    rejected INTEGER, host TEXT, throttled TEXT, build_s REAL, memory_bytes INTEGER,
    device_memory_bytes INTEGER, model_bytes INTEGER, energy_j REAL,
    occasion INTEGER, block INTEGER, canaries TEXT, machine TEXT, fallbacks TEXT, steps TEXT,
    PRIMARY KEY (set_id, key, repeat)
) WITHOUT ROWID;
CREATE TABLE timings (
    set_id INTEGER NOT NULL, key NOT NULL, repeat INTEGER NOT NULL, visits BLOB NOT NULL,
    PRIMARY KEY (set_id, key, repeat)
) WITHOUT ROWID;
"""

_TABLES = """
CREATE TABLE latency_tables (
    set_id INTEGER NOT NULL REFERENCES sets(id), network TEXT NOT NULL, plan TEXT NOT NULL,
    PRIMARY KEY (set_id, network)
) WITHOUT ROWID;
"""

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sets (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, backend TEXT NOT NULL,
    device TEXT NOT NULL, conditions TEXT NOT NULL, created REAL NOT NULL
);
{_ROWS}
{_TABLES}
"""

COLUMNS = (
    "set_id", "key", "repeat", "seed", "sample_index", "status", "relative", "half_width",
    "raw_s", "canary_s", "stop", "error", "finished", "rejected", "host", "throttled", "build_s",
    "memory_bytes", "device_memory_bytes", "model_bytes", "energy_j",
    "occasion", "block", "canaries", "machine", "fallbacks", "steps",
)  # fmt: skip
# The first of the columns that a version added to those of the versions before it.
_ADDED = {3: "rejected", 5: "occasion", 8: "fallbacks"}
INSERT_ROW = (
    f"INSERT INTO main.measurements ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
)
INSERT_TIMINGS = "INSERT INTO main.timings (set_id, key, repeat, visits) VALUES (?, ?, ?, ?)"


def newer_columns(version: int) -> tuple[str, ...]:
    """Returns the columns of a row that files of a schema version do not have."""
    first = next((name for added, name in _ADDED.items() if version < added), None)
    return COLUMNS[COLUMNS.index(first) :] if first else ()


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Raises SQLite's errors, and what damaged values cause, as StoreErrors about the file.

    An IntegrityError and latbench's own errors stay what they are. The body reads and writes rows;
    it does not call the space, which may be a plug-in, whose bugs are no damage of the file.
    """
    with sqlite_errors(path):
        try:
            yield
        except LatbenchError:
            raise
        except DAMAGE as error:
            raise StoreError(
                f"the store {path} is damaged ({type(error).__name__}: {str(error)[:200]}); "
                "`latbench doctor` says what else is wrong with it"
            ) from error


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raises SQLite's errors, but for an IntegrityError, as StoreErrors about the file."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise StoreError(
            f"the store {path} cannot be used: {error}; check that it is a latbench store, that "
            "its folder can be written to and that the disk is not full"
        ) from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Makes all of the body's changes or none of them."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _statements(db: sqlite3.Connection, script: str) -> None:
    """Unlike ``executescript``, inside the open transaction."""
    for statement in filter(str.strip, script.split(";")):
        db.execute(statement)


def create(db: sqlite3.Connection, path: Path, space: AnySpace) -> None:
    """Makes the tables of an empty file."""
    identity = json.dumps(space.identity(), sort_keys=True)
    with store_errors(path), transaction(db):
        _statements(db, _SCHEMA)
        db.execute("INSERT INTO meta VALUES ('space', ?)", (identity,))
        write_sampler(db, space.sampler)


def check(db: sqlite3.Connection, path: Path) -> int:
    """Returns the file's schema version. Raises StoreError when this version of latbench cannot
    read it."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is not a latbench store; name another file")
    if not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"the store {path} has schema version {version}, this latbench reads 1 to "
            f"{SCHEMA_VERSION}; use the latbench version that wrote it, or a newer one"
        )
    return version


def write_sampler(db: sqlite3.Connection, version: int) -> None:
    """Writes which sampler the rows' seeds and indices are of, inside the open transaction."""
    db.execute("INSERT INTO meta VALUES ('sampler', ?)", (str(version),))


def read_space(db: sqlite3.Connection, path: Path, need: bool = True) -> AnySpace:
    """Reads the space that a store belongs to, which draws as its sampler does.

    Unless its class is needed, one that cannot be made here is an ``AbsentSpace``.

    Raises StoreError for a sampler that this version of latbench does not know.
    """
    with store_errors(path):
        meta = dict(db.execute("SELECT key, value FROM main.meta").fetchall())
        if "space" not in meta:
            raise StoreError(f"the store {path} is damaged: it does not name its space")
        identity = dict(json.loads(meta["space"]))
    space = (space_from_identity if need else shown_space)(identity, f"the store {path}")
    return with_sampler_of(path, space, meta.get("sampler", FIRST_SAMPLER))


def with_sampler_of(path: Path, space: AnySpace, version: object) -> AnySpace:
    """Returns the space, drawing as the sampler that a file names does.

    Raises StoreError for one that this version of latbench does not know.
    """
    if str(version) not in map(str, range(1, SAMPLER + 1)):
        raise StoreError(
            f"the samples in {path} are of sampler {quoted(str(version))}, this latbench has 1 to "
            f"{SAMPLER}; use the latbench version that wrote it, or a newer one"
        )
    return space.with_sampler(int(str(version)))


def create_rows(db: sqlite3.Connection) -> None:
    """Makes the tables of rows and raw timings, inside the open transaction."""
    _statements(db, _ROWS)


def create_latency_tables(db: sqlite3.Connection) -> None:
    """Makes the table of latency tables, inside the open transaction."""
    _statements(db, _TABLES)
