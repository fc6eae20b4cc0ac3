"""The examination of a store: the file, its rows, and its raw timings against its figures."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from latbench.errors import DAMAGE, LatbenchError, StoreError
from latbench.spaces import AnySpace
from latbench.store.file import Store
from latbench.store.keys import MAX_INTEGER, is_sound
from latbench.store.raw import unpack
from latbench.store.records import set_from_conditions
from latbench.store.statistics import from_raw
from latbench.timing.protocol import FOREIGN

# float32 rounds a timing by 6e-8 at most (older rows were estimated before); a ratio of two of
# them, and a margin.
RAW_TOLERANCE = 1e-6
_EXAMPLES = 3

# What no row may be, each as a condition on `measurements`; NaN is NULL in SQLite.
_ROW_CHECKS = {
    # Of a million rows nearly all have an INTEGER, which SQLite itself compares.
    "numbers outside the space": (
        "CASE typeof(key) WHEN 'integer' THEN key < 0 OR key > :last ELSE NOT sound(key) END"
    ),
    "statuses other than 'ok' and 'failed'": "status NOT IN ('ok', 'failed')",
    "negative repeats or sample indices": "repeat < 0 OR sample_index < 0",
    "measured rows without a positive and finite figure": (
        "status = 'ok' AND NOT coalesce(min(relative, raw_s, canary_s) > 0"
        " AND max(relative, raw_s, canary_s) < 9e999 AND (half_width >= 0 AND half_width < 9e999"
        " OR half_width IS NULL AND is_foreign(set_id)), 0)"
    ),
    "failed rows without a reason": "status = 'failed' AND error IS NULL",
    "rows of no measurement set": "set_id NOT IN (SELECT id FROM main.sets)",
}
_WHERE = (
    "'set ' || set_id || ', ' || CASE typeof(key) WHEN 'text' THEN key"
    " WHEN 'blob' THEN 'number 0x' || hex(key) ELSE 'number ' || key END || ', repeat ' || repeat"
)


def examine(path: Path) -> list[str]:
    """Returns what is wrong with a store, one sentence each; nothing when it is sound.

    A store whose space cannot be made here is no fault of the store; then no architecture's number
    counts as too large.

    Raises StoreError only when there is no file.
    """
    if not path.exists():
        raise StoreError(f"there is no store at {path}; name an existing one")
    try:
        with Store(path, need_space=False) as store:
            db = store.connection
            return [*_file(db), *_sets(db), *_rows(db, store.space), *_timings(db), *_tables(db)]
    except (LatbenchError, sqlite3.Error, ValueError) as error:
        return [str(error)]


def _file(db: sqlite3.Connection) -> Iterator[str]:
    for (line,) in db.execute("PRAGMA main.integrity_check(10)"):
        if line != "ok":
            yield f"the file is damaged: {line}"


def _sets(db: sqlite3.Connection) -> Iterator[str]:
    for set_id, key, text in db.execute("SELECT id, key, conditions FROM main.sets"):
        try:
            sound = json.loads(key) == json.loads(set_from_conditions(text).key)
        except (ValueError, TypeError, KeyError, LatbenchError):
            sound = False
        if not sound:
            yield f"the conditions of set {set_id} cannot be read, or do not fit its key"


def _foreign_sets(db: sqlite3.Connection) -> set[int]:
    """The sets that are known to hold foreign measurements, whose intervals nobody knows."""
    found = set()
    for set_id, text in db.execute("SELECT id, conditions FROM main.sets"):
        with suppress(*DAMAGE):
            if set_from_conditions(text).protocol.version == FOREIGN:
                found.add(set_id)
    return found


def _tables(db: sqlite3.Connection) -> Iterator[str]:
    """The plans of latency tables; those rows of them that are not there are still to be timed."""
    query = "SELECT set_id, network, plan FROM main.latency_tables"
    for set_id, network, text in db.execute(query):
        with suppress(*DAMAGE):
            if isinstance(json.loads(text), dict):
                continue
        yield f"the latency table of network {network} in set {set_id} cannot be read"
    query = "SELECT network FROM main.latency_tables WHERE set_id NOT IN (SELECT id FROM main.sets)"
    yield from _found("latency tables of no measurement set", [n for (n,) in db.execute(query)])


def _found(what: str, examples: list[str]) -> Iterator[str]:
    """One sentence about some rows, the first few of them named."""
    if examples:
        more = ", ..." if len(examples) > _EXAMPLES else ""
        named = "; ".join(examples[:_EXAMPLES])
        yield f"{what}: {len(examples)} of them ({named}{more})"


def _rows(db: sqlite3.Connection, space: AnySpace) -> Iterator[str]:
    db.create_function("sound", 1, lambda key: is_sound(space, key))
    foreign = _foreign_sets(db)
    db.create_function("is_foreign", 1, lambda set_id: set_id in foreign)
    last = {"last": min(space.size - 1, MAX_INTEGER)}
    for what, condition in _ROW_CHECKS.items():
        query = f"SELECT {_WHERE} FROM main.measurements WHERE {condition}"
        yield from _found(what, [text for (text,) in db.execute(query, last)])
    orphans = db.execute(
        f"SELECT {_WHERE} FROM main.timings t WHERE NOT EXISTS (SELECT 1 FROM main.measurements m"
        " WHERE m.set_id = t.set_id AND m.key = t.key AND m.repeat = t.repeat)"
    )
    yield from _found("raw timings of no row", [text for (text,) in orphans])


def _timings(db: sqlite3.Connection) -> Iterator[str]:
    unreadable, different = [], []
    for where, relative, canary_s, rejected, blob in db.execute(
        f"SELECT {_WHERE}, relative, canary_s, rejected, visits"
        " FROM main.timings JOIN main.measurements USING (set_id, key, repeat)"
        " WHERE status = 'ok'"
    ):
        try:
            # Rows from before schema version 3 were estimated from all of their visits.
            visits = unpack(blob)
            usual = "lower-quartile" if visits[0].canary_s else "minimum"
            again = from_raw(visits, usual, float(canary_s), rejected is not None)
        except (StoreError, TypeError, ZeroDivisionError):
            unreadable.append(where)
            continue
        if not isinstance(relative, float) or not math.isclose(
            again, relative, rel_tol=RAW_TOLERANCE
        ):
            different.append(where)
    yield from _found("raw timings that cannot be read", unreadable)
    yield from _found("figures that their raw timings do not give", different)
