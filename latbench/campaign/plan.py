"""What a campaign measures, in which order: a pure function of (space, seed, n, retest share)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latbench.spaces import AnySpace


@dataclass(frozen=True)
class Task:
    """One timing to be made. ``repeat`` 1 is the retest of a row, at another moment."""

    architecture: str
    repeat: int
    sample_index: int | None

    @property
    def key(self) -> tuple[str, int]:
        """What identifies its row in a measurement set."""
        return self.architecture, self.repeat


def is_retested(architecture: str, share: float) -> bool:
    """Whether an architecture belongs to the retested share; a hash decides, so that the choice
    does not depend on the sample around it."""
    digest = hashlib.sha256(architecture.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def sampled_tasks(space: AnySpace, seed: int, n: int) -> list[Task]:
    """First timings of the first ``n`` different architectures of a seed's stream."""
    return [Task(str(a), 0, i) for i, a in space.unique_samples(seed, n)]


def named_tasks(architectures: Sequence[Any]) -> list[Task]:
    """First timings of architectures that somebody chose."""
    return [Task(text, 0, None) for text in dict.fromkeys(str(a) for a in architectures)]


def blocks(tasks: Sequence[Task], size: int, retest: float) -> Iterator[list[Task]]:
    """Groups of tasks that are loaded together.

    The retests of a block come with the next one, in new sessions at another moment; the last
    block's come in a block of their own. A sample too small for its share to pick anything is
    retested whole, since every campaign must be able to state its noise floor.
    """
    picked = {t.architecture for t in tasks if is_retested(t.architecture, retest)}
    if retest > 0 and len(picked) < min(5, len(tasks)):
        picked = {t.architecture for t in tasks[:5]} | picked
    carried: list[Task] = []
    for start in range(0, len(tasks), size):
        fresh = list(tasks[start : start + size])
        yield fresh + carried
        carried = [
            Task(t.architecture, 1, t.sample_index) for t in fresh if t.architecture in picked
        ]
    if carried:
        yield carried
