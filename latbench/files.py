"""Small files that are never left half written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from latbench.errors import ParseError

_JSON_LIMIT_BYTES = 256 << 20


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step: readers see the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """A value as JSON, in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def content_hash(*values: Any) -> str:
    """16 hexadecimal digits that change with the values, which are made JSON or text."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises ParseError when it is not one."""
    try:
        if path.stat().st_size > _JSON_LIMIT_BYTES:
            raise ParseError(f"{path} is larger than {_JSON_LIMIT_BYTES >> 20} MiB; not read")
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(f"{path} is not valid JSON; delete it to have it made again") from error


def reusable(path: Path, inputs: str) -> dict[str, Any] | None:
    """What an earlier run left at ``path``, if it came from the same inputs."""
    if not path.exists():
        return None
    found = read_json(path)
    return found if isinstance(found, dict) and found.get("inputs") == inputs else None
