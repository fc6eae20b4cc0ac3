"""The stores of several machines, or of several campaigns, as one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from latbench.errors import SpaceMismatchError, StoreError, UsageError
from latbench.spaces import AnySpace
from latbench.store.file import Store
from latbench.store.output import new_store
from latbench.store.records import set_from_conditions
from latbench.store.schema import COLUMNS, store_errors
from latbench.store.table_rows import StoredTable, put_table, stored_tables

Keep = Literal["neither", "first"]

_SAME_KEY = "a.set_id = :new AND a.key = b.key AND a.repeat = b.repeat"
_VALUES = [name for name in COLUMNS if name != "set_id"]
_DIFFERENT = " OR ".join(f"a.{name} IS NOT b.{name}" for name in _VALUES)


def merge(out: Path, stores: Sequence[Path], keep: Keep = "neither") -> int:
    """Writes the rows of all ``stores`` to a new store at ``out``; returns how many there are.

    Sets with the same conditions become one. A row (set, architecture, repeat) that two stores
    have is taken once when it is the same in both; otherwise StoreError, or the first store's row
    with ``keep="first"``. So it is with the latency tables of a set. ``out`` appears only when it
    is complete.

    Raises SpaceMismatchError for stores of different spaces, and StoreError when ``out`` exists, a
    store cannot be read, or the samples of two are of different samplers.
    """
    if not stores:
        raise UsageError("there is nothing to merge; name one store or more")
    space = _one_space(stores)
    with new_store(out, space) as store:
        for path in stores:
            _copy(store, path, keep)
        (count,) = store.connection.execute("SELECT count(*) FROM main.measurements").fetchone()
    return int(count)


def _one_space(stores: Sequence[Path]) -> AnySpace:
    """The space of all the stores, drawing as the sampler of those that hold samples does."""
    samplers = dict[int, Path]()
    with Store(stores[0], need_space=False) as first:
        space = first.space
    for path in stores:
        with Store(path, need_space=False) as other:
            if other.space != space:
                raise SpaceMismatchError(
                    f"{path} holds measurements of {other.space}, {stores[0]} of {space}; only "
                    "stores of one space can be merged"
                )
            if other.has_samples():
                samplers.setdefault(other.space.sampler, path)
    if len(samplers) > 1:
        (one, its), (another, path) = sorted(samplers.items())
        raise StoreError(
            f"the samples of {its} were drawn by sampler {one}, those of {path} by sampler "
            f"{another}, which gives other architectures for a seed; only stores of one sampler "
            f"can be merged. A copy of {its} goes on with sampler {one} on any machine"
        )
    return space.with_sampler(*samplers) if samplers else space


def _copy(store: Store, path: Path, keep: Keep) -> None:
    with Store(path, need_space=False) as source, store_errors(path):
        sets = source.connection.execute(
            "SELECT id, conditions, created FROM main.sets ORDER BY id"
        ).fetchall()
        for old, conditions, created in sets:
            new = store.add_set(set_from_conditions(conditions), created)
            _copy_set(store.connection, source, int(old), new, keep)
            for table in stored_tables(source):
                if table.set_id == old:
                    _copy_table(store, replace(table, set_id=new), path, keep)


def _copy_table(store: Store, table: StoredTable, path: Path, keep: Keep) -> None:
    there = [t for t in stored_tables(store, table.network) if t.set_id == table.set_id]
    if not there:
        put_table(store, table)
    elif there != [table] and keep != "first":
        raise StoreError(
            f"{path} has another latency table of {table.plan.get('model')} than another store, "
            "such as one in other tiles; take that of the store that is named first with `--keep "
            "first`, or leave a store out"
        )


def _copy_set(db: sqlite3.Connection, source: Store, old: int, new: int, keep: Keep) -> None:
    """Through a temporary table: SQLite attaches no file inside a transaction."""
    db.execute("DROP TABLE IF EXISTS temp.arriving")
    names = ", ".join([*_VALUES, "visits"])
    db.execute(f"CREATE TEMP TABLE arriving ({names}, PRIMARY KEY (key, repeat)) WITHOUT ROWID")
    rows = source.connection.execute(
        f"SELECT {names} FROM main.measurements LEFT JOIN main.timings"
        " USING (set_id, key, repeat) WHERE set_id = ?",
        (old,),
    )
    marks = ", ".join("?" * (len(_VALUES) + 1))
    db.executemany(f"INSERT INTO temp.arriving VALUES ({marks})", rows)
    if keep != "first":
        _refuse_differing(db, source, new)
    absent = (
        " FROM temp.arriving b WHERE NOT EXISTS"
        f" (SELECT 1 FROM main.measurements a WHERE {_SAME_KEY})"
    )
    values = {"new": new}
    db.execute(
        "INSERT INTO main.timings (set_id, key, repeat, visits) SELECT :new, key, repeat, visits"
        f"{absent} AND visits IS NOT NULL",
        values,
    )
    columns = ", ".join(_VALUES)
    db.execute(
        f"INSERT INTO main.measurements (set_id, {columns}) SELECT :new, {columns}{absent}", values
    )


def _refuse_differing(db: sqlite3.Connection, source: Store, new: int) -> None:
    found = db.execute(
        "SELECT b.key, b.repeat, count(*) FROM temp.arriving b"
        f" JOIN main.measurements a ON {_SAME_KEY} LEFT JOIN main.timings t"
        " ON t.set_id = a.set_id AND t.key = a.key AND t.repeat = a.repeat"
        f" WHERE {_DIFFERENT} OR t.visits IS NOT b.visits",
        {"new": new},
    ).fetchone()
    key, repeat, count = found
    if count:
        raise StoreError(
            f"{count} rows of {source.path} differ from those that another store has of the same "
            f"set, for one repeat {repeat} of {source.text(key)}; take the rows of the "
            "store that is named first with `--keep first`, or leave a store out"
        )
