"""The work that a measurement set still lacks, in parts that devices take and may lose.

It knows nothing of Ray.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from latbench.campaign.plan import Task
from latbench.store import Measurement

MAX_ATTEMPTS = 3


@dataclass
class WorkPart:
    """The tasks of a block that have no row yet, by their key, and how devices were lost on it."""

    number: int
    tasks: dict[tuple[str, int], Task]
    losses: list[str] = field(default_factory=list)


class Share:
    """The work of one measurement set. A part is in the queue, with a device, or set aside."""

    def __init__(self, set_id: int, todo: Sequence[Sequence[Task]], occasion: int = 1) -> None:
        self.set_id, self.occasion = set_id, occasion
        self.queue = deque(WorkPart(i, {t.key: t for t in block}) for i, block in enumerate(todo))
        self.aside: list[WorkPart] = []
        self._taken = 0

    @property
    def open(self) -> bool:
        """Returns whether a device could still be needed."""
        return bool(self.queue) or self._taken > 0

    def take(self) -> WorkPart | None:
        """Takes the next part for a free device; None when there is none at the moment."""
        if not self.queue:
            return None
        self._taken += 1
        return self.queue.popleft()

    def finish(self, part: WorkPart) -> None:
        """Notes that a device is through with a part."""
        self._taken -= 1
        assert not part.tasks, "a device ended a block without all of its rows"

    def lose(self, part: WorkPart, reason: str) -> Measurement | None:
        """Notes that a device was lost with a part: what is left of it goes to the front of the
        queue.

        After three losses it is set aside, since nothing says which task is guilty; if only one
        is left, that one is, and its failed row is returned.
        """
        self._taken -= 1
        if not part.tasks:
            return None
        part.losses.append(reason)
        if len(part.losses) < MAX_ATTEMPTS:
            self.queue.appendleft(part)
        elif len(part.tasks) == 1:
            (task,) = part.tasks.values()
            error = f"{len(part.losses)} devices were lost on it: {'; '.join(part.losses)}"
            return Measurement(
                task.architecture, task.repeat, task.sample_index, "failed", error=error,
                seed=task.seed,
            )  # fmt: skip
        else:
            self.aside.append(part)
        return None
