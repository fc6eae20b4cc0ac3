"""A space whose class cannot be imported here: a file named it, and nothing of it may be imported.

What only shows or copies the file goes on with what stands in it: the space's name and settings,
and its architectures by their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latbench.errors import ParseError, quoted
from latbench.networks.network import Network
from latbench.spaces.base import Array, SearchSpace, SpaceConfig

_DIGITS = 1000  # of an architecture's number


@dataclass(frozen=True)
class Numbered:
    """An architecture of which only the number is known."""

    rank: int

    def __str__(self) -> str:
        return f"number {self.rank}"


class AbsentSpace(SearchSpace[Numbered, SpaceConfig]):
    """The space that ``identity`` describes, without its class; ``why`` says what to do to have it.

    It numbers architectures and nothing else: what needs more raises ParseError with ``why``.
    """

    name = "absent"

    def __init__(self, identity: Mapping[str, Any], why: str) -> None:
        self._identity = dict(identity)
        self.config = SpaceConfig()
        self.why = why

    @property
    def note(self) -> str:
        """Returns the note to show beside what is shown of the file."""
        return f"{self.why}; until then its architectures are shown by their numbers"

    def identity(self) -> dict[str, Any]:
        """Returns the identity as it was read."""
        return dict(self._identity)

    def __str__(self) -> str:
        config = self._identity["config"].items()
        return f"{self._identity['name']}({', '.join(f'{k}={v}' for k, v in config)})"

    @property
    def size(self) -> int:
        """Returns more than any space has, since how many it has is not known."""
        return int(10**_DIGITS)

    def rank(self, architecture: Numbered) -> int:
        """Returns the architecture's number."""
        return architecture.rank

    def unrank(self, rank: int) -> Numbered:
        """Returns the architecture with that number."""
        return Numbered(self.check_rank(rank))

    def parse(self, text: str) -> Numbered:
        """Parses ``number N``. Raises ParseError for anything else, an architecture's text
        included."""
        match = re.fullmatch(rf"number ([0-9]{{1,{_DIGITS}}})", text.strip(), re.ASCII)
        if match is None:
            raise ParseError(f"{quoted(text)} cannot be read: {self.why}")
        return Numbered(int(match[1]))

    def sample(self, seed: int, index: int) -> Numbered:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def build(self, architecture: Numbered) -> Network:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def one_hot(self, architecture: Numbered) -> Array:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def counts(self, architecture: Numbered) -> Array:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def reference(self) -> Numbered:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)
