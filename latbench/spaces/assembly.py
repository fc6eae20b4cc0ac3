"""The builder that an assembly asks at every variable, and the one that knows the answers.

``SearchSpace.assemble(b)`` is the only place where a space lists layers. With a ``Concrete``
builder, which takes what one architecture says, it gives that architecture's network; with the
builder of ``latbench.spaces.supernet`` it gives all of them at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from latbench.errors import UsageError
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Elementwise, Shape, Zero
from latbench.spaces.architecture import Architecture, StatedSpace
from latbench.spaces.variables import One, Some, Variable

# Appends an option's layers to a layer, and returns the last one's index. It uses the builder that
# it is given, since the options of a supernet are built by builders of their own.
Step = Callable[["Assembler", int], int]


class Assembler(NetworkBuilder, ABC):
    """A NetworkBuilder that is asked at every variable.

    ``search`` asks for the network that is searched where a published method searches another one
    than it derives: batch norms without scale and shift, say.
    """

    search = False

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        # Zeros that an option gave: they are no term of a sum.
        self._absent = set[int]()

    @abstractmethod
    def one(self, name: str, alternatives: Mapping[str, Step], x: int) -> int:
        """Appends what a variable's option does to layer ``x``.

        Args:
            name: The name of a One.
            alternatives: What each option does; their results have one shape.
            x: The index of the layer that is read.

        Returns:
            The index of the result.

        Raises:
            UsageError: When the space has no such variable, or with other options.
        """

    @abstractmethod
    def number(self, name: str) -> int:
        """Returns the value of a One whose options are whole numbers: a width, an expansion. Raises
        UsageError for a depth, which ``first`` is for.

        In a supernet it is open: all of its values at once
        (``latbench.spaces.open_number``)."""

    @abstractmethod
    def some(self, name: str, members: Mapping[str, int]) -> dict[str, int]:
        """Returns those of some layers that a Some keeps, by their members' names, to be added by
        ``total``. Raises UsageError when the space has no such variable, or with other members."""

    @abstractmethod
    def first(self, name: str, steps: Sequence[Step], x: int) -> int:
        """Appends the first so many steps as a depth says, one after the other.

        Args:
            name: The name of a One whose options are numbers of steps.
            steps: At least as many as the largest option.
            x: The index of the layer that the first one reads.

        Returns:
            The index of the last step's result; ``x`` for none.

        Raises:
            UsageError: When the space has no such variable, or larger options.
        """

    def total(self, xs: Sequence[int]) -> int:
        """Appends the sum of one or more tensors, without those that an option says are not there:
        a Zero that is all that an option does. Of nothing but those it is a Zero."""
        if not xs:
            raise UsageError(
                "a total has no term; give it one that is always there, or the set a least of 1"
            )
        there = [x for x in xs if x not in self._absent]
        if not there:  # a zero of its own, which later sums do count
            first = self._layers[xs[0]]
            return self.add(first.op, *first.inputs)
        return there[0] if len(there) == 1 else self.add(Elementwise("add"), *there)

    def result(self, y: Any) -> int:
        """Returns what a step returned. Raises UsageError where that is no index of a layer."""
        if not isinstance(y, int):
            raise UsageError(f"a step returned {y!r}; expected the index of its last layer")
        self.shape(y)
        return y

    def mark(self, what: str, x: int) -> None:
        """Notes that layer ``x`` is what the name ``what`` says: something that training needs to
        know (``SearchSpace.landmarks``), or the last one of a block that a chain's drawing shows
        (``latbench.spaces.chains.chain``)."""

    def chosen(self, step: Step, x: int) -> int:
        """Appends an alternative to x, marked where it is nothing but a Zero."""
        y = self.result(step(self, x))
        if y != x and isinstance(self._layers[y].op, Zero) and self._layers[y].inputs == (x,):
            self._absent.add(y)
        return y


class Questions:
    """The variables that an assembly asked for, each checked against the space's."""

    def __init__(self, space: StatedSpace) -> None:
        self.space = space
        self.asked = set[str]()
        self.weighed = set[str]()  # by one() or first(), which weigh what they give
        self.counted = set[str]()  # by number()

    def one(self, name: str, options: Sequence[str] | None = None) -> One:
        """Returns the One of a name. Raises UsageError where the space has none, or with other
        options."""
        v = self._variable(name, options)
        if not isinstance(v, One):
            raise UsageError(
                f"space {self.space.name!r}: the variable {name!r} is some of its members; ask for "
                "it by some()"
            )
        return v

    def some(self, name: str, members: Sequence[str]) -> Some:
        """Returns the Some of a name. Raises UsageError where the space has none, or with other
        members."""
        v = self._variable(name, members)
        if not isinstance(v, Some):
            raise UsageError(
                f"space {self.space.name!r}: the variable {name!r} is one of its options; ask for "
                "it by one(), number() or first()"
            )
        return v

    def numbers(self, v: One) -> list[int]:
        """Returns the options as whole numbers. Raises UsageError for others."""
        try:
            return [int(option) for option in v.options]
        except ValueError as error:
            raise UsageError(
                f"space {self.space.name!r}: the variable {v.name!r} has the options "
                f"{', '.join(v.options)}; expected whole numbers"
            ) from error

    def number(self, name: str) -> One:
        """Returns the One of a number. Raises UsageError for a depth as well."""
        v = self.one(name)
        if v.kind == "depth":
            raise UsageError(
                f"space {self.space.name!r}: the variable {name!r} is a depth; ask for it by "
                "first(), since a supernet runs all depths"
            )
        self.counted.add(name)
        return v

    def check_asked(self, reach: Set[str]) -> None:
        """Raises UsageError for a variable that an assembly never asked for, did not weigh, or
        asked for in vain: ``reach`` has those that any layer depends on."""
        space, forest = self.space.name, self.space.forest
        missing = [v.name for v in forest.variables if v.name not in self.asked]
        if missing:
            raise UsageError(
                f"space {space!r}: the assembly never asks for the variable {missing[0]!r}, so "
                "that its options would build nothing; ask for it, or leave it out of variables()"
            )
        forest.check_weighed(self.weighed)
        for name in self.counted - reach:
            if len(set(forest[name].options)) > 1:
                raise UsageError(
                    f"space {space!r}: the number {name!r} reaches no layer but as its largest "
                    "value, as in range() or int(); compute by whole numbers, of_each() or first()"
                )

    def depth(self, name: str, steps: int) -> One:
        """Returns the One of a depth. Raises UsageError for options that so many steps cannot
        meet."""
        v = self.one(name)
        for option, number in zip(v.options, self.numbers(v), strict=True):
            if not 0 <= number <= steps:
                raise UsageError(
                    f"space {self.space.name!r}: the option {name}={option} asks for {number} "
                    f"steps; the assembly has {steps}"
                )
        return v

    def _variable(self, name: str, options: Sequence[str] | None) -> Variable:
        index = self.space.forest.index.get(name)
        if index is None:
            raise UsageError(
                f"space {self.space.name!r}: the assembly asks for {name!r}, and no variable is "
                "called so; variables() must state it"
            )
        v = self.space.forest.variables[index]
        if options is not None and set(options) != set(v.options):
            raise UsageError(
                f"space {self.space.name!r}: the variable {name!r} has the options "
                f"{', '.join(v.options)}, and the assembly gives {', '.join(options)}"
            )
        self.asked.add(name)
        return v


