"""HURRICANE's search in stages (Zhang et al., 2019, https://arxiv.org/abs/1910.11609).

The layers of a network are searched group by group, the later ones first: while one group is
searched, the layers of those that were are fixed at what was found, and the layers of those that
will be at one operator each. A supernet so trained shares its weights among fewer networks, and
needs fewer images. Each group is searched as ``single-path`` searches all, by uniform paths and
evolution.

What the paper fixes the earlier layers at, and where it divides a network, was not available to us.
Ours: a layer that will be searched is fixed at its operator of the median cost (beside the cheapest
ones the first group could spend all of a limit), or all are at the cheapest, where no network of
the first group keeps the limit beside the median ones; the groups are the stages of about the last
two thirds of the layers and those of the first third, and each has a share of the epochs in
proportion to its layers, or those in which its training settles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from latbench.errors import UsageError
from latbench.search.methods.one_shot_evolution import SinglePath
from latbench.spaces.variables import Some
from latbench.text import JOINED, listing

if TYPE_CHECKING:
    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.search.config import SearchConfig
    from latbench.spaces import AnySpace

NEXT = "|"  # between groups


@dataclass(frozen=True)
class Hurricane(SinglePath):
    """A search by single paths and evolution that takes one group of layers after another.

    ``groups`` are beginnings of the names of variables, in the order in which they are searched:
    ``"4+3|2+1"`` for stages 4 and 3 of a space of chains and then 2 and 1; empty for the stages of
    about the last two thirds of the variables and then those of the first third; stage 2 is what
    ``"2.3"`` begins with. With one group it is ``single-path``, whose
    other settings it has; ``budget`` is of every group.
    """

    name: ClassVar[str] = "hurricane"
    # Those of Single Path One-Shot, which the paper's search of a group is; that they are its own
    # is ours.
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = SinglePath.presets
    groups: str = ""

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a space whose layers are not all there, or choose sets, for groups
        that do not cover its variables, each once, for fewer epochs than groups, and for a
        population that is too large."""
        super().check(space, config)
        for v in space.forest.variables:
            if v.given is not None or isinstance(v, Some):
                why = "chooses a set" if isinstance(v, Some) else "is not in every network"
                raise UsageError(
                    f"hurricane fixes variables at one option, and {v.name!r} of the space "
                    f"{space.name!r} {why}; take single-path, or a space of one operator a layer"
                )
        groups = self.groups_of(space)
        if config.epochs < len(groups):
            raise UsageError(
                f"hurricane searches {len(groups)} groups of layers and needs an epoch for each, "
                f"got epochs = {config.epochs}"
            )

    def groups_of(self, space: AnySpace) -> list[list[int]]:
        """Returns the numbers of the variables of each group, in the order of the search.

        Raises UsageError for groups that do not cover the variables, each once.
        """
        variables = space.forest.variables
        if not self.groups:
            first = _first_third([v.name for v in variables])
            parts = [list(range(first, len(variables))), list(range(first))]
            return [part for part in parts if part]
        groups, left = list[list[int]](), dict(enumerate(v.name for v in variables))
        for text in self.groups.split(NEXT):
            named = [part.strip() for part in text.split(JOINED)]
            taken = [i for i, name in left.items() if any(_begins(name, part) for part in named)]
            for part in named:
                if not any(_begins(left[i], part) for i in taken):
                    raise UsageError(
                        f"{part!r} in the groups {self.groups!r} is no variable of the space "
                        f"{space.name!r} that is in no group yet; left are "
                        f"{listing(list(left.values()) or ['none'])}"
                    )
            groups.append(taken)
            for i in taken:
                del left[i]
        if left:
            raise UsageError(
                f"the groups {self.groups!r} lack {listing(list(left.values()))} of the space "
                f"{space.name!r}; name every variable in one of them"
            )
        return groups

    def begins(self, space: AnySpace, epochs: int, accuracies: Sequence[float] = ()) -> list[int]:
        """Returns the epoch, from 0, with which each group's search begins.

        With ``settled`` that is as soon as the training of the one before has settled, or, with
        the ``accuracies`` of the epochs so far, as late as it can be.
        """
        groups = self.groups_of(space)
        if self.settled:
            starts = [0]
            for k in range(1, len(groups)):
                n = self.settles_with(accuracies[starts[-1] :])
                latest = epochs - (len(groups) - k)
                starts.append(latest if n is None else min(starts[-1] + n, latest))
            return starts
        total, found, done = sum(map(len, groups)), list[int](), 0
        for k, group in enumerate(groups):
            least = found[-1] + 1 if found else 0
            most = epochs - (len(groups) - k)
            found.append(min(max(round(epochs * done / total), least), most))
            done += len(group)
        return found

    def ends(self, space: AnySpace, epochs: int, accuracies: Sequence[float]) -> bool:
        """Returns whether the training of the last group settled, or had all its epochs."""
        last = self.begins(space, epochs, accuracies)[-1]
        return len(accuracies) >= epochs or self.settles_with(accuracies[last:]) is not None

    def fixed_from(
        self, trained: TrainedSupernet, epochs: int, accuracies: Sequence[float]
    ) -> Sequence[int] | None:
        """Returns the options at which variables are fixed from now on, -1 for those that are
        searched, where a group begins; None elsewhere."""
        begins = self.begins(trained.space, epochs, accuracies)
        groups = self.groups_of(trained.space)
        if len(accuracies) not in begins:
            return None
        stage = begins.index(len(accuracies))
        later = [i for group in groups[stage + 1 :] for i in group]
        if stage == 0:
            at = trained.until_searched(later)
        else:
            at = {i: k for i, k in enumerate(self.choose(trained).code) if i not in later}
            at |= {i: trained.fixed[i] for i in later}
        fixed = [at.get(i, -1) for i in range(len(trained.space.forest.variables))]
        for i in groups[stage]:
            fixed[i] = -1
        return fixed


def _first_third(names: Sequence[str]) -> int:
    """How many variables are the first third of the whole stages of a space; of its variables
    where it has one stage. ``"2.3"`` is of stage 2."""
    stages = [name.partition(".")[0] for name in names]
    ends = [i for i in range(1, len(names)) if stages[i] != stages[i - 1]]
    return min(ends, key=lambda end: abs(3 * end - len(names))) if ends else len(names) // 3


def _begins(name: str, beginning: str) -> bool:
    """Whether a variable's name is this, or begins with it and a dot."""
    return name == beginning or name.startswith(f"{beginning}.")
