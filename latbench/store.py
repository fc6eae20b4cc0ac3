"""The measurements of one search space: a SQLite file with one writer.

A file holds any number of measurement sets. A set is one backend with its options and version, on
one device, under one protocol; only rows of one set are compared. Each finished architecture is
one committed row, so that a campaign that is killed loses nothing.

The absolute latency of a row is ``relative * anchor``: the anchor is the median time of the canary
over all sampled rows of the set, which averages the machine's drift over the whole campaign. The
row's own plain absolute figure (``raw_s``) is kept beside it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from latbench.dataset import LatencyDataset
from latbench.errors import NotEnoughData, SpaceMismatchError, StoreError, UsageError
from latbench.protocol import Estimate, Protocol, Stop, Visit, noise_floor
from latbench.spaces import AnySpace, space_from_identity

# 1: first version.
SCHEMA_VERSION = 1
APPLICATION_ID = 0x4C415442  # "LATB" in SQLite's header, so that another program's file is refused

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sets (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, backend TEXT NOT NULL,
    device TEXT NOT NULL, conditions TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE measurements (
    set_id INTEGER NOT NULL REFERENCES sets(id), architecture TEXT NOT NULL,
    repeat INTEGER NOT NULL, sample_index INTEGER, status TEXT NOT NULL,
    relative REAL, half_width REAL, raw_s REAL, canary_s REAL, stop TEXT, error TEXT,
    visits BLOB, finished REAL NOT NULL,
    PRIMARY KEY (set_id, architecture, repeat)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class MeasurementSet:
    """What all rows of a set have in common. ``options`` are the backend's, JSON values."""

    backend: str
    options: dict[str, Any]
    version: str
    device: str
    protocol: Protocol
    canary: str
    machine: dict[str, Any]

    @property
    def key(self) -> str:
        """What makes rows comparable, as canonical text; the machine's profile only informs."""
        identity = {k: v for k, v in asdict(self).items() if k != "machine"}
        return json.dumps(identity, sort_keys=True)


@dataclass(frozen=True)
class Measurement:
    """One row: an architecture timed (``ok``) or not (``failed``, with the reason).

    ``repeat`` is 0 for the first timing and 1 for the retest; ``sample_index`` is the position in
    the seed's sample, None for an architecture that somebody named.
    """

    architecture: str
    repeat: int
    sample_index: int | None
    status: Literal["ok", "failed"]
    estimate: Estimate | None = None
    stop: Stop | None = None
    error: str | None = None
    visits: tuple[Visit, ...] = ()


@dataclass(frozen=True)
class SetSummary:
    """A set with its counts, noise floor (fraction) and anchor (seconds)."""

    id: int
    set: MeasurementSet
    ok: int
    failed: int
    retested: int
    noise_floor: float | None
    anchor_s: float | None


def _pack(visits: tuple[Visit, ...]) -> bytes:
    """float32, visit after visit: how many network and canary runs, then their seconds."""
    flat: list[float] = []
    for v in visits:
        flat += [len(v.network_ns), len(v.canary_ns)]
        flat += [t * 1e-9 for t in (*v.network_ns, *v.canary_ns)]
    return np.array(flat, "<f4").tobytes()


def _unpack(blob: bytes) -> tuple[Visit, ...]:
    """What ``_pack`` packed; nanoseconds to float32's precision."""
    values, visits, i = np.frombuffer(blob, "<f4"), [], 0
    while i < len(values):
        n, m = int(values[i]), int(values[i + 1])
        times = [round(float(t) * 1e9) for t in values[i + 2 : i + 2 + n + m]]
        visits.append(Visit(tuple(times[:n]), tuple(times[n:])))
        i += 2 + n + m
    return tuple(visits)


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise StoreError(
            f"the store {path} cannot be used: {error}; check that it is a latbench store, that "
            "its folder can be written to and that the disk is not full"
        ) from error


