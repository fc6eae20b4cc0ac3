"""The measurer of blocks of tasks in a worker subprocess. It knows no store: rows are handed
out."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from latbench.campaign.canaries import UNIT, turn
from latbench.campaign.client import RequestFailed, WorkerClient, WorkerDied, start_worker
from latbench.campaign.plan import Task
from latbench.campaign.spec import CampaignOptions, MeasurerSpec
from latbench.device import moment
from latbench.errors import BackendError
from latbench.store import Costs, Measurement, MeasurementSet
from latbench.timing.protocol import Visit, estimate, should_stop

RENEWED_AFTER = 24  # networks that a worker has loaded
_GUARD = -1  # the id of a session that is not timed


@dataclass
class _Job:
    """A task of the current block and what it has so far."""

    id: int
    task: Task
    visits: list[Visit] = field(default_factory=list)
    then_canary: bool = False  # whether its next visit is followed by one of a canary
    holder: WorkerClient | None = None
    costs: Costs = field(default_factory=Costs)
    fallbacks: str | None = None
    steps_ns: list[int] = field(default_factory=list)  # the fastest of each step
    throttled: set[str] = field(default_factory=set)
    row: Measurement | None = None


@dataclass
class _Moment:
    """The time in which a block is visited: the canaries' fastest runs (seconds) so far."""

    start: moment.Moment
    worker_s: float
    turns: int = 0
    canaries: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A block of which as much is loaded as fits: its networks, those that must wait, and the rows
    of those that could not be loaded."""

    jobs: list[_Job]
    waiting: list[_Job]
    rows: list[Measurement]


class BlockMeasurer:
    """A worker subprocess and what it takes to go on when it dies.

    Raises BackendError when the backend cannot even run the canary. ``close`` ends the worker.
    """

    def __init__(self, spec: MeasurerSpec, options: CampaignOptions) -> None:
        self._spec, self._options, self._closed = spec, options, False
        self._worker, reply = self._start(check=True)
        self._host: str = reply["host"]
        self._simulated: bool = reply["simulated"]
        self._free_share, self._number, self._loads = 1.0, 0, 0
        self._compared: set[str] = set()  # architectures whose output was torch's
        # Each worker counts for itself: nanoseconds inside inference calls, and inferences.
        self._inferences: dict[WorkerClient, tuple[int, int]] = {}
        self.set = MeasurementSet(
            backend=spec.backend,
            options=spec.options,
            version=reply["version"],
            device=reply["device"],
            protocol=spec.protocol,
            canary=spec.canary,
            machine=reply["machine"],
        )

    def _start(self, check: bool) -> tuple[WorkerClient, dict[str, Any]]:
        return start_worker(
            self._options.start_timeout_s, **self._spec.request(check, self._options)
        )

    @property
    def inference_s(self) -> float:
        """Returns the seconds inside inference calls so far, warm-up and canary included."""
        return sum(ns for ns, _ in self._inferences.values()) * 1e-9

    @property
    def inferences(self) -> int:
        """Returns the number of inferences that were run."""
        return sum(n for _, n in self._inferences.values())

    def close(self) -> None:
        """Ends the worker and waits for it, also while another thread sends it a request."""
        self._closed = True
        self._worker.close()

    def prepare(self, block: Sequence[Task], seed: int) -> Prepared:
        """Loads the block's networks. Raises as ``measure`` does."""
        self._renew()
        jobs = _in_random_order(block, seed)
        loaded: list[_Job] = []
        rows = list(self._round(self._fitting(jobs, loaded), self._load))
        return Prepared(loaded, jobs[len(loaded) :], rows)

    def measure(
        self, block: Sequence[Task], seed: int, prepared: Prepared | None = None
    ) -> Iterator[Measurement]:
        """Visits the block's networks in rounds of random order; yields each row as it is finished.

        They are loaded first, unless this measurer has ``prepared`` the block. ``seed`` is the
        block's number in its campaign. What an architecture does to the runtime becomes its row.
        Raises BackendError when a dead worker cannot be replaced.
        """
        if prepared is None:
            self._renew()
        rng = random.Random(seed)
        self._number = seed
        waiting = _in_random_order(block, seed)
        if prepared is not None:
            waiting = prepared.waiting
            yield from prepared.rows
            yield from self._visits(prepared.jobs, rng)
        while waiting:
            loaded: list[_Job] = []
            yield from self._round(self._fitting(waiting, loaded), self._load)
            waiting = waiting[len(loaded) :]
            yield from self._visits(loaded, rng)

    def _fitting(self, waiting: Sequence[_Job], taken: list[_Job]) -> Iterator[_Job]:
        """Takes one job after another while memory allows to load them, at least one."""
        for job in waiting:
            taken.append(job)
            yield job
            if self._free_share < self._options.min_free_memory:
                return

    def _visits(self, jobs: Sequence[_Job], rng: random.Random) -> Iterator[Measurement]:
        self._moment = _Moment(moment.now(), self._worker.cpu_s)
        every = self._spec.protocol.canary_every
        guard, guarded = False, None
        while pending := [job for job in jobs if job.row is None]:
            if self._worker is not guarded:  # at first, and when a worker died meanwhile
                yield from self._round(pending, self._load)
                guard = self._guard()
                guarded = self._worker
                continue
            rng.shuffle(pending)
            for place, job in enumerate(pending, 1):
                job.then_canary = place % every == 0 or place == len(pending)
            yield from self._round(pending, self._visit)
        if guard:
            self._close(_Job(_GUARD, jobs[0].task, holder=guarded))

    def _guard(self) -> bool:
        """Loads one more session, which is not timed, so that no timed one is the last.

        In ONNX Runtime 1.32 the session that was created last runs 1 to 2.5 % faster than equal
        ones, until there is another one, and again when that is closed (seen with 8 to 24 sessions
        of one network). Returns whether there is one now.
        """
        try:
            self._worker.ask("guard", self._options.load_timeout_s, id=_GUARD)
        except RequestFailed:
            return False
        except WorkerDied:
            self._replace_worker()
            return False
        return True

    def _round(
        self, jobs: Iterable[_Job], step: Callable[[_Job], Measurement | None]
    ) -> Iterator[Measurement]:
        """Runs one step of every job; a failure is the job's row."""
        for job in jobs:
            died = False
            try:
                job.row = step(job)
            except (RequestFailed, WorkerDied) as error:
                job.row = self._row(job, "failed", error=str(error))
                died = isinstance(error, WorkerDied)
            if job.row is None:
                continue
            yield job.row  # before anything else can fail
            if died:
                self._replace_worker()
            else:
                self._close(job)

    def _load(self, job: _Job) -> None:
        """Loads the job's network unless the worker in use holds it already."""
        if job.holder is not self._worker:
            text = job.task.architecture
            check = self._options.parity and text not in self._compared
            reply = self._worker.ask(
                "load", self._options.load_timeout_s, id=job.id, architecture=text, check=check
            )
            if check:
                self._compared.add(text)
            self._loads += 1
            job.holder, job.costs = self._worker, Costs(**reply["costs"])
            job.fallbacks = "; ".join(reply["fallbacks"]) or None
            self._free_share = reply["free_share"]

    def _visit(self, job: _Job) -> Measurement | None:
        """One visit, of a canary too where it is one's turn; the row when the visits are enough."""
        self._load(job)  # the worker that held it may have died in another job's hands
        now = self._moment
        canary = turn(now.turns) if job.then_canary else None
        reply = self._worker.ask("visit", self._options.visit_timeout_s, id=job.id, canary=canary)
        self._inferences[self._worker] = reply["inference_ns"], reply["inferences"]
        job.throttled.update(reply["throttled"])
        job.visits.append(_as_visit(reply))
        fastest = reply["steps_ns"]
        job.steps_ns = list(map(min, job.steps_ns or fastest, fastest))
        if canary is not None:
            now.turns += 1
            if reply["canary_ns"]:
                canary_s = min(reply["canary_ns"]) * 1e-9
                now.canaries[canary] = min(now.canaries.get(canary, math.inf), canary_s)
        stop = should_stop(job.visits, self._spec.protocol)
        if stop is None or UNIT not in now.canaries:
            return None
        visits = tuple(job.visits)
        found = estimate(visits, now.canaries[UNIT])
        return self._row(
            job, "ok", costs=job.costs, estimate=found, stop=stop, visits=visits,
            fallbacks=job.fallbacks,
            steps=tuple(_rounded(ns * 1e-9) for ns in job.steps_ns) or None,
            canaries={name: _rounded(s) for name, s in sorted(now.canaries.items())},
            machine=moment.since(now.start, self._worker.cpu_s - now.worker_s),
        )  # fmt: skip

    def _close(self, job: _Job) -> None:
        if job.holder is not self._worker:
            return
        try:
            self._worker.ask("close", self._options.visit_timeout_s, id=job.id)
        except (RequestFailed, WorkerDied):
            self._replace_worker()
        job.holder = None

    def _row(self, job: _Job, status: Literal["ok", "failed"], **result: Any) -> Measurement:
        task = job.task
        return Measurement(
            task.architecture, task.repeat, task.sample_index, status, seed=task.seed,
            block=self._number, host=self._host, throttled="; ".join(sorted(job.throttled)) or None,
            **result,
        )  # fmt: skip

    def _renew(self) -> None:
        """Sees to it that a block finds a worker which has not loaded a block before.

        What a process has loaded and freed changes where its allocator puts things: in torch 2.13
        the networks of a second block of 77 were 4 % slower than those of the first, and a canary
        of a hundred small layers 14 % (glibc 2.36, 2026-11-29). A few networks are not worth it.
        """
        if self._loads >= RENEWED_AFTER and not self._simulated:
            self._replace_worker()

    def _replace_worker(self) -> None:
        self._worker.close()
        if self._closed:
            raise BackendError("the campaign was stopped")
        self._worker, _ = self._start(check=False)
        self._loads = 0


def _rounded(seconds: float) -> float:
    """As many digits as are kept in text."""
    return float(f"{seconds:.7g}")


def _in_random_order(block: Sequence[Task], seed: int) -> list[_Job]:
    """The order in which a block is loaded.

    On ONNX Runtime the networks that were loaded first ran about 1 % slower than those loaded last
    (2026-11-26). In the plan's order those would always be the retests.
    """
    # Not the stream of the visits: the order of their first round would go with this one.
    tasks = random.Random(f"load {seed}").sample(block, len(block))
    return [_Job(i, task) for i, task in enumerate(tasks)]


def _as_visit(reply: dict[str, Any]) -> Visit:
    """Rounded to what a store keeps, so that the raw timings give the row's figures again."""
    network = tuple((np.array(reply["network_ns"]) * 1e-9).astype(np.float32).tolist())
    return Visit(network, waited_s=float(np.float32(reply["waited_ns"] * 1e-9)))
