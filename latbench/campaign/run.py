"""The campaign: many architectures, one backend, one protocol, into a store."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from latbench.backends import backend_spec, require
from latbench.backends.base import Backend
from latbench.campaign.client import RequestFailed, WorkerClient, WorkerDied, start_worker
from latbench.campaign.plan import Plan, Task
from latbench.errors import StoreError
from latbench.protocol import Protocol, Visit, estimate, should_stop
from latbench.store import Measurement, MeasurementSet, Store


@dataclass(frozen=True)
class CampaignOptions:
    """How a campaign is run; changes nothing about what a row means.

    ``retest`` is the share of rows that is timed twice for the noise floor; ``block`` how many
    networks are kept loaded together; the timeouts (seconds) are those of starting a
    worker, of loading a network and of one visit.
    """

    retest: float = 0.1
    block: int = 24
    start_timeout_s: float = 300.0
    load_timeout_s: float = 120.0
    visit_timeout_s: float = 120.0


@dataclass(frozen=True)
class Progress:
    """How far a campaign is: rows done of all, failures, and rows left to the end."""

    done: int
    total: int
    failed: int
    architecture: str = ""


@dataclass(frozen=True)
class CampaignOutcome:
    """What a finished campaign added to its set."""

    set_id: int
    measured: int
    failed: int
    already_there: int
    seconds: float


@dataclass
class _Job:
    """A task of the current block and what it has so far."""

    id: int
    task: Task
    visits: list[Visit] = field(default_factory=list)
    holder: WorkerClient | None = None


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Holds ``path`` for one campaign; two at once would disturb each other's timings."""
    import fcntl

    lock = path.with_name(path.name + ".lock")
    try:
        handle = lock.open("w")
    except OSError as error:
        raise StoreError(f"cannot write beside the store {path}: {error}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another campaign is writing to {path}; wait for it or use another store"
            ) from None
        yield
        lock.unlink(missing_ok=True)


class _Campaign:
    """The state of one run: the worker in use and the rows written so far."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        protocol: Protocol,
        options: CampaignOptions,
        report: Callable[[Progress], None],
    ) -> None:
        self.store, self.protocol, self.options, self.report = store, protocol, options, report
        name, backend_options = backend_spec(backend)
        canary = str(store.space.reference())
        self._request = {
            "space": store.space.identity(),
            "backend": name,
            "options": backend_options,
            "protocol": asdict(protocol),
            "canary": canary,
        }
        self.worker, reply = self._start(check=True)
        self.set_id = store.add_set(
            MeasurementSet(
                backend=name,
                options=backend_options,
                version=reply["version"],
                device=reply["device"],
                protocol=protocol,
                canary=canary,
                machine=reply["machine"],
            )
        )
        self.done = self.total = self.failed = 0

    def _start(self, check: bool) -> tuple[WorkerClient, dict[str, Any]]:
        return start_worker(self.options.start_timeout_s, check=check, **self._request)

    def run(self, plan: Plan) -> None:
        self.total = plan.left
        self.report(Progress(0, self.total, 0))
        for number, block in enumerate(plan):
            self.total = plan.left
            jobs = [_Job(i, task) for i, task in enumerate(block)]
            self._measure(jobs, random.Random(number))

    def _measure(self, jobs: list[_Job], rng: random.Random) -> None:
        """Visits the block's networks in rounds of random order until each has enough."""
        pending = [job for job in jobs if self._attempt(job, self._load)]
        while pending:
            rng.shuffle(pending)
            pending = [job for job in pending if self._attempt(job, self._visit)]

    def _attempt(self, job: _Job, step: Callable[[_Job], bool]) -> bool:
        """Runs one step of a job; returns whether the job goes on. A failure is the job's row."""
        try:
            return step(job)
        except (RequestFailed, WorkerDied) as error:
            self._write(job.task, "failed", error=str(error))
            if isinstance(error, WorkerDied):
                self._replace_worker()
            else:
                self._close(job)
            return False

    def _load(self, job: _Job) -> bool:
        """Loads the job's network unless the worker in use holds it already."""
        if job.holder is not self.worker:
            self.worker.ask(
                "load",
                self.options.load_timeout_s,
                id=job.id,
                architecture=job.task.architecture,
                check=job.task.repeat > 0,
            )
            job.holder = self.worker
        return True

    def _visit(self, job: _Job) -> bool:
        """One visit; writes the row when the visits are enough."""
        self._load(job)  # the worker that held it may have died in another job's hands
        reply = self.worker.ask("visit", self.options.visit_timeout_s, id=job.id)
        job.visits.append(Visit(tuple(reply["network_ns"]), tuple(reply["canary_ns"])))
        stop = should_stop(job.visits, self.protocol)
        if stop is None:
            return True
        self._write(
            job.task, "ok",
            estimate=estimate(job.visits), stop=stop, visits=tuple(job.visits),
        )  # fmt: skip
        self._close(job)
        return False

    def _close(self, job: _Job) -> None:
        if job.holder is not self.worker:
            return
        try:
            self.worker.ask("close", self.options.visit_timeout_s, id=job.id)
        except (RequestFailed, WorkerDied):
            self._replace_worker()
        job.holder = None

    def _replace_worker(self) -> None:
        self.worker.close()
        self.worker, _ = self._start(check=False)

    def _write(self, task: Task, status: Literal["ok", "failed"], **result: Any) -> None:
        row = Measurement(
            task.architecture, task.repeat, task.sample_index, status, seed=task.seed, **result
        )
        self.store.add(self.set_id, row)
        self.done += 1
        self.failed += status == "failed"
        self.report(Progress(self.done, self.total, self.failed, task.architecture))


def run_campaign(
    store: Store,
    backend: Backend,
    *,
    n: int | None = None,
    seed: int = 0,
    architectures: Sequence[Any] = (),
    protocol: Protocol | None = None,
    options: CampaignOptions | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    retry_failed: bool = False,
) -> CampaignOutcome:
    """Measures the first ``n`` architectures of ``seed``'s sample and the named ``architectures``.

    Rows that the store has already are left alone, so calling it again goes on where it was
    stopped; with ``retry_failed``, rows that failed count as missing. What a single architecture
    does to the runtime becomes its row. KeyboardInterrupt leaves every finished row in the store.

    Raises BackendUnavailable or BackendError when the backend cannot run at all, and StoreError
    when the store cannot be written.
    """
    require(backend)
    protocol, options = protocol or Protocol(), options or CampaignOptions()
    start = time.monotonic()
    with _exclusive(store.path):
        campaign = _Campaign(store, backend, protocol, options, report)
        try:
            if retry_failed:
                store.forget_failed(campaign.set_id)
            plan = Plan(
                store.space, seed, n or 0, architectures, store.done(campaign.set_id, seed),
                size=options.block, retest=options.retest,
            )  # fmt: skip
            campaign.run(plan)
        finally:
            campaign.worker.close()
    return CampaignOutcome(
        set_id=campaign.set_id,
        measured=campaign.done - campaign.failed,
        failed=campaign.failed,
        already_there=plan.planned - campaign.done,
        seconds=time.monotonic() - start,
    )
