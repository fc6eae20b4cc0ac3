"""Small files that are never left half written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latbench.errors import ParseError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_JSON_LIMIT_BYTES = 256 << 20


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a place beside ``path`` to write a file to, which takes the place of the one at
    ``path``.

    It does so in one step and durably when the body ends well, so that readers, and whoever comes
    after a kill or a loss of power, find the old file or the new one, never a part. When the body
    fails, the old one stays and nothing is left behind. Two writers at once, in whatever processes,
    do not meet: the last one's file stays. Raises OSError when the folder cannot be written.
    """
    # A number of its own: processes of other machines that share the folder may have our pid. The
    # start of the name says whose it is, where a kill leaves it; all of it might be too long.
    partial = path.with_name(f".{path.name[:32]}.{secrets.token_hex(6)}.part")
    try:
        yield partial
        with partial.open("r+b") as file:  # not "rb": Windows syncs what may be written
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, known_by: str, what: str) -> Iterator[Path]:
    """Yields a new folder to fill, which takes the place of ``folder`` when the body ends well.

    An older one is replaced where it is empty or holds the file ``known_by``. A kill while one
    takes the other's place leaves the old one beside it, under a hidden name, never half of
    either. Raises UsageError for a folder that is no such ``what``.
    """
    if folder.exists() and not _replaceable(folder, known_by):
        raise UsageError(f"{folder} exists and is no {what}; name another place")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name[:32]}.{secrets.token_hex(6)}.part")
    fresh.mkdir()
    try:
        yield fresh
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replaceable(folder: Path, known_by: str) -> bool:
    return folder.is_dir() and ((folder / known_by).is_file() or not any(folder.iterdir()))


def _swap(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(fresh, folder)
        return
    old = folder.with_name(f"{fresh.name}.old")
    os.rename(folder, old)
    try:
        os.rename(fresh, folder)
    except OSError:
        os.rename(old, folder)
        raise
    shutil.rmtree(old)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, and the folder for it, in one step; see ``replacing``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parses TOML as the values that JSON has; ``path`` is named in messages. Raises UsageError for
    a text that is none, or that holds a date or time."""
    try:
        document: dict[str, Any] = json.loads(json.dumps(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except TypeError as error:
        raise UsageError(f"{path} holds a date or time; no setting takes one") from error
    return document


def folder_name(text: str) -> str:
    """Returns the name of a folder for a text, which may be read from a foreign file: no path, and
    nothing hidden."""
    return re.sub(r"[/\\\0]|^\.+", "-", text) or "-"


def content_hash(*values: Any) -> str:
    """Returns 16 hexadecimal digits that change with the values, which are made JSON or text."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path: Path) -> Any:
    """Reads the value in a JSON file. Raises ParseError when it is not one."""
    try:
        if path.stat().st_size > _JSON_LIMIT_BYTES:
            raise ParseError(f"{path} is larger than {_JSON_LIMIT_BYTES >> 20} MiB; not read")
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(f"{path} is not valid JSON; delete it to have it made again") from error


def reusable(path: Path, inputs: str) -> dict[str, Any] | None:
    """Returns what an earlier run left at ``path`` if it came from the same inputs, else None."""
    if not path.exists():
        return None
    found = read_json(path)
    return found if isinstance(found, dict) and found.get("inputs") == inputs else None
