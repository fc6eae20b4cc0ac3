"""The variables of a space: what there is to choose, and where each choice exists.

``One`` is one of some options (an operation, a width, a depth), ``Some`` some of some members (the
inputs that a node reads). A variable with a condition exists only where an earlier one has one of
certain values, so that the variables of a space form a forest (``latbench.spaces.forest``).
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass

from latbench.errors import UsageError, quoted

# (name of a variable, its values): the condition holds where the variable has one of the values,
# and of a Some where the one value that is named is among its members.
Condition = tuple[str, tuple[str, ...]]

# A set is kept as the bits of one number of 64.
_MOST_MEMBERS = 62
NOTHING = "-"  # the text of a set without members
_MOST_SETS = 1 << 14  # of one variable, that a search weighs or draws one by one
# What stands in an architecture's text and in the names of columns.
_WORD = re.compile(r"[A-Za-z0-9_.\-]{1,60}", re.ASCII)


@dataclass(frozen=True)
class One:
    """One of some options; ``kind`` says what it chooses: operation, kernel, expansion, width,
    depth or resolution, or a word of the space's own; options of one kind are counted together.

    ``absent`` names what stands in the place of a variable that does not exist; it has a column of
    the one-hot encoding, which is always 0.
    """

    name: str
    options: tuple[str, ...]
    kind: str = "operation"
    given: Condition | None = None
    absent: str | None = None


@dataclass(frozen=True)
class Some:
    """A set of some members, at least ``least`` and at most ``most`` of them, in no order.

    The members are called options as well, so that columns are ``name=option`` for every variable.
    """

    name: str
    options: tuple[str, ...]
    least: int = 1
    most: int = 1
    kind: str = "input"
    given: Condition | None = None

    @property
    def sets(self) -> list[int]:
        """Returns every set that it may take, as the bits of its members. Raises UsageError where
        there are more than can be listed."""
        n, sizes = len(self.options), range(self.least, self.most + 1)
        sets = sum(math.comb(n, k) for k in sizes)
        if sets > _MOST_SETS:
            raise UsageError(
                f"the variable {self.name!r} can take {sets:,} sets of its members; a search lists "
                f"at most {_MOST_SETS:,}"
            )
        kept = itertools.chain(*(itertools.combinations(range(n), k) for k in sizes))
        return sorted(sum(1 << j for j in members) for members in kept)


Variable = One | Some


def check_variable(space: str, v: Variable) -> None:
    """Raises UsageError for a variable that cannot be chosen or written, whatever the others are.

    Args:
        space: The name of the variable's space, for the message.
        v: The variable.
    """
    absent = v.absent if isinstance(v, One) else None
    for what in (v.name, v.kind, *v.options, *([] if absent is None else [absent])):
        if not isinstance(what, str) or not _WORD.fullmatch(what) or what == NOTHING:
            raise UsageError(
                f"space {space!r}: the variable {quoted(str(v.name))} has the name, kind or option "
                f"{quoted(str(what))}; expected letters, digits, '_', '-' and '.', and not "
                f"{NOTHING!r} alone"
            )
    if absent in v.options:
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} has an option that is called as its absence "
            f"is, {absent!r}; call one of them otherwise"
        )
    if not v.options or len(set(v.options)) < len(v.options):
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} has the options {v.options}; expected one "
            "or more, no two alike"
        )
    if isinstance(v, Some) and len(v.options) > _MOST_MEMBERS:
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} has {len(v.options)} members; expected at "
            f"most {_MOST_MEMBERS}"
        )
    if isinstance(v, Some) and not (
        type(v.least) is type(v.most) is int and 0 <= v.least <= v.most <= len(v.options) and v.most
    ):
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} takes {v.least} to {v.most} of "
            f"{len(v.options)} members; expected 0 <= least <= most <= {len(v.options)}, "
            "and most of 1 or more"
        )


def check_condition(space: str, v: Variable, parent: Variable | None) -> None:
    """Raises UsageError for a condition that no earlier variable can meet.

    Args:
        space: The name of the variable's space, for the message.
        v: A variable with a condition.
        parent: The earlier variable that the condition names; None where there is none.
    """
    assert v.given is not None
    if not (len(v.given) == 2 and isinstance(v.given[1], tuple)):
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} hangs on {v.given!r}; expected (name, "
            "(option, ...))"
        )
    name, values = v.given
    if parent is None:
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} hangs on {quoted(name)}, and no variable "
            "before it is called so"
        )
    strange = [value for value in values if value not in parent.options]
    if strange or not values or len(set(values)) < len(values):
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} hangs on {name} = "
            f"{quoted(', '.join(map(str, values)))}; expected some of its options, each once: "
            f"{name!r} has {', '.join(parent.options)}"
        )
    if isinstance(parent, Some) and len(values) > 1:
        raise UsageError(
            f"space {space!r}: the variable {v.name!r} hangs on {len(values)} members of "
            f"{name!r}; expected one, since what hangs on either of two is no forest"
        )
