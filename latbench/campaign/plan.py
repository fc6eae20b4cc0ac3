"""The order in which a campaign measures: a pure function of (space, its sampler, seed, n, retest
share).

``sampled_tasks`` and ``blocks`` say what the plan is. ``Plan`` is the same plan less what a store
already has; it draws samples only where it must, because a million of them take a minute
(2026-11-24): an index whose row is in the store is known, and the rest is drawn block by block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.spaces import AnySpace
from latbench.store import Done
from latbench.store.keys import Numbers, key_of, number_of, numbers
from latbench.timing.noise import MIN_PAIRS

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Task:
    """One timing to be made. ``repeat`` 1 is the retest of a row, at another moment; further ones
    are checks of a sentinel."""

    architecture: str
    repeat: int
    sample_index: int | None
    seed: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Returns what identifies the task's row in a measurement set: architecture and repeat."""
        return self.architecture, self.repeat


def sampled_tasks(space: AnySpace, seed: int, n: int) -> list[Task]:
    """Plans first timings of the first ``n`` different architectures of a seed's stream."""
    return [Task(str(a), 0, i, seed) for i, a in space.unique_samples(seed, n)]


def named_tasks(architectures: Sequence[Any]) -> list[Task]:
    """Plans first timings of architectures or models that somebody chose."""
    return [Task(text, 0, None) for text in dict.fromkeys(str(a) for a in architectures)]


def chosen_tasks(space: AnySpace, seed: int, indices: Sequence[int]) -> list[Task]:
    """Plans first timings of the architectures at some indices of a seed's stream.

    They keep their index, so that they are part of the sample and of its data sets.
    """
    return [Task(str(space.sample(seed, i)), 0, i, seed) for i in indices]


def _mixed(values: Words) -> Words:
    """The finalizer of splitmix64 (Steele, Lea and Flood, 2014): every bit reaches every bit."""
    z: Words = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return z


def _below(hashes: Words, share: float) -> Mask:
    chosen: Mask = hashes.astype(float) < share * 2.0**64 if share < 1 else hashes >= 0
    return chosen


