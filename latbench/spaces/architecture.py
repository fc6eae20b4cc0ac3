"""An architecture: an immutable value of a space, one value for every variable that exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from latbench.networks.ops import Shape
from latbench.spaces.drawing import Drawing
from latbench.spaces.forest import Code, Forest
from latbench.spaces.variables import One


class StatedSpace(Protocol):
    """A space as its architectures and builders see it; a ``SearchSpace`` is one."""

    name: ClassVar[str]
    config: Any

    @property
    def forest(self) -> Forest:
        """Returns the variables."""

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        """Returns the input's shape; ``number`` gives the value of a variable."""

    def text(self, architecture: Architecture) -> str:
        """Returns an architecture's canonical text."""

    def drawing(self, architecture: Architecture) -> Sequence[Drawing]:
        """Returns what a drawing of an architecture shows."""


class Architecture:
    """A value of a space. ``str`` is its canonical text, which ``space.parse`` reads.

    ``code`` has a number for every variable of the space, in their order: an option's number, the
    members of a set as bits, -1 where the variable does not exist. Two are equal where their
    spaces' names and their codes are.
    """

    __slots__ = ("code", "space")

    code: Code
    space: StatedSpace

    def __init__(self, code: Code, space: StatedSpace) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "space", space)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an architecture cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an architecture cannot be changed: {name}")

    def __getitem__(self, name: str) -> str | tuple[str, ...] | None:
        """Returns a variable's value: an option, or the members of a set; None where the variable
        does not exist. Raises KeyError for a name that the space has not."""
        forest = self.space.forest
        i = forest.index[name]
        v, value = forest.variables[i], self.code[i]
        if value < 0:
            return None
        if isinstance(v, One):
            return v.options[value]
        return tuple(m for j, m in enumerate(v.options) if value >> j & 1)

    def values(self) -> dict[str, str | tuple[str, ...]]:
        """Returns the values of the variables that exist, by their names."""
        found = ((v.name, self[v.name]) for v in self.space.forest.variables)
        return {name: value for name, value in found if value is not None}

    def drawing(self) -> Sequence[Drawing]:
        """Returns what a drawing of it shows, one graph after the other."""
        return self.space.drawing(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self.code == other.code and self.space.name == other.space.name

    def __hash__(self) -> int:
        return hash(self.code)

    def __str__(self) -> str:
        return self.space.text(self)

    def __repr__(self) -> str:
        return f"<{self} of {self.space.name}>"

    def __deepcopy__(self, memo: object) -> Architecture:
        return self

    def __reduce__(self) -> str:
        raise TypeError("an architecture is not pickled; write str(architecture), and parse that")
