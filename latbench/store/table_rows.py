"""Latency tables in a store: of which rows of a set each is made.

A table is of one network under a set's conditions. The store keeps its plan, which is written
before anything is timed; what it says of the network's layers follows from the rows
(``latbench.campaign.group_tables``), which are measured, merged and exported like any others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from latbench.errors import DAMAGE, StoreError
from latbench.store.file import Store
from latbench.store.schema import store_errors


@dataclass(frozen=True)
class StoredTable:
    """A latency table's place in a store: the number of its set, the digest of its network (that of
    the model without weights), and its plan, as JSON has it."""

    set_id: int
    network: str
    plan: Mapping[str, Any]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> StoredTable:
        """Makes it from what ``values`` gave."""
        return cls(int(values["set_id"]), str(values["network"]), dict(values["plan"]))

    def values(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return asdict(self)


def stored_tables(store: Store, network: str | None = None) -> list[StoredTable]:
    """Returns the tables of a store, or those of one network, in the order of their sets.

    Raises StoreError for a plan that cannot be read.
    """
    with store_errors(store.path):
        rows = store.connection.execute(
            "SELECT set_id, network, plan FROM main.latency_tables"
            " WHERE ? IS NULL OR network = ? ORDER BY set_id, network",
            (network, network),
        ).fetchall()
    return [StoredTable(int(i), str(n), _plan(store, int(i), text)) for i, n, text in rows]


def _plan(store: Store, set_id: int, text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except DAMAGE as error:
        raise StoreError(
            f"a latency table of set {set_id} in {store.path} cannot be read ({error}); measure it "
            "into another store"
        ) from error


def put_table(store: Store, table: StoredTable) -> None:
    """Writes a table's plan, in the place of an older one of the same network and set."""
    with store_errors(store.path):
        store.connection.execute(
            "INSERT OR REPLACE INTO main.latency_tables (set_id, network, plan) VALUES (?, ?, ?)",
            (table.set_id, table.network, json.dumps(table.plan)),
        )


def steps_of(store: Store, set_id: int, text: str) -> tuple[float, ...] | None:
    """Returns the seconds of the steps of an architecture or a model, by its text, as its first
    timing has them; None where they were not timed."""
    with store_errors(store.path):
        found = store.connection.execute(
            "SELECT steps FROM main.measurements"
            " WHERE set_id = ? AND key = ? AND repeat = 0 AND status = 'ok'",
            (set_id, store.key(text)),
        ).fetchone()
        if found is None or found[0] is None:
            return None
        return tuple(map(float, json.loads(found[0])))