class Store:
    """An open store. Use it as a context manager, or close it.

    ``Store(path, space)`` creates the file when it does not exist and otherwise checks that it
    belongs to that space (SpaceMismatchError). ``Store(path)`` opens an existing one. Raises
    StoreError when the file is not a store of this version or cannot be used.
    """

    def __init__(self, path: str | Path, space: AnySpace | None = None) -> None:
        self.path = Path(path)
        exists = self.path.exists() and self.path.stat().st_size > 0
        if not exists and space is None:
            raise StoreError(f"there is no store at {self.path}; `latbench measure` makes one")
        with _sqlite_errors(self.path):
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            if exists:
                self._check_version()
            else:
                assert space is not None
                self._create(space)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self.space = space_from_identity(json.loads(self._meta("space")))
        if space is not None and space != self.space:
            raise SpaceMismatchError(
                f"the store {self.path} holds measurements of {self.space}, not of {space}; "
                "name another file or the store's own space"
            )

    def _check_version(self) -> None:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise StoreError(f"{self.path} is not a latbench store; name another file")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"the store {self.path} has schema version {version}, this latbench reads "
                f"{SCHEMA_VERSION}; use the latbench version that wrote it"
            )

    def _create(self, space: AnySpace) -> None:
        identity = json.dumps(space.identity(), sort_keys=True)
        self._db.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} INSERT INTO meta VALUES ('space', '{identity}'); COMMIT;"
        )

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise StoreError(f"the store {self.path} is damaged: it does not name its {key}")
        return str(row[0])

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def add_set(self, measurement_set: MeasurementSet) -> int:
        """The id of the set with this key, made when it is new."""
        key = measurement_set.key
        with _sqlite_errors(self.path):
            found = self._db.execute("SELECT id FROM sets WHERE key = ?", (key,)).fetchone()
            if found:
                return int(found[0])
            cursor = self._db.execute(
                "INSERT INTO sets (key, backend, device, conditions, created)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    key,
                    measurement_set.backend,
                    measurement_set.device,
                    json.dumps(asdict(measurement_set)),
                    time.time(),
                ),
            )
        return int(cursor.lastrowid or 0)

    def add(self, set_id: int, row: Measurement) -> None:
        """Commits one row. A row that is there already is an IntegrityError: a campaign never
        measures one twice."""
        e = row.estimate
        values = (
            set_id, row.architecture, row.repeat, row.sample_index, row.status,
            *((e.relative, e.half_width, e.raw_s, e.canary_s) if e else (None,) * 4),
            row.stop, row.error, _pack(row.visits), time.time(),
        )  # fmt: skip
        with _sqlite_errors(self.path):
            self._db.execute(
                f"INSERT INTO measurements VALUES ({', '.join('?' * len(values))})", values
            )

    def forget_failed(self, set_id: int) -> int:
        """Deletes the failed rows of a set, so that a campaign tries them again."""
        with _sqlite_errors(self.path):
            cursor = self._db.execute(
                "DELETE FROM measurements WHERE set_id = ? AND status = 'failed'", (set_id,)
            )
        return cursor.rowcount

    def done(self, set_id: int) -> set[tuple[str, int]]:
        """(architecture, repeat) of every row of a set, failed ones included."""
        with _sqlite_errors(self.path):
            rows = self._db.execute(
                "SELECT architecture, repeat FROM measurements WHERE set_id = ?", (set_id,)
            )
            return {(a, r) for a, r in rows}

    def sets(self) -> list[SetSummary]:
        """Every set with its counts, in the order of their making."""
        with _sqlite_errors(self.path):
            rows = self._db.execute("SELECT id, conditions FROM sets ORDER BY id").fetchall()
        return [self._summary(int(i), json.loads(text)) for i, text in rows]

    def _summary(self, set_id: int, conditions: dict[str, Any]) -> SetSummary:
        with _sqlite_errors(self.path):
            counts = dict(
                self._db.execute(
                    "SELECT status, count(*) FROM measurements"
                    " WHERE set_id = ? AND repeat = 0 GROUP BY status",
                    (set_id,),
                ).fetchall()
            )
        pairs = self._retests(set_id)
        conditions["protocol"] = Protocol(**conditions["protocol"])
        return SetSummary(
            id=set_id,
            set=MeasurementSet(**conditions),
            ok=counts.get("ok", 0),
            failed=counts.get("failed", 0),
            retested=len(pairs),
            noise_floor=noise_floor([a for a, _ in pairs], [b for _, b in pairs]),
            anchor_s=self._anchor_s(set_id),
        )

    def _retests(self, set_id: int) -> list[tuple[float, float]]:
        with _sqlite_errors(self.path):
            return self._db.execute(
                "SELECT a.relative, b.relative FROM measurements a JOIN measurements b"
                " ON b.set_id = a.set_id AND b.architecture = a.architecture AND b.repeat = 1"
                " WHERE a.set_id = ? AND a.repeat = 0 AND a.status = 'ok' AND b.status = 'ok'",
                (set_id,),
            ).fetchall()

    def _anchor_s(self, set_id: int) -> float | None:
        """Named architectures count only where there is no sample, so that measuring what a search
        found does not move the labels that it was found with."""
        with _sqlite_errors(self.path):
            rows = self._db.execute(
                "SELECT canary_s, sample_index IS NOT NULL FROM measurements"
                " WHERE set_id = ? AND status = 'ok'",
                (set_id,),
            ).fetchall()
        sampled = [canary_s for canary_s, is_sampled in rows if is_sampled]
        anchors = sampled or [canary_s for canary_s, _ in rows]
        return float(np.median(anchors)) if anchors else None

    def find_set(self, backend: str | None = None, set_id: int | None = None) -> SetSummary:
        """The one set of a backend (or of the store), or the set with an id.

        Raises UsageError when there is none or more than one, listing what there is.
        """
        everything = self.sets()
        found = [
            s for s in everything
            if (s.id == set_id if set_id is not None else backend in (None, s.set.backend))
        ]  # fmt: skip
        if len(found) == 1:
            return found[0]
        listing = "; ".join(
            f"{s.id}: {s.set.backend} {s.set.options} on {s.set.device}, {s.ok} rows"
            for s in everything
        )
        wanted = f"set {set_id}" if set_id is not None else f"backend {backend or '(any)'}"
        problem = "more than one set matches" if found else "no measurement set matches"
        raise UsageError(f"{problem} {wanted} in {self.path}; it holds {listing or 'none'}")

    def dataset(self, backend: str | None = None, set_id: int | None = None) -> LatencyDataset:
        """The sampled architectures of one set with their anchored latency, first timings only.

        Raises UsageError (see ``find_set``) or NotEnoughData when no row was measured.
        """
        summary = self.find_set(backend, set_id)
        with _sqlite_errors(self.path):
            rows = self._db.execute(
                "SELECT architecture, relative FROM measurements WHERE set_id = ? AND repeat = 0"
                " AND status = 'ok' AND sample_index IS NOT NULL ORDER BY sample_index",
                (summary.id,),
            ).fetchall()
        if not rows or summary.anchor_s is None:
            raise NotEnoughData(
                f"the store {self.path} has no measured architecture for {summary.set.backend}; "
                "run `latbench measure` first"
            )
        return LatencyDataset(
            space=self.space,
            architectures=tuple(self.space.parse(a) for a, _ in rows),
            latency_s=np.array([r for _, r in rows]) * summary.anchor_s,
            backend=summary.set.backend,
            device=summary.set.device,
            noise_floor=summary.noise_floor,
            conditions={**asdict(summary.set), "failed": summary.failed},
        )

    def raw(self, set_id: int) -> dict[str, list[tuple[Visit, ...]]]:
        """The visits of every timed architecture of a set, one tuple a repeat."""
        with _sqlite_errors(self.path):
            rows = self._db.execute(
                "SELECT architecture, visits FROM measurements"
                " WHERE set_id = ? AND status = 'ok' ORDER BY architecture, repeat",
                (set_id,),
            )
            found: dict[str, list[tuple[Visit, ...]]] = {}
            for architecture, blob in rows:
                found.setdefault(architecture, []).append(_unpack(blob))
        return found

    def latency_s(self, set_id: int, architecture: str) -> float | None:
        """The anchored latency of one architecture, the mean of its timings; None if unmeasured."""
        with _sqlite_errors(self.path):
            mean = self._db.execute(
                "SELECT avg(relative) FROM measurements"
                " WHERE set_id = ? AND architecture = ? AND status = 'ok'",
                (set_id, architecture),
            ).fetchone()[0]
        anchor_s = self._anchor_s(set_id)
        return None if mean is None or anchor_s is None else float(mean) * anchor_s
