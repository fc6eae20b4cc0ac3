"""The places of architecture parameters in one vector, and the odds that follow from them.

A One has a *row* of logits, one an option, and before them one for its absence where it hangs on a
member of a set (DARTS' ``none``). A member of a set is as strong as the best option that hangs on
it, as published; one on which nothing hangs has a logit of its own.

**How many inputs a node keeps** where a set leaves that open has no published rule. Ours: a member
is kept where its best option has more than as many times the odds of its absence as there are
options, within the bounds of the set. Without that factor, flat parameters would keep seven of
eight edges of a DARTS cell, since the best of seven operations beats one ``none`` that often.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from latbench.spaces.forest import Forest
from latbench.spaces.variables import One, Some
from latbench.text import ABSENT


def gumbel(shape: Sequence[int], generator: Generator) -> Tensor:
    """Draws standard Gumbel noise: minus the logarithm of an exponential variable."""
    exponential: Tensor = torch.empty(tuple(shape)).exponential_(generator=generator)
    return -exponential.clamp_min(1e-30).log()


def admissible(v: Some) -> Tensor:
    """Returns every set that a Some may take as zeros and ones, ``(sets, members)``. Raises
    UsageError as ``Some.sets`` does."""
    members = range(len(v.options))
    return torch.tensor([[float(s >> j & 1) for j in members] for s in v.sets])


def in_a_set(strength: Tensor, sets: Tensor) -> Tensor:
    """Returns the odds of each member to be in a set that is drawn in proportion to the product of
    its members' weights; ``strength (..., members)`` are their logarithms, ``sets`` those of
    ``admissible``."""
    return torch.softmax(strength.clamp_min(-1e4) @ sets.T, dim=-1) @ sets


def strongest(strength: Tensor, least: int, most: int) -> Tensor:
    """Returns 1 for the strongest members, else 0: as many as are above 0, within the bounds. Among
    equals the first wins, as in DARTS' published code."""
    order = torch.argsort(strength, dim=-1, descending=True, stable=True)
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    ranks = torch.zeros_like(order).scatter(-1, order, places)
    count = (strength > 0).sum(-1, keepdim=True).clamp(least, most)
    return (ranks < count).to(strength.dtype)


