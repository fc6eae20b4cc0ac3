"""One run of a campaign fills a set: what it measures besides the plan, and in which order.

Before the plan, where the set has rows of an earlier occasion, and after it, its *sentinels* are
timed: the architectures by which the set is checked (``latbench.store.repeats``). Rows of a block
in which the machine was another one are measured once more at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from latbench.campaign.loading_ahead import measure_blocks
from latbench.campaign.measurer import BlockMeasurer
from latbench.campaign.plan import Plan, Task
from latbench.store import Measurement, Store
from latbench.store.occasions import disturbed_rows, next_occasion, sentinels
from latbench.timing.noise import MOST_DISTURBED

# Rows from which on a campaign is long enough to be checked at its end: two blocks, by default.
CHECKED_FROM = 192


@dataclass(frozen=True)
class Progress:
    """The state of a campaign: rows done of all, failures, and the last row's architecture.

    While it is ``waiting`` for another campaign to leave the device, ``total`` is 0, because it is
    not known yet.
    """

    done: int
    total: int
    failed: int
    architecture: str = ""
    waiting: bool = False

    @property
    def note(self) -> str:
        """Returns what there is to say besides the numbers, in words; often nothing."""
        if self.waiting:
            return "waiting for another campaign on this device"
        if self.failed:
            return f"{self.failed} failed"
        return "loading the first networks" if self.done == 0 < self.total else ""


class Filling:
    """A run that fills a set of a store row after row, and counts: ``done`` rows, ``failed`` ones
    of these, ``further`` ones, which are not of the plan; and those that were measured once
    ``again``."""

    def __init__(
        self, store: Store, set_id: int, measurers: Sequence[BlockMeasurer],
        report: Callable[[Progress], None], block: int, models: Container[str] = (),
    ) -> None:  # fmt: skip
        self._models = models
        self._store, self._set_id, self._report, self._block = store, set_id, report, block
        self._measurers = measurers
        self._occasion = next_occasion(store, set_id)
        self._plan: Plan | None = None
        self.done = self.failed = self.further = self.again = 0
        self._blocks = 0  # that were measured

    def fill(self, plan: Plan) -> None:
        """Measures what is left of a plan, and the checks around it."""
        self._plan = plan
        if self._occasion > 1 and plan.left:
            checks = self._checks()
            if len(checks) <= plan.left:  # a few named networks need no larger check
                self.measure(checks)
        for row in self._run(plan):
            self._count(row)
        if self.done >= CHECKED_FROM:
            self.measure(self._checks())
        self.finish()

    def measure(self, tasks: Sequence[Task]) -> None:
        """Measures tasks that no plan has."""
        self.further += len(tasks)
        for row in self._run(self._in_blocks(tasks)):
            self._count(row)

    def _in_blocks(self, tasks: Sequence[Task]) -> list[Sequence[Task]]:
        return [tasks[i : i + self._block] for i in range(0, len(tasks), self._block)]

    def _checks(self) -> list[Task]:
        found = sentinels(self._store, self._set_id, models=self._models)
        return [Task(architecture, repeat, None) for architecture, repeat in found]

    def _run(self, blocks: Iterable[Sequence[Task]], faster: bool = False) -> Iterator[Measurement]:
        """Measures blocks and yields each row when it is committed; with ``faster``, the faster of
        a row and the one that is there stays."""
        self._tell()
        for row in measure_blocks(self._measurers, blocks, self._blocks):
            self._blocks = max(self._blocks, 1 + (row.block or 0))
            self._store.put(self._set_id, replace(row, occasion=self._occasion), faster=faster)
            yield row

    def _count(self, row: Measurement) -> None:
        self.done += 1
        self.failed += row.status == "failed"
        self._tell(row.architecture)

    def _tell(self, architecture: str = "") -> None:
        total = self.further + (self._plan.left if self._plan is not None else 0)
        self._report(Progress(self.done, total, self.failed, architecture))

    def finish(self) -> None:
        """Measures disturbed rows once more, unless there are so many that no rest is quiet."""
        rows = disturbed_rows(self._store, self._set_id, self._occasion)
        if 0 < len(rows) <= max(MOST_DISTURBED * self.done, 1):
            for row in self._run(self._in_blocks([Task(*key) for key in rows]), faster=True):
                self.again += 1
                total = self.done + len(rows)
                self._report(Progress(self.done + self.again, total, self.failed, row.architecture))
