"""Architectures as vectors whose columns have names: the three readings of a forest.

*Weights* have a column for every option of a One and every member of a Some, ``variable=option``:
what a supernet is run with. They are odds given that the variable exists.

The *one-hot* encoding has the same columns, less those of members of whose presence a variable
that hangs on them tells, and more for what is absent (``One.absent``). It is what a search
differentiates: joint odds, whose rows of a variable that does not exist are 0.

*Counts* are sums of one-hot columns under one label, by an exact matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from latbench.spaces.forest import Code, Forest
from latbench.spaces.variables import One, Some, Variable

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_PART = 4096  # architectures that are encoded at a time, so that they stay in the cache


class Columns:
    """The vectors of a forest's architectures. ``label`` gives what an option counts to, or
    None."""

    def __init__(self, forest: Forest, label: Callable[[Variable, str], str | None]) -> None:
        self.forest, self.label = forest, label
        self._single = [i for i, v in enumerate(forest.variables) if isinstance(v, One)]
        self._starts = np.array([forest.offsets[i] for i in self._single], np.int64)

    @cached_property
    def one_hot_places(self) -> list[int]:
        """Returns, for each column of the one-hot encoding, the number of the weight that it is; -1
        where it is always 0."""
        found: list[int] = []
        for i, v in enumerate(self.forest.variables):
            start = self.forest.offsets[i]
            if isinstance(v, One):
                found += [-1] if v.absent is not None else []
                found += range(start, start + len(v.options))
            else:
                found += [start + j for j in range(len(v.options)) if not self._told(i, j)]
        return found

    def _told(self, i: int, member: int) -> bool:
        """Whether a One that hangs on a member of a set tells that the member is there."""
        hanging = self.forest.children[i][member]
        return any(isinstance(self.forest.variables[c], One) for c in hanging)

    def weights(self, codes: Sequence[Code]) -> Array:
        """Returns the weights ``(n, columns)``: 1 for what an architecture has, else 0."""
        return self._encoded(codes, list(range(len(self.forest.columns))))

    def one_hot(self, codes: Sequence[Code]) -> Array:
        """Returns the one-hot encoding ``(n, d)``."""
        return self._encoded(codes, self.one_hot_places)

    def counts(self, codes: Sequence[Code]) -> Array:
        """Returns how often each label occurs, ``(n, labels)``."""
        parts = [
            self.one_hot(codes[first : first + _PART]) @ self.matrix
            for first in range(0, len(codes), _PART)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.matrix.shape[1]), np.float32)

    @cached_property
    def labels(self) -> list[str]:
        """Returns the names of the counts, in the order in which their first option comes."""
        return list(dict.fromkeys(name for name in self._labels_of_columns if name is not None))

    @cached_property
    def matrix(self) -> Array:
        """Returns ``M`` with ``one_hot @ M == counts`` on all architectures, ``(d, labels)``, read
        only."""
        number = {name: i for i, name in enumerate(self.labels)}
        out = np.zeros((len(self._labels_of_columns), len(self.labels)), np.float32)
        for row, name in zip(out, self._labels_of_columns, strict=True):
            if name is not None:
                row[number[name]] = 1
        out.setflags(write=False)
        return out

    @cached_property
    def _labels_of_columns(self) -> list[str | None]:
        by_weight = [self.label(v, option) for v in self.forest.variables for option in v.options]
        return [None if place < 0 else by_weight[place] for place in self.one_hot_places]

    def _encoded(self, codes: Sequence[Code], places: Sequence[int]) -> Array:
        where = np.full(len(self.forest.columns), -1)
        for position, place in enumerate(places):
            if place >= 0:
                where[place] = position
        sets = self._sets(where)
        out = np.zeros((len(codes), len(places)), np.float32)
        for first in range(0, len(out), _PART):
            numbers = np.array(codes[first : first + _PART], np.int64)
            part, single = out[first : first + _PART], numbers[:, self._single]
            row, which = np.nonzero(single >= 0)
            part[row, where[single[row, which] + self._starts[which]]] = 1
            for i, members, positions in sets:
                part[:, positions] = np.maximum(numbers[:, i], 0)[:, None] >> members & 1
        return out

    def _sets(self, where: Ints) -> list[tuple[int, Ints, Ints]]:
        """Of each set with a column: its number, its members that have one, and where."""
        found = []
        for i, v in enumerate(self.forest.variables):
            if not isinstance(v, Some):
                continue
            start = self.forest.offsets[i]
            members = [j for j in range(len(v.options)) if where[start + j] >= 0]
            if members:
                positions = where[[start + j for j in members]]
                found.append((i, np.array(members), positions))
        return found