class Concrete(Assembler):
    """The builder that takes the alternatives of one architecture."""

    def __init__(self, space: StatedSpace, architecture: Architecture) -> None:
        self._questions, self._architecture = Questions(space), architecture
        self.marks: dict[str, list[int]] = {}
        super().__init__(space.input_shape(self.number))

    def _value(self, name: str) -> Any:
        value = self._architecture[name]
        if value is None:
            raise UsageError(
                f"space {self._questions.space.name!r}: the assembly asks for {name!r}, which does "
                f"not exist in {self._architecture}; ask for it only where its condition holds"
            )
        return value

    def one(self, name: str, alternatives: Mapping[str, Step], x: int) -> int:
        """Appends the architecture's option."""
        self._questions.one(name, tuple(alternatives))
        option = self._value(name)
        try:
            return self.chosen(alternatives[option], x)
        except UsageError as error:
            raise naming(error, self._questions.space, f"{name}={option}") from error

    def number(self, name: str) -> int:
        """Returns the architecture's number."""
        v = self._questions.number(name)
        return self._questions.numbers(v)[v.options.index(self._value(name))]

    def some(self, name: str, members: Mapping[str, int]) -> dict[str, int]:
        """Returns the architecture's members."""
        self._questions.some(name, tuple(members))
        return {m: members[m] for m in self._value(name)}

    def first(self, name: str, steps: Sequence[Step], x: int) -> int:
        """Appends the architecture's number of steps."""
        self._questions.depth(name, len(steps))
        for step in steps[: int(self._value(name))]:
            x = self.result(step(self, x))
        return x

    def mark(self, what: str, x: int) -> None:
        """Keeps the layer's index in ``marks``."""
        self.marks.setdefault(what, []).append(x)


def naming(error: UsageError, space: StatedSpace, option: str) -> UsageError:
    """Returns an error that names the space and the option that built no valid layer; the innermost
    option is named alone."""
    if str(error).startswith("space "):
        return error
    return UsageError(f"space {space.name!r}: the option {option} builds no valid layer: {error}")


def of_space(error: UsageError, space: StatedSpace) -> UsageError:
    """Returns an error that names the space, if it did not yet."""
    text = str(error)
    return error if text.startswith("space ") else UsageError(f"space {space.name!r}: {text}")
