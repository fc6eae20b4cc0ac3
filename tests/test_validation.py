"""Settings that somebody made are checked against their annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from latbench.errors import UsageError
from latbench.timing.protocol import Protocol
from latbench.validation import Count, check_fields

if TYPE_CHECKING:
    from elsewhere import Thing  # type: ignore[import-not-found]


@dataclass
class Settings:
    """As a plug-in might write it; the default of ``lazy`` is not what its annotation says."""

    protocol: Protocol = field(default_factory=Protocol)
    number: Count = 1
    lazy: int = None  # type: ignore[assignment]
    widths: tuple[float, ...] = (0.75, 1.0)
    depths: tuple[Count, ...] = (2, 3)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass
class Unknowable(Settings):
    """One field has an annotation that is not there when it runs."""

    thing: Thing = None


def test_a_default_is_what_its_author_chose() -> None:
    assert Settings().lazy is None
    assert Settings(lazy=3).lazy == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"protocol": 3}, "protocol must be of type Protocol, got 3"),
        ({"number": True}, "number must be an integer, got True"),
        ({"number": 0}, "number must be at least 1, got 0"),
        ({"lazy": "x"}, "lazy must be an integer, got 'x'"),
        (
            {"widths": ("a", "b")},
            "widths must be a tuple of numbers, as (0.75 1.0) in the text of a space, "
            "got ('a', 'b')",
        ),
        (
            {"depths": 3},
            "depths must be a tuple of integers, as (1 2) in the text of a space, got 3",
        ),
        ({"depths": (2, 0)}, "depths must be at least 1, got (2, 0)"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Settings(**values)
    assert str(raised.value) == said


def test_an_annotation_that_is_not_there_stops_nobody() -> None:
    assert Unknowable(thing=object()).number == 1
