"""The forest that a space's variables form: counting, numbering and walking its architectures.

Numbers are Python's, so that there is no largest space. An architecture's *code* has a number for
each variable: an option's number, the members of a set as bits, -1 where the variable does not
exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from functools import cached_property

import numpy as np

from latbench.errors import UsageError
from latbench.spaces.variables import One, Some, Variable, check_condition, check_variable

Code = tuple[int, ...]


class Forest:
    """The variables of a space, each after the one that it hangs on.

    ``index`` is the number of a variable by its name, ``offsets`` where the columns of each one's
    options begin (and, at the end, how many columns there are), ``parents`` the number of what a
    variable hangs on, -1 for none, and ``children[i][k]`` those that exist by option k of variable
    i. Raises UsageError for variables that form no forest; ``space`` is named in the message.
    """

    def __init__(self, variables: Sequence[Variable], space: str) -> None:
        self.variables, self.space = tuple(variables), space
        self.index: dict[str, int] = {}
        self.parents: list[int] = []
        self.children: list[list[list[int]]] = [[[] for _ in v.options] for v in self.variables]
        self.roots: list[int] = []
        for i, v in enumerate(self.variables):
            check_variable(space, v)
            if v.name in self.index:
                raise UsageError(f"space {space!r}: two variables are called {v.name!r}")
            self._place(i, v)
            self.index[v.name] = i
        if not self.variables:
            raise UsageError(f"space {space!r} has no variable; give it one or more")
        sizes = [len(v.options) for v in self.variables]
        self.offsets: list[int] = np.cumsum([0, *sizes]).tolist()

    def _place(self, i: int, v: Variable) -> None:
        if v.given is None:
            self.parents.append(-1)
            self.roots.append(i)
            return
        p = self.index.get(v.given[0], -1) if v.given else -1
        check_condition(self.space, v, None if p < 0 else self.variables[p])
        self.parents.append(p)
        for value in v.given[1]:
            self.children[p][self.variables[p].options.index(value)].append(i)

    def __deepcopy__(self, memo: object) -> Forest:
        return self  # it never changes

    def __getitem__(self, name: str) -> Variable:
        """Returns the variable of that name. Raises KeyError where there is none."""
        return self.variables[self.index[name]]

    @property
    def columns(self) -> list[str]:
        """Returns the names of the weights of a supernet, ``variable=option`` for every option and
        member."""
        return [f"{v.name}={option}" for v in self.variables for option in v.options]

    @property
    def operations(self) -> list[int]:
        """Returns the numbers of the variables that choose an operation."""
        return [i for i, v in enumerate(self.variables) if v.kind == "operation"]

    def on_member(self, i: int) -> bool:
        """Returns whether a variable, by its number, hangs on a member of a set."""
        return self.parents[i] >= 0 and isinstance(self.variables[self.parents[i]], Some)

    @property
    def chooses_inputs(self) -> bool:
        """Returns whether every operation hangs on a member of a set, as in the DARTS space."""
        return bool(self.operations) and all(map(self.on_member, self.operations))

    def check_weighed(self, names: Set[str]) -> None:
        """Raises UsageError for a member of a set on which variables hang, none of them among
        ``names``, so that a supernet could not weigh the member."""
        for i, v in enumerate(self.variables):
            for option, hanging in zip(v.options, self.children[i], strict=True):
                ones = [self.variables[c].name for c in hanging]
                ones = [n for n in ones if isinstance(self[n], One)]
                if isinstance(v, Some) and ones and not names & set(ones):
                    raise UsageError(
                        f"space {self.space!r}: the member {option!r} of {v.name!r} is weighed by "
                        f"nothing; ask for {' or '.join(map(repr, ones))} by one() or first()"
                    )

    @cached_property
    def depths(self) -> list[int]:
        """Returns how many variables each one hangs on, one after the other."""
        found: list[int] = []
        for p in self.parents:
            found.append(0 if p < 0 else found[p] + 1)
        return found

    # -- how many there are ----------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Returns the number of architectures."""
        return self._product(self.roots)

    def _product(self, which: Sequence[int]) -> int:
        total = 1
        for i in which:
            total *= self.ways[i]
        return total

    @cached_property
    def ways(self) -> list[int]:
        """Returns the number of values of each variable with all that hangs on it."""
        ways = [0] * len(self.variables)
        self.__dict__["ways"] = ways  # what hangs on a variable stands later, and is filled first
        for i in reversed(range(len(self.variables))):
            v = self.variables[i]
            if isinstance(v, One):
                ways[i] = sum(self._product(c) for c in self.children[i])
            else:
                ways[i] = sum(self._subsets(i)[0][v.least :])
        return ways

    def _subsets(self, i: int) -> list[list[int]]:
        """``[j][k]``: the ways to take k of the members j and later of a set, with all that hangs
        on them (elementary symmetric sums)."""
        if i not in self._subset_tables:
            v = self.variables[i]
            assert isinstance(v, Some)
            table = [[1] + [0] * v.most]
            for hanging in reversed(self.children[i]):
                weight, last = self._product(hanging), table[0]
                row = (last[k] + weight * last[k - 1] for k in range(1, v.most + 1))
                table.insert(0, [1, *row])
            self._subset_tables[i] = table
        return self._subset_tables[i]

    @cached_property
    def _subset_tables(self) -> dict[int, list[list[int]]]:
        return {}

    # -- numbers ---------------------------------------------------------------------------------

    def unrank(self, rank: int) -> Code:
        """Returns the code with a number from 0 to ``size - 1``.

        The roots are digits of the number, the first one the lowest. An option's number, or that of
        a set among those of its size (smaller sets first), is the high part of a digit, and what
        hangs on it the low part.
        """
        code, todo = [-1] * len(self.variables), []
        for i in self.roots:
            rank, rest = divmod(rank, self.ways[i])
            todo.append((i, rest))
        while todo:
            i, rest = todo.pop()
            code[i], rest = self._value(i, rest)
            for c in self.hanging(i, code[i]):
                rest, inner = divmod(rest, self.ways[c])
                todo.append((c, inner))
        return tuple(code)

    def rank(self, code: Code) -> int:
        """Returns the number of a code, for which ``unrank`` gives the code."""

        def number(which: Sequence[int]) -> int:
            total = 0
            for i in reversed(which):
                inner = number(self.hanging(i, code[i]))
                total = total * self.ways[i] + self._number(i, code[i], inner)
            return total

        return number(self.roots)

    def _value(self, i: int, rest: int) -> tuple[int, int]:
        """The value of variable i in its digit, and the number of what hangs on it."""
        v = self.variables[i]
        if isinstance(v, One):
            for value, hanging in enumerate(self.children[i]):
                if rest < (block := self._product(hanging)):
                    return value, rest
                rest -= block
        table = self._subsets(i)
        assert isinstance(v, Some)
        k = v.least
        while rest >= table[0][k]:
            rest, k = rest - table[0][k], k + 1
        bits, inner, weight = 0, 0, 1
        for j, hanging in enumerate(self.children[i]):
            if rest < table[j + 1][k]:  # without member j
                continue
            rest, own = divmod(rest - table[j + 1][k], block := self._product(hanging))
            bits, inner, weight, k = bits | 1 << j, inner + weight * own, weight * block, k - 1
        return bits, inner + weight * rest

    def _number(self, i: int, value: int, inner: int) -> int:
        """The inverse of ``_value``."""
        v = self.variables[i]
        if isinstance(v, One):
            return sum(self._product(c) for c in self.children[i][:value]) + inner
        table, digits = self._subsets(i), []
        kept = [j for j in range(len(v.options)) if value >> j & 1]
        for j in kept:
            block = self._product(self.children[i][j])
            inner, digit = divmod(inner, block)
            digits.append((j, block, digit))
        rest = inner
        for k, (j, block, digit) in enumerate(reversed(digits), 1):
            rest = rest * block + digit + table[j + 1][k]
        return rest + sum(table[0][v.least : len(kept)])

    # -- walks from the roots --------------------------------------------------------------------

    def hanging(self, i: int, value: int) -> list[int]:
        """Returns the variables that exist because variable i has a value."""
        if isinstance(self.variables[i], One):
            return self.children[i][value]
        return [c for j, cs in enumerate(self.children[i]) if value >> j & 1 for c in cs]

    def grow(self, choose: Callable[[int], int]) -> Code:
        """Returns the code for which ``choose`` gives each variable's value, asked from the roots
        on for those that exist."""
        code, todo = [-1] * len(self.variables), list(reversed(self.roots))
        while todo:
            i = todo.pop()
            code[i] = choose(i)
            todo += reversed(self.hanging(i, code[i]))
        return tuple(code)

    def uniform(self, rng: np.random.Generator) -> Code:
        """Draws uniformly over architectures."""
        return self.unrank(below(rng, self.size))

    def draw(self, i: int, rng: np.random.Generator) -> int:
        """Draws a value of variable i, in proportion to what hangs on each."""
        return self._value(i, below(rng, self.ways[i]))[0]

    def neighbours(self, i: int, value: int) -> list[int]:
        """Returns the values of variable i that are one change away: the other options of a One;
        of a Some the sets with one member more, less, or exchanged."""
        v, n = self.variables[i], len(self.variables[i].options)
        if isinstance(v, One):
            return [k for k in range(n) if k != value]
        flips = [1 << j for j in range(n)]
        near = {value ^ f for f in flips}
        near |= {value ^ f ^ g for f in flips if value & f for g in flips if not value & g}
        return sorted(s for s in near if v.least <= s.bit_count() <= v.most)

    def mutated(self, code: Code, rng: np.random.Generator) -> Code:
        """Returns a code in which one variable has another value.

        Its kind is drawn first, each at equal odds, then the variable and its new value: so do the
        mutations of Real et al. (2019, https://arxiv.org/abs/1802.01548, section 3), an operation
        or an input. What newly exists takes over from a variable of the same options that goes (the
        operation of an exchanged input stays), and is drawn where there is none. Of a space of one
        architecture it is that one.
        """
        near = {i: self.neighbours(i, x) for i, x in enumerate(code) if x >= 0}
        kinds = sorted({self.variables[i].kind for i, values in near.items() if values})
        if not kinds:
            return code
        kind = kinds[rng.integers(len(kinds))]
        open_ = [i for i, values in near.items() if values and self.variables[i].kind == kind]
        target = open_[rng.integers(len(open_))]
        value = near[target][rng.integers(len(near[target]))]
        stays = set(self.hanging(target, value))
        going = [c for c in self.hanging(target, code[target]) if c not in stays]

        def choose(i: int) -> int:
            if i == target:
                return value
            if code[i] >= 0:
                return code[i]
            for c in going:
                if self._alike(c, i):
                    going.remove(c)
                    return code[c]
            return self.draw(i, rng)

        return self.grow(choose)

    def _alike(self, i: int, j: int) -> bool:
        """Whether two variables have the same values."""
        a, b = self.variables[i], self.variables[j]
        return replace(a, name=b.name, kind=b.kind, given=b.given) == b

    def having(self, i: int, code: Code, rng: np.random.Generator) -> Code:
        """Returns a code that has variable i: with the values of the given one, but for those on
        which i hangs; what newly exists is drawn."""
        wanted = dict[int, list[int]]()
        while (p := self.parents[i]) >= 0:
            v = self.variables[p]
            by = [k for k, hanging in enumerate(self.children[p]) if i in hanging]
            sets = v.sets if isinstance(v, Some) else []
            wanted[p] = [s for s in sets if s >> by[0] & 1] if sets else by
            i = p

        def choose(k: int) -> int:
            if code[k] in wanted.get(k, [code[k]]) and code[k] >= 0:
                return code[k]
            if k in wanted:
                return wanted[k][rng.integers(len(wanted[k]))]
            return self.draw(k, rng)

        return self.grow(choose)

    def crossed(self, a: Code, b: Code, rng: np.random.Generator) -> Code:
        """Returns a code in which each variable has its value in either of two codes."""

        def choose(i: int) -> int:
            known = [code[i] for code in (a, b) if code[i] >= 0]
            return known[rng.integers(len(known))]

        return self.grow(choose)


def below(rng: np.random.Generator, n: int) -> int:
    """Draws uniformly over 0 to ``n - 1``, for any n of 1 or more."""
    bits = max(1, (n - 1).bit_length())
    while True:
        value = int.from_bytes(rng.bytes(-(-bits // 8)), "little") & ((1 << bits) - 1)
        if value < n:
            return value