def picked_for_retest(seed: int, n: int, named: Sequence[str], share: float) -> Mask:
    """Picks the sampled positions and the named architectures that are timed twice.

    A hash of the seed and the position decides, or of the name, so that the choice needs no
    sampling. Of a sample only the first half is picked from, twice as often (all of it, for a share
    of more than half), so that every retest has its time half a campaign later; a sample is random,
    and its first half, too. A longer campaign picks these and more. At least five are picked, the
    first ones where the hashes pick fewer, since every campaign must be able to state its noise
    floor.

    Args:
        seed: The seed of the sample.
        n: The number of sampled positions.
        named: The texts of the named architectures.
        share: The share to time twice, 0 to 1.

    Returns:
        A mask ``(n + len(named),)``: the sampled positions, then the named architectures.
    """
    start = _mixed(np.array([seed % 2**64], np.uint64))
    digests = [hashlib.sha256(text.encode()).digest()[:8] for text in named]
    by_name = np.array([int.from_bytes(d, "big") for d in digests], np.uint64)
    by_position = _mixed(start ^ np.arange(n, dtype=np.uint64))
    of_sample = _below(by_position, 2 * share if share <= 0.5 else share)
    if share <= 0.5:
        of_sample[-(-n // 2) :] = False
    picked = np.concatenate([of_sample, _below(by_name, share)])
    if share > 0:
        picked[np.flatnonzero(~picked)[: max(0, MIN_PAIRS - int(picked.sum()))]] = True
    return picked


def block_numbers(again: Mask, size: int) -> tuple[Ints, Ints]:
    """Returns the block of every first timing, by position, and of the retests of the positions
    ``again``.

    Retests come half of the positions after their first timings, those of the second half as long
    before them. In this order all are divided into blocks of equal length, at most about ``size``:
    what is loaded beside a network matters to it. A retest is never in the block of its first
    timing.
    """
    n, picked = len(again), np.flatnonzero(again)
    count = max(-(-(n + len(picked)) // size), 2 if len(picked) else 1)
    early = picked < n / 2
    times = np.concatenate([np.arange(n), picked + np.where(early, n / 2, -n / 2)])
    order = np.argsort(times, kind="stable")
    found = np.empty(len(times), np.int64)
    found[order] = np.arange(len(times)) * count // max(1, len(times))
    own, second = found[picked], found[n:]
    second = np.where(early, np.maximum(second, own + 1), np.minimum(second, own - 1))
    return found[:n], np.where(second < 0, own + 1, second)


def _grouped(
    first: Ints, wanted: Ints, second: Ints, again: Ints
) -> Iterator[list[tuple[int, int]]]:
    """(position, repeat) of first timings and retests, block after block, none of them empty.

    ``first`` are the blocks of the positions ``wanted``, which both ascend, ``second`` those of the
    retests of ``again``.
    """
    in_order = np.argsort(second, kind="stable")
    second, again = second[in_order], again[in_order]
    for block in np.union1d(first, second):
        fresh = wanted[slice(*np.searchsorted(first, [block, block + 1]))]
        carried = again[slice(*np.searchsorted(second, [block, block + 1]))]
        yield [(int(p), 0) for p in fresh] + [(int(p), 1) for p in carried]


def blocks(tasks: Sequence[Task], size: int, retest: float) -> Iterator[list[Task]]:
    """Groups tasks that are loaded together: first timings, and retests of those half a campaign
    before.

    Sampled tasks come first, of one seed.
    """
    named = [t.architecture for t in tasks if t.sample_index is None]
    seed = tasks[0].seed or 0 if tasks else 0
    picked = picked_for_retest(seed, len(tasks) - len(named), named, retest)
    first, second = block_numbers(picked, size)
    for group in _grouped(first, np.arange(len(tasks)), second, np.flatnonzero(picked)):
        yield [replace(tasks[position], repeat=repeat) for position, repeat in group]


class _Ranks:
    """A set of architectures' numbers, most of them given at once."""

    def __init__(self, given: Numbers) -> None:
        self._given, self._added = np.sort(given), set[int]()

    def __contains__(self, rank: int) -> bool:
        at = int(np.searchsorted(self._given, rank))
        return rank in self._added or (at < len(self._given) and int(self._given[at]) == rank)

    def given(self, ranks: Numbers) -> Mask:
        """Says which of some numbers were given at the start; ``numpy.isin`` takes ten times as
        long (2026-11-24)."""
        if not len(self._given):
            return np.zeros(len(ranks), bool)
        at = np.searchsorted(self._given, ranks).clip(max=len(self._given) - 1)
        found: Mask = self._given[at] == ranks
        return found

    def add(self, rank: int) -> None:
        self._added.add(rank)


class _Sample:
    """The different architectures of a stream by position, drawn only where rows do not tell.

    Which ones are different, the space's sampler decides. ``index``, ``rank`` and ``has_row`` are
    columns of the positions up to the last row; ``has_row`` is whether a row told the position, and
    not a drawing.
    """

    def __init__(self, space: AnySpace, seed: int, n: int, done: Done) -> None:
        self.space, self.seed = space, seed
        told = done.index >= 0
        index = done.index[told]
        length = int(index.max()) + 1 if index.size else 0
        by_index = numbers(space.size, np.full(length, -1))
        by_index[index] = done.first[told]
        has_row = by_index >= 0
        self._fill(by_index)
        self.index = np.flatnonzero(by_index >= 0)[:n]
        self.has_row = has_row[self.index]
        self.rank = by_index[self.index]
        self._later: list[tuple[int, int]] = []
        self._seen = _Ranks(space.distinct_ranks(self.rank))
        self._next = len(by_index) if len(self.index) < n else int(self.index[-1]) + 1 if n else 0

    def _fill(self, by_index: Numbers) -> None:
        """Draws what lies between the rows: architectures that failed and were forgotten, the rest
        of a block that was interrupted, or ones that came before."""
        gaps = np.flatnonzero(by_index < 0).tolist()
        if not gaps:
            return
        keys = by_index.copy()
        keys[keys >= 0] = self.space.distinct_ranks(keys[keys >= 0])
        order = np.argsort(keys, kind="stable")
        in_order = keys[order]
        drawn_before = set[int]()
        for i in gaps:
            rank = self._rank(i)
            key = self._key(rank)
            at = int(np.searchsorted(in_order, key))
            row = int(order[at]) if at < len(order) and int(in_order[at]) == key else None
            if key in drawn_before or (row is not None and row < i):
                continue
            drawn_before.add(key)
            by_index[i] = rank
            if row is not None:  # its row was written under a later index
                by_index[row] = -1

    def _rank(self, index: int) -> int:
        return self.space.rank(self.space.sample(self.seed, index))

    def _key(self, rank: int) -> int:
        """Returns what tells its architecture from those drawn before."""
        return int(self.space.distinct_ranks(numbers(self.space.size, [rank]))[0])

    def __len__(self) -> int:
        """How many positions are known."""
        return len(self.rank) + len(self._later)

    def __getitem__(self, position: int) -> tuple[int, int]:
        """The index and the number of the architecture at a known position."""
        if position < len(self.rank):
            return int(self.index[position]), int(self.rank[position])
        return self._later[position - len(self.rank)]

    def draw_to(self, n: int) -> None:
        """Knows the first ``n`` positions afterwards."""
        while len(self) < n:
            rank = self._rank(self._next)
            key = self._key(rank)
            if key not in self._seen:
                self._seen.add(key)
                self._later.append((self._next, rank))
            self._next += 1

    def ranks(self) -> Numbers:
        """The numbers at the known positions."""
        later = numbers(self.space.size, [r for _, r in self._later])
        return np.concatenate([self.rank, later])


class Plan:
    """The blocks that are left to be measured, drawn while they are asked for.

    ``planned`` is the number of rows of the whole plan, ``left`` how many of them are not in
    ``done``; ``left`` may shrink while samples that were not known yet turn out to be there.
    ``named`` are architectures and models; ``indices`` are further ones of the stream, chosen by
    someone and measured in that order.
    Raises UsageError when the space has fewer than ``n`` architectures.
    """

    def __init__(
        self, space: AnySpace, seed: int, n: int, named: Sequence[Any], done: Done, *,
        size: int, retest: float, indices: Sequence[int] = (),
    ) -> None:  # fmt: skip
        if n:
            space.unique_samples(seed, n)  # refuses an impossible n
        self.space, self.n = space, n
        self._sample = _Sample(space, seed, n, done if n else Done.nothing())
        extra = named_tasks(named) + chosen_tasks(space, seed, indices)
        names = {number_of(key_of(space, t.architecture)): t for t in extra}
        if names and n:
            self._sample.draw_to(n)
            there = _Ranks(self._sample.ranks())
            names = {rank: task for rank, task in names.items() if rank not in there}
        self._named, self._named_ranks = list(names.values()), list(names)
        texts = [t.architecture for t in self._named]
        picked = picked_for_retest(seed, n, texts, retest)
        told = np.flatnonzero(self._sample.has_row)
        self._have = [_Ranks(done.first), _Ranks(done.again)]
        self._wanted = self._missing(np.delete(np.arange(len(picked)), told), 0)
        self._again = self._missing(np.flatnonzero(picked), 1)
        first, second = block_numbers(picked, size)
        self._first = first[self._wanted]
        self._second = second[np.searchsorted(np.flatnonzero(picked), self._again)]
        self.planned = len(picked) + int(picked.sum())
        self.left = len(self._wanted) + len(self._again)

    def _missing(self, positions: Ints, repeat: int) -> Ints:
        """The positions whose row is not known to be there."""
        unknown = np.full(self.n - len(self._sample), -1)
        named = numbers(self.space.size, self._named_ranks)
        ranks = np.concatenate([self._sample.ranks(), unknown, named])
        return positions[~self._have[repeat].given(ranks[positions])]

    def __iter__(self) -> Iterator[list[Task]]:
        known = len(self._sample)
        for group in _grouped(self._first, self._wanted, self._second, self._again):
            self._sample.draw_to(min(self.n, max(position for position, _ in group) + 1))
            found = [
                (position, repeat)
                for position, repeat in group
                if not known <= position < self.n
                or self._sample[position][1] not in self._have[repeat]
            ]
            self.left -= len(group) - len(found)
            if found:
                yield [self._task(position, repeat) for position, repeat in found]

    def _task(self, position: int, repeat: int) -> Task:
        if position >= self.n:
            return replace(self._named[position - self.n], repeat=repeat)
        index, rank = self._sample[position]
        return Task(str(self.space.unrank(rank)), repeat, index, self._sample.seed)
