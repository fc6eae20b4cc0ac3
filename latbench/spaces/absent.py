"""A space whose class cannot be imported here: a file named it, and nothing of it may be imported.

What only shows or copies the file goes on with what stands in it: the space's name and settings,
and its architectures by their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from latbench.errors import ParseError, UsageError, quoted
from latbench.networks.network import Network
from latbench.spaces.architecture import Architecture
from latbench.spaces.assembly import Assembler
from latbench.spaces.base import SearchSpace
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import Variable

_DIGITS = 1000  # of an architecture's number


class AbsentSpace(SearchSpace[SpaceConfig]):
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
        """Returns a number that no space reaches, since it is not known."""
        return 10**1000

    def rank(self, architecture: Architecture) -> int:
        """Returns the architecture's number."""
        return architecture.code[0]

    def unrank(self, rank: int) -> Architecture:
        """Returns the architecture with that number. Raises UsageError for a negative one."""
        if rank < 0:
            raise UsageError(f"architectures are numbered from 0, got {rank}")
        return self.of((rank,))

    def text(self, architecture: Architecture) -> str:
        """Returns ``number N``."""
        return f"number {architecture.code[0]}"

    def parse(self, text: str) -> Architecture:
        """Parses ``number N``. Raises ParseError for anything else, an architecture's text
        included."""
        match = re.fullmatch(r"number ([0-9]{1,1000})", text.strip(), re.ASCII)
        if match is None:
            raise ParseError(f"{quoted(text)} cannot be read: {self.why}")
        return self.of((int(match[1]),))

    def variables(self) -> Iterator[Variable]:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def assemble(self, b: Assembler) -> int:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def sample(self, seed: int, index: int) -> Architecture:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def build(self, architecture: Architecture) -> Network:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)

    def reference(self) -> Architecture:
        """Raises ParseError, since the space's class is not here."""
        raise ParseError(self.why)
