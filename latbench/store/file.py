"""The open store: rows in, datasets and summaries out.

A file holds any number of measurement sets. A set is one backend with its options and version, on
one device, under one protocol; only rows of one set are compared. Each finished architecture, or
model by name, is one committed row, so that a campaign that is killed loses nothing.

The absolute latency of a row is ``relative * anchor``: the anchor is the median time of the canary
over all sampled rows of the set, which averages the machine's drift over the whole campaign. The
row's own plain absolute figure (``raw_s``) is kept beside it.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np

from latbench.errors import NotEnoughData, SpaceMismatchError, StoreError, UsageError
from latbench.spaces import AnySpace
from latbench.spaces.base import SAMPLER
from latbench.store.dataset import LatencyDataset
from latbench.store.keys import MAX_INTEGER, RowKey, checked_key, key_of, number_of, text_of
from latbench.store.migration import open_space
from latbench.store.raw import pack, unpack
from latbench.store.records import (
    Done,
    Measurement,
    MeasurementSet,
    SetSummary,
    set_from_conditions,
)
from latbench.store.schema import (
    INSERT_ROW,
    INSERT_TIMINGS,
    create,
    store_errors,
    transaction,
)
from latbench.store.set_choice import how_to_choose, listing
from latbench.store.summary import (
    METRIC_COLUMNS,
    anchor_s,
    done_of,
    failures_of,
    floor_between_of,
    noise_floor_of,
    noise_of,
    sets_table,
    summarize,
)
from latbench.timing.metric import LATENCY, measured_metric
from latbench.timing.protocol import Visit

# On a store's own connection `measurements` also has the architecture's text.
_VIEW = """
CREATE TEMP VIEW measurements AS
SELECT m.*, architecture_text(m.key) AS architecture FROM main.measurements m
"""


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


class Store:
    """An open store. Use it as a context manager, or close it.

    ``Store(path, space)`` creates the file when it does not exist and otherwise checks that it
    belongs to that space (SpaceMismatchError). ``Store(path)`` opens an existing one. A file of an
    older schema version is brought up to this one. ``space`` draws samples as the store's own
    sampler does (``SearchSpace.with_sampler``), so that its campaigns go on with what they began.
    Raises StoreError when the file is not a store, has a newer version, or cannot be used,
    ParseError when its space is of a module that a file may not import (see latbench.plugins). With
    ``need_space=False`` a store whose space cannot be made is opened all the same, its
    architectures by their numbers (``latbench.spaces.absent``): to show it, or to copy it.
    """

    def __init__(
        self, path: str | Path, space: AnySpace | None = None, *, need_space: bool = True
    ) -> None:
        self.path = Path(path)
        exists = self.path.exists() and self.path.stat().st_size > 0
        self._made = not exists
        if not exists and space is None:
            raise StoreError(f"there is no store at {self.path}; `latbench measure` makes one")
        with store_errors(self.path):
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        try:
            self.space = self._open(space if not exists else None, need_space)
        except BaseException:
            self._db.close()
            raise
        if space is not None and space != self.space:
            self.close()
            raise SpaceMismatchError(
                f"the store {self.path} holds measurements of {self.space}, not of {space}; "
                "name another file or the store's own space"
            )

    def _open(self, new: AnySpace | None, need_space: bool) -> AnySpace:
        if new is not None:
            create(self._db, self.path, new)
        space = open_space(self._db, self.path, need_space)
        with store_errors(self.path):
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.create_function("architecture_text", 1, self.text)
            self._db.execute(_VIEW)
        return space

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        useless = self._made and error[0] is not None and self._is_empty()
        self.close()
        if useless:
            for end in ("", "-wal", "-shm"):  # what was refused leaves no empty store behind
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)

    def _is_empty(self) -> bool:
        """Returns whether it is known to hold no set; a store that was closed, or cannot be read,
        is not.

        Raises nothing: it is asked while another error is on its way out.
        """
        try:
            return not self.sets()
        except StoreError:
            return False

    def __repr__(self) -> str:
        return f"<Store {self.path}: {self.space}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the measurement sets."""
        try:
            return sets_table(f"Store {self.path}: {self.space}", self.sets())
        except StoreError:
            return sets_table(f"Store {self.path}: closed, or it cannot be read", ())

    def checkpoint(self) -> None:
        """Moves what was committed from the log beside the file into the file, so that a copy of it
        is whole. Somebody else's reading puts that off."""
        with store_errors(self.path):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """Returns the SQLite connection, in autocommit mode; for the modules of this package."""
        return self._db

    def key(self, text: str) -> RowKey:
        """Returns the key of an architecture's or a model's text. Raises ParseError for neither."""
        return key_of(self.space, text)

    def text(self, key: RowKey) -> str:
        """Returns the text of the architecture or the model with a key."""
        return text_of(self.space, key)

    def add_set(self, measurement_set: MeasurementSet, created: float | None = None) -> int:
        """Returns the id of the set with this key, made when it is new; ``created`` is now, in
        seconds since 1970, unless given."""
        key = measurement_set.key
        with store_errors(self.path):
            # Not before somebody writes: it is kept in the file, and reading changes no file. What
            # is made in one transaction needs no log.
            if not self._db.in_transaction:
                self._db.execute("PRAGMA journal_mode = WAL")
            found = self._db.execute("SELECT id FROM main.sets WHERE key = ?", (key,)).fetchone()
            if found:
                return int(found[0])
            cursor = self._db.execute(
                "INSERT INTO main.sets (key, backend, device, conditions, created)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    key,
                    measurement_set.backend,
                    measurement_set.device,
                    measurement_set.conditions,
                    time.time() if created is None else created,
                ),
            )
        return int(cursor.lastrowid or 0)

    def add(self, set_id: int, row: Measurement, replace: bool = False) -> None:
        """Commits one row. A row that is there already is an IntegrityError, unless it is to be
        replaced."""
        e = row.estimate
        key = (set_id, self.key(row.architecture), row.repeat)
        # A seed that SQLite cannot hold is left out: its rows are found by their architecture.
        seed = row.seed if row.seed is not None and row.seed < MAX_INTEGER else None
        values = (
            *key, seed, row.sample_index, row.status,
            *((e.relative, e.half_width, e.raw_s, e.canary_s) if e else (None,) * 4),
            row.stop, row.error, time.time(), e.rejected if e else None, row.host, row.throttled,
            *astuple(row.costs), row.occasion, row.block,
            *map(_json, (row.canaries, row.machine)), row.fallbacks, _json(row.steps),
        )  # fmt: skip
        with store_errors(self.path), transaction(self._db):
            if replace:
                self._delete("set_id = ? AND key = ? AND repeat = ?", key)
            self._db.execute(INSERT_ROW, values)
            if row.visits:
                self._db.execute(INSERT_TIMINGS, (*key, pack(row.visits)))

    def put(self, set_id: int, row: Measurement, *, faster: bool = False) -> None:
        """Commits one row. Of two of the same architecture, the one with the narrower interval
        stays, or with ``faster`` that of fewer seconds; a failure replaces nothing."""
        key = (set_id, self.key(row.architecture), row.repeat)
        with store_errors(self.path):
            there = self._db.execute(
                "SELECT status = 'ok', half_width, relative * canary_s FROM main.measurements"
                " WHERE set_id = ? AND key = ? AND repeat = ?",
                key,
            ).fetchone()
        if there is not None and row.estimate is None:
            return
        if there is not None and row.estimate is not None and there[0]:
            e = row.estimate
            if (there[2] <= e.relative * e.canary_s) if faster else (there[1] <= e.half_width):
                return
        self.add(set_id, row, replace=there is not None)

    def _delete(self, condition: str, values: tuple[RowKey, ...]) -> int:
        """Deletes rows with their raw timings inside the open transaction; how many."""
        which = f"SELECT set_id, key, repeat FROM main.measurements WHERE {condition}"
        for table in ("timings", "measurements"):
            deleted = self._db.execute(
                f"DELETE FROM main.{table} WHERE (set_id, key, repeat) IN ({which})", values
            ).rowcount
        return deleted

    def failures(self, set_id: int) -> dict[str, str]:
        """Returns why rows of a set failed, by the texts of what was to be measured."""
        with store_errors(self.path):
            found = failures_of(self._db, set_id)
        return {self.text(checked_key(key)): why for key, why in found.items()}

    def forget_failed(self, set_id: int) -> int:
        """Deletes the failed rows of a set, so that a campaign tries them again."""
        with store_errors(self.path), transaction(self._db):
            return self._delete("set_id = ? AND status = 'failed'", (set_id,))

    def done(self, set_id: int, seed: int, widest: float = math.inf) -> Done:
        """Returns the rows of a set that are there, failed ones included, as a sample of ``seed``
        sees them.

        Rows with an interval wider than ``widest`` on either side (a fraction) do not count. A
        million rows take about a second (2026-11-24).
        """
        size = self.space.size
        with store_errors(self.path):
            return done_of(self._db, size, set_id, seed, widest)

    def has_samples(self) -> bool:
        """Returns whether any row is of a sample, so that the sampler matters."""
        with store_errors(self.path):
            query = "SELECT 1 FROM main.measurements WHERE sample_index IS NOT NULL LIMIT 1"
            return self._db.execute(query).fetchone() is not None

    def sets(self) -> list[SetSummary]:
        """Returns every set with its counts, in the order of their making."""
        with store_errors(self.path):
            rows = self._db.execute("SELECT id, conditions FROM main.sets ORDER BY id").fetchall()
            return [
                summarize(self._db, self.space, int(i), set_from_conditions(text))
                for i, text in rows
            ]

    def find_set(self, backend: str | None = None, set_id: int | None = None) -> SetSummary:
        """Finds the one set of a backend (or of the store), or the set with an id.

        Raises UsageError when there is none or more than one, listing what there is.
        """
        everything = self.sets()
        found = [
            s for s in everything
            if (s.id == set_id if set_id is not None else backend in (None, s.set.backend))
        ]  # fmt: skip
        if len(found) == 1:
            return found[0]
        if found:
            of = f" of backend {backend!r}" if backend else ""
            raise UsageError(
                f"{self.path} holds several measurement sets{of}: {listing(found)}; "
                f"{how_to_choose(found)}"
            )
        wanted = f" {set_id}" if set_id is not None else f" of backend {backend!r}"
        raise UsageError(
            f"{self.path} holds no measurement set"
            + (f"{wanted}, but {listing(everything)}" if everything else "; measure one first")
        )

    def dataset(
        self, backend: str | None = None, set_id: int | None = None, metric: str = "latency"
    ) -> LatencyDataset:
        """Reads the sampled architectures of one set with their anchored latency, first timings
        only, or with another metric, where it was measured.

        Raises UsageError (see ``find_set``, or for an unknown metric) or NotEnoughData when no row
        was measured.
        """
        chosen = measured_metric(metric)
        found = self.find_set(backend, set_id)
        column = METRIC_COLUMNS[chosen.name]
        with store_errors(self.path):
            rows = self._db.execute(
                f"SELECT key, {column} FROM main.measurements WHERE set_id = ? AND repeat = 0"
                f" AND status = 'ok' AND sample_index IS NOT NULL AND {column} > 0"
                " ORDER BY seed, sample_index, key",
                (found.id,),
            ).fetchall()
            if not rows or found.anchor_s is None:
                raise NotEnoughData(
                    f"the store {self.path} has no {chosen.label} of an architecture for "
                    f"{found.set.backend}; run `latbench measure` first"
                )
            unit = found.anchor_s if chosen == LATENCY else 1.0
            ranks = [number_of(key) for key, _ in rows]
            values = np.array([value for _, value in rows], float) * unit
            floor = noise_floor_of(self._db, found.id, column)
            later = floor_between_of(self._db, found.id, column)
        return LatencyDataset(
            space=self.space.with_sampler(SAMPLER),
            architectures=tuple(map(self.space.unrank, ranks)),
            values=values,
            metric=chosen,
            backend=found.set.backend,
            device=found.set.device,
            noise_floor=floor,
            floor_between=later,
            conditions={**asdict(found.set), "failed": found.failed, "fallbacks": found.fallbacks},
        )

    def raw(self, set_id: int) -> dict[str, list[list[Visit]]]:
        """Returns the visits of everything that was timed in a set by its text, one list a
        repeat."""
        found: dict[RowKey, list[list[Visit]]] = {}
        with store_errors(self.path):
            for key, visits in self._db.execute(
                "SELECT key, visits FROM main.measurements"
                " JOIN main.timings USING (set_id, key, repeat)"
                " WHERE set_id = ? AND status = 'ok' ORDER BY key, repeat",
                (set_id,),
            ):
                found.setdefault(checked_key(key), []).append(unpack(visits))
        return {self.text(key): visits for key, visits in found.items()}

    def relative(self, set_id: int) -> dict[str, list[float]]:
        """Returns the relative latencies of everything that was timed in a set by its text, one a
        repeat, in the order of the sample; named architectures and models come first."""
        found: dict[RowKey, list[float]] = {}
        with store_errors(self.path):
            for key, relative in self._db.execute(
                "SELECT key, relative FROM main.measurements WHERE set_id = ? AND status = 'ok'"
                # The checks of a sampled architecture are of no sample.
                " ORDER BY max(seed) OVER (PARTITION BY key),"
                " max(sample_index) OVER (PARTITION BY key), key, repeat",
                (set_id,),
            ):
                found.setdefault(checked_key(key), []).append(relative)
        return {self.text(key): values for key, values in found.items()}

    def value(self, set_id: int, architecture: str, metric: str = "latency") -> float | None:
        """Returns the anchored latency of one architecture or model, or another metric of it: the
        mean of its measurements, None where there is none."""
        column, key = METRIC_COLUMNS[measured_metric(metric).name], self.key(architecture)
        with store_errors(self.path):
            mean = self._db.execute(
                f"SELECT avg({column}) FROM main.measurements"
                " WHERE set_id = ? AND key = ? AND status = 'ok'",
                (set_id, key),
            ).fetchone()[0]
            if mean is None or column != "relative":
                return None if mean is None else float(mean)
            anchor = anchor_s(self._db, set_id)
        return None if anchor is None else float(mean) * anchor

    def noise(self, set_id: int, architecture: str, metric: str = "latency") -> float | None:
        """Returns how far two measurements of one architecture may lie apart, a fraction.

        It is the largest of the set's noise floor, the difference of the architecture's own timings
        and, of a latency, the half width of the 95 % interval of their mean. It is None where the
        architecture was not measured, or nothing of these is known.
        """
        chosen, key = measured_metric(metric).name, self.key(architecture)
        with store_errors(self.path):
            return noise_of(self._db, set_id, key, chosen)
