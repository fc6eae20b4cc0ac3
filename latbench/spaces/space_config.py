"""The settings that a space fixes besides the architecture: its dataclass, and its text."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from latbench.errors import UsageError, quoted
from latbench.networks.ops import Shape
from latbench.validation import check_fields

MOST = 1_000_000  # of anything that a configuration counts: beyond it stands a mistake


@dataclass(frozen=True)
class SpaceConfig:
    """The settings of every space; a subclass adds its own, each with a default.

    A setting is a whole number from 1 to a million, a finite number, a text, true or false, or a
    tuple of one of these. ``resolution`` is the input's height and width in pixels, ``batch`` the
    number of images of one run. Raises UsageError for a value of another type than its default's,
    or out of range.
    """

    classes: int = 10
    resolution: int = 32
    in_channels: int = 3
    batch: int = 1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list) and isinstance(field.default, tuple):  # as JSON has it
                object.__setattr__(self, field.name, tuple(value))
        check_fields(self)
        for field in dataclasses.fields(self):
            value = _like(field.default, getattr(self, field.name))
            _check_size(field.name, value)
            object.__setattr__(self, field.name, value)

    @property
    def input_shape(self) -> Shape:
        """Returns the input's shape, ``(batch, in_channels, resolution, resolution)``."""
        return (self.batch, self.in_channels, self.resolution, self.resolution)

    @property
    def doubt(self) -> str:
        """Returns a sentence about settings that are seldom meant together; empty for none."""
        return ""

    def settings(self) -> dict[str, Any]:
        """Returns the settings by name, those of the space itself first."""
        shared = {field.name for field in dataclasses.fields(SpaceConfig)}
        values = dataclasses.asdict(self)
        return {k: v for k, v in values.items() if k not in shared} | values

    def __str__(self) -> str:
        return ", ".join(f"{name}={written(value)}" for name, value in self.settings().items())


def _like(default: Any, value: Any) -> Any:
    """A whole number as the float that the default is, so that equal settings have one text."""
    if isinstance(default, tuple) and isinstance(value, tuple) and default:
        return tuple(_like(default[0], part) for part in value)
    return float(value) if isinstance(default, float) and type(value) is int else value


def _check_size(name: str, value: Any) -> None:
    """Refuses an empty tuple, and whole numbers that count more than anything has."""
    if isinstance(value, tuple):
        if not value:
            raise UsageError(f"{name} must have one value or more, got ()")
        for part in value:
            _check_size(name, part)
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= MOST:
        raise UsageError(f"{name} must be 1 to {MOST:,}, got {value:,}")


def written(value: Any) -> str:
    """Returns a setting's value as the text of a space has it: ``(1 2)`` for a tuple."""
    return f"({' '.join(map(written, value))})" if isinstance(value, tuple) else str(value)


def read_settings(text: str) -> dict[str, Any]:
    """Reads ``key=value, key=(value value)``, as ``str`` of a configuration writes it.

    Raises UsageError naming what is no setting.
    """
    found: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(f"{quoted(item)} is not a space setting; expected 'key=value'")
        if value.startswith("(") and value.endswith(")"):
            found[key] = tuple(map(_read, value[1:-1].split()))
        else:
            found[key] = _read(value)
    return found


def _read(text: str) -> Any:
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,9}\.[0-9]{1,9}", text):
        return float(text)
    return {"True": True, "False": False}.get(text, text.strip("'\""))
