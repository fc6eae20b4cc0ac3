"""Small files that are never left half written."""

from __future__ import annotations

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