def named_odds(forest: Forest, probabilities: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Returns ``Relaxation.probabilities``, tensors or arrays, by the names of options, and that of
    an absence where it was weighed."""
    found = {}
    for name, p in probabilities.items():
        v = forest[name]
        absent = [getattr(v, "absent", None) or ABSENT] if len(p) > len(v.options) else []
        found[name] = dict(zip([*absent, *v.options], p.tolist(), strict=True))
    return found


class Tables(nn.Module):
    """The places of a forest's logits and weights, so that a few tensor operations do all
    variables: one for each number of options, and one for each form of sets.

    ``logits`` is the number of parameters, ``rows`` where each One's lie, the absent one first.
    """

    order: Tensor
    own_columns: Tensor
    own_logits: Tensor
    told_columns: Tensor
    told_rows: Tensor
    told_ranges: Tensor

    def __init__(self, forest: Forest) -> None:
        super().__init__()
        self.forest, self.rows = forest, dict[int, slice]()
        self._absent = {i for i in range(len(forest.variables)) if forest.on_member(i)}
        self.logits = self._place_rows()
        self._place_sets()
        self._place_levels()

    def _keep(self, name: str, values: object, dtype: torch.dtype = torch.long) -> None:
        self.register_buffer(name, torch.as_tensor(values, dtype=dtype), persistent=False)

    def _place_rows(self) -> int:
        """Groups the Ones by how many logits they have, and gives each its own."""
        start, groups = 0, defaultdict[tuple[int, bool], list[int]](list)
        for i, v in enumerate(self.forest.variables):
            if isinstance(v, One):
                absent = i in self._absent
                n = len(v.options) + absent
                self.rows[i] = slice(start, start + n)
                groups[n, absent].append(i)
                start += n
        self._groups = list(groups)
        offsets, columns = self.forest.offsets, list[int]()
        for k, of in enumerate(groups.values()):
            logits = [list(range(self.rows[i].start, self.rows[i].stop)) for i in of]
            self._keep(f"rows{k}", logits)
            columns += [c for i in of for c in range(offsets[i], offsets[i + 1])]
        self._keep("order", columns)
        self._owners = [i for of in groups.values() for i in of]
        return start

    def _place_sets(self) -> None:
        """Groups the Somes by their form; members on which no One hangs get logits."""
        alike = defaultdict[tuple[int, int, int, bool], list[int]](list)
        own_columns, told_columns, told_rows, ranges = [], [], [], []
        number = {i: k for k, i in enumerate(self._owners)}
        for i, v in enumerate(self.forest.variables):
            if not isinstance(v, Some):
                continue
            told = [[c for c in hanging if c in number] for hanging in self.forest.children[i]]
            alike[len(v.options), v.least, v.most, not all(told)].append(i)
            for j, ones in enumerate(told):
                column = self.forest.offsets[i] + j
                if ones:
                    told_columns.append(column)
                    told_rows.append(number[ones[0]])
                    ranges.append(v.least < v.most)
                else:
                    own_columns.append(column)
        self._keep("own_columns", own_columns)
        self._keep("own_logits", list(range(self.logits, self.logits + len(own_columns))))
        self.logits += len(own_columns)
        self._keep("told_columns", told_columns)
        self._keep("told_rows", told_rows)
        self._keep("told_ranges", ranges, torch.bool)
        self._sets = list(alike)
        for k, of in enumerate(alike.values()):
            offsets = self.forest.offsets
            self._keep(f"sets{k}", admissible(self.forest.variables[of[0]]), torch.float32)  # type: ignore[arg-type]
            self._keep(f"members{k}", [list(range(offsets[i], offsets[i + 1])) for i in of])

    def _place_levels(self) -> None:
        """Of each depth of the forest: its columns, what they exist by, and which of that is
        theirs."""
        f, none = self.forest, self.forest.offsets[-1]
        self._levels = max(f.depths)
        for depth in range(1, self._levels + 1):
            of = [i for i in range(len(f.variables)) if f.depths[i] == depth]
            givens = [self._given(i) for i in of]
            most = max(map(len, givens))
            columns = [c for i in of for c in range(f.offsets[i], f.offsets[i + 1])]
            owners = [k for k, i in enumerate(of) for _ in f.variables[i].options]
            self._keep(f"exists{depth}", [[*g, *[none] * (most - len(g))] for g in givens])
            self._keep(f"level{depth}", columns)
            self._keep(f"owner{depth}", owners)

    def _given(self, i: int) -> list[int]:
        """The columns by which variable i exists."""
        v, p = self.forest.variables[i], self.forest.parents[i]
        assert v.given is not None
        options = self.forest.variables[p].options
        return [self.forest.offsets[p] + options.index(value) for value in v.given[1]]

    # -- odds ------------------------------------------------------------------------------------

    def normalised(self, logits: Tensor) -> Tensor:
        """Returns the logarithms of each row's softmax, ``(..., logits)``."""
        out = logits.clone()
        for k in range(len(self._groups)):
            rows = getattr(self, f"rows{k}")
            of = torch.log_softmax(logits[..., rows], dim=-1)
            out = out.index_copy(-1, rows.flatten(), of.flatten(-2))
        return out

    def has_absence(self, i: int) -> bool:
        """Returns whether the row of a One begins with a logit of its absence."""
        return i in self._absent

    def best(self, logits: Tensor, most: int, *, absent: bool = True) -> list[Tensor]:
        """Returns the places in ``logits (logits,)`` of the ``most`` largest of each row, or of all
        where a row has fewer, the largest first: one ``(rows, most)`` for each length of rows.
        Absences count where ``absent``."""
        found = []
        for k, (n, has) in enumerate(self._groups):
            rows = getattr(self, f"rows{k}")
            if has and not absent:
                rows, n = rows[:, 1:], n - 1
            found.append(rows.gather(-1, logits[rows].topk(min(most, n), dim=-1).indices))
        return found

    def options(self, logits: Tensor, *, absent: bool, hard: bool = False) -> Tensor:
        """Returns the odds of each One's options, ``(..., columns)``; those of members are 1.

        With ``absent``, an absence takes its share of a row, and the rest is less than 1; without,
        they are odds given that the variable exists. ``hard`` gives 1 to the best one.
        """
        values = []
        for k, (_, has) in enumerate(self._groups):
            row = logits[..., getattr(self, f"rows{k}")]
            if has and not absent:
                row = row[..., 1:]
            p = torch.softmax(row, dim=-1)
            if hard:
                p = torch.zeros_like(p).scatter(-1, row.argmax(-1, keepdim=True), 1.0)
            values.append((p[..., 1:] if has and absent else p).flatten(-2))
        out = logits.new_ones(*logits.shape[:-1], self.forest.offsets[-1])
        return out.index_copy(-1, self.order, torch.cat(values, dim=-1)) if values else out

    def strengths(self, logits: Tensor) -> Tensor:
        """Returns how strong each member of a set is, ``(..., columns)``; 0 elsewhere."""
        out = logits.new_zeros(*logits.shape[:-1], self.forest.offsets[-1])
        if len(self.told_columns):
            published, ours = [], []
            for k, (n, has) in enumerate(self._groups):
                row = logits[..., getattr(self, f"rows{k}")]
                published.append(torch.log_softmax(row, dim=-1)[..., int(has) :].amax(-1))
                best = row[..., int(has) :].amax(-1)
                ours.append(best - row[..., 0] - math.log(max(1, n - 1)))
            first, second = (torch.cat(of, dim=-1)[..., self.told_rows] for of in (published, ours))
            told = torch.where(self.told_ranges, second, first)
            out = out.index_copy(-1, self.told_columns, told)
        if len(self.own_columns):
            out = out.index_copy(-1, self.own_columns, logits[..., self.own_logits])
        return out

    def members(self, odds: Tensor, strengths: Tensor, hard: bool, own: bool = False) -> Tensor:
        """Returns ``odds (..., columns)`` with those of the members of sets.

        Args:
            odds: What the other columns have.
            strengths: How strong each member is, ``(..., columns)``.
            hard: Whether the strongest members get 1 and the others 0, or each the odds to be in
                a set.
            own: Whether only the sets whose members have logits of their own are meant.

        Returns:
            The odds ``(..., columns)``.
        """
        for k, (_, least, most, has_own) in enumerate(self._sets):
            if own and not has_own:
                continue
            columns = getattr(self, f"members{k}")
            of = strengths[..., columns]
            p = strongest(of, least, most) if hard else in_a_set(of, getattr(self, f"sets{k}"))
            odds = odds.index_copy(-1, columns.flatten(), p.flatten(-2))
        return odds

    def joint(self, odds: Tensor) -> Tensor:
        """Turns odds given that a variable exists into joint odds, as encodings are."""
        out = odds
        for depth in range(1, self._levels + 1):
            padded = nn.functional.pad(out, (0, 1))
            exists = padded[..., getattr(self, f"exists{depth}")].sum(-1)
            columns = getattr(self, f"level{depth}")
            of = odds[..., columns] * exists[..., getattr(self, f"owner{depth}")]
            out = out.index_copy(-1, columns, of)
        return out
