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
    ],
)
def test_what_is_wrong_is_said(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Settings(**values)
    assert str(raised.value) == said


def test_an_annotation_that_is_not_there_stops_nobody() -> None:
    assert Unknowable(thing=object()).number == 1
