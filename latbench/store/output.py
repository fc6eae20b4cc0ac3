"""Stores that appear only when they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latbench.errors import StoreError
from latbench.files import replacing
from latbench.spaces import AnySpace
from latbench.spaces.absent import AbsentSpace
from latbench.store.file import Store
from latbench.store.schema import sqlite_errors, transaction


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yields a place beside ``path`` to write to, which becomes ``path`` when the body ends well.

    Raises StoreError when there is a file at ``path`` already.
    """
    if path.exists():
        raise StoreError(f"{path} exists already; name a new file, or delete it first")
    with replacing(path) as partial:
        try:
            yield partial
        finally:
            for rest in ("-wal", "-shm", "-journal"):
                partial.with_name(partial.name + rest).unlink(missing_ok=True)


@contextmanager
def new_store(path: Path, space: AnySpace) -> Iterator[Store]:
    """Opens a store, filled in one transaction, that appears at ``path`` when the body ends
    well."""
    with (
        new_file(path) as partial,
        Store(partial, space, need_space=not isinstance(space, AbsentSpace)) as store,
        sqlite_errors(path),
        transaction(store.connection),
    ):
        yield store
