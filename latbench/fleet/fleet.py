"""The driver of a fleet: it owns the plan and the store, the devices only measure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import latbench.fleet.cluster as cluster
from latbench._version import __version__
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, Progress
from latbench.campaign.campaign import checkpointed, exclusive
from latbench.campaign.plan import Plan
from latbench.campaign.spec import MeasurerSpec
from latbench.errors import BackendError, UsageError, quoted
from latbench.fleet.cluster import ClusterNode, DeviceLost
from latbench.fleet.work import MAX_ATTEMPTS, Share, WorkPart
from latbench.models import Model
from latbench.store import Measurement, MeasurementSet, Store
from latbench.store.occasions import next_occasion
from latbench.timing.protocol import Protocol

# How often the cluster is asked for new nodes while nothing else happens.
LOOK_S = 2.0
# Scheduling an actor and starting its Python process, on top of the worker's own start.
ACTOR_START_S = 60.0


@dataclass(frozen=True)
class FleetOutcome:
    """The counts of a finished fleet: its sets, and the rows that each host measured."""

    set_ids: tuple[int, ...]
    measured: int
    failed: int
    already_there: int
    rows_by_host: dict[str, int]
    seconds: float


@dataclass(eq=False)
class _Member:
    """A device in use: ``waiting`` is its start's reference or its block's stream."""

    node: ClusterNode
    actor: Any
    waiting: Any
    since: float = field(default_factory=time.monotonic)
    share: Share | None = None
    part: WorkPart | None = None


class _Fleet:
    """The state of one run."""

    def __init__(
        self,
        store: Store,
        plan: Callable[[int], Plan],
        spec: MeasurerSpec,
        options: CampaignOptions,
        retry_failed: bool,
        report: Callable[[Progress], None],
        notice: Callable[[str], None],
    ) -> None:
        self.store, self.plan, self.spec, self.options = store, plan, spec, options
        self.retry_failed, self.report, self.notice = retry_failed, report, notice
        self.shares: dict[str, Share] = {}
        self.members: list[_Member] = []
        self.seen: set[str] = set()  # nodes of which a device has started once
        self.strikes: Counter[str] = Counter()  # losses of a node since its last row
        self.given_up: dict[str, str] = {}
        self.rows_by_host: Counter[str] = Counter()
        self.done = self.total = self.failed = self.planned = 0
        self._next_look = 0.0

    def run(self) -> None:
        """Goes on until no device has anything to do."""
        while True:
            self._enlist()
            self._hand_out()
            if not any(self._counts(member) for member in self.members):
                return
            busy = {m.waiting: m for m in self.members if m.waiting is not None}
            for waiting in cluster.ready(list(busy), LOOK_S):
                self._receive(busy[waiting])
            self._expire()

    def _needed(self) -> bool:
        return not self.shares or any(share.open for share in self.shares.values())

    def _counts(self, member: _Member) -> bool:
        """Returns whether a member is worth waiting for: it measures, or starts and may bring
        work."""
        if member.waiting is None:
            return False
        return member.part is not None or member.node.id not in self.seen or self._needed()

    def _enlist(self) -> None:
        """Starts an actor on every device that has none: at first all, later new or lost ones."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        held = Counter(m.node.id for m in self.members)
        for node in cluster.nodes():
            wanted = node.id not in self.given_up and (node.id not in self.seen or self._needed())
            for _ in range(node.devices - held[node.id] if wanted else 0):
                actor = cluster.launch(node)
                waiting = actor.start.remote(self.spec, self.options)
                self.members.append(_Member(node, actor, waiting))

    def _hand_out(self) -> None:
        """Gives every free device a block of its set, if there is one."""
        for member in self.members:
            if member.waiting is None and member.share is not None:
                member.part = member.share.take()
                if member.part is not None:
                    tasks = list(member.part.tasks.values())
                    member.waiting = member.actor.measure.remote(tasks, member.part.number)

    def _receive(self, member: _Member) -> None:
        """Takes what a device has to say: that it is ready, a row, the end of a block, its end."""
        try:
            if member.share is None or member.part is None:
                self._welcome(member, cluster.fetch(member.waiting))
                return
            row = cluster.fetch_next(member.waiting)
        except DeviceLost as error:
            self._lose(member, str(error), error.final and member.share is None)
            return
        if row is not None:
            del member.part.tasks[row.architecture, row.repeat]
            self._write(member, member.share, row)
            self.strikes[member.node.id] = 0
        else:
            member.share.finish(member.part)
            member.part = member.waiting = None

    def _welcome(self, member: _Member, found: MeasurementSet) -> None:
        """Finds the share of a device that has started; the first of its model makes it."""
        version = found.machine["versions"]["latbench"]
        if version != __version__:
            raise DeviceLost(f"it has latbench {version}, the driver {__version__}", final=True)
        if found.key not in self.shares:
            set_id = self.store.add_set(found)
            if self.retry_failed:
                self.store.forget_failed(set_id)
            plan = self.plan(set_id)
            todo = list(plan)
            self.shares[found.key] = Share(set_id, todo, next_occasion(self.store, set_id))
            self.planned += plan.planned
            self.total += sum(map(len, todo))
            self.report(Progress(self.done, self.total, self.failed))
        member.share, member.waiting = self.shares[found.key], None
        self.seen.add(member.node.id)

    def _lose(self, member: _Member, reason: str, final: bool) -> None:
        """Gives a device up; what it had not finished goes back to the others."""
        node = member.node
        self.members.remove(member)
        cluster.kill(member.actor)
        self.notice(f"lost a device of {node.host}: {reason}")
        if member.share is not None and member.part is not None:
            row = member.share.lose(member.part, f"{node.host}: {reason}")
            if row is not None:
                self._write(member, member.share, row)
        self.strikes[node.id] += 1
        if final or self.strikes[node.id] >= MAX_ATTEMPTS:
            self.given_up[node.id] = f"{node.host}: {reason}"
        self._next_look = 0.0

    def _expire(self) -> None:
        """Gives up devices that did not start in time, as when another program holds them."""
        limit_s = self.options.start_timeout_s + ACTOR_START_S
        for member in list(self.members):
            if member.share is None and time.monotonic() - member.since > limit_s:
                self._lose(member, f"it did not start within {limit_s:g} s", final=True)

    def _write(self, member: _Member, share: Share, row: Measurement) -> None:
        self.store.put(share.set_id, replace(row, occasion=share.occasion))
        self.done += 1
        self.failed += row.status == "failed"
        self.rows_by_host[member.node.host] += 1
        self.report(Progress(self.done, self.total, self.failed, row.architecture))

    def check_complete(self, address: str) -> None:
        """Raises when something of the plan was not measured."""
        reasons = "; ".join(self.given_up.values())
        if not self.shares and not reasons:
            raise UsageError(
                f"the Ray cluster at {address} has no device; start its nodes with "
                f"`ray start --resources '{{\"{cluster.RESOURCE}\": 1}}'`"
            )
        if not self.shares:
            raise BackendError(f"no device of the fleet could start: {reasons}")
        again = "every finished row is in the store, and the same command goes on from there"
        parts = [p for share in self.shares.values() for p in share.aside]
        if parts:
            count, losses = sum(len(p.tasks) for p in parts), "; ".join(parts[0].losses)
            raise BackendError(
                f"{count} timings were given up because {MAX_ATTEMPTS} devices were lost on each "
                f"of their {len(parts)} blocks ({losses}); {again}"
            )
        if self._needed():
            raise BackendError(
                f"no device is left with work still to do{': ' * bool(reasons)}{reasons}; {again}"
            )


def run_fleet(
    store: Store,
    backend: Backend,
    address: str,
    *,
    n: int | None = None,
    seed: int = 0,
    architectures: Sequence[Any] = (),
    models: Sequence[Model] = (),
    indices: Sequence[int] = (),
    protocol: Protocol | None = None,
    options: CampaignOptions | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    notice: Callable[[str], None] = lambda text: None,
    retry_failed: bool = False,
) -> FleetOutcome:
    """Runs a campaign on every device of a Ray cluster, as ``run_campaign`` does on one.

    The backend need not be able to run on the driver's machine. Devices of one model share the
    sample and a measurement set; each different model measures the whole plan into its own set.

    Args:
        store: The open store that takes the rows.
        backend: The backend to measure on.
        address: The cluster's HOST:PORT, or ``auto``.
        n: The number of architectures to take from the beginning of ``seed``'s sample.
        seed: The seed of the sample.
        architectures: Architectures to measure by name, besides the sample.
        models: Refused: a fleet sends architectures, not weights.
        indices: Further indices of the sample's stream to measure.
        protocol: How one timing is taken; None takes the defaults.
        options: How the campaign is run; None takes the defaults.
        report: Called with the progress after each row.
        notice: Called with a sentence for every lost device.
        retry_failed: Whether rows that failed before count as missing.

    Returns:
        What the fleet added.

    Raises:
        UsageError: When there is no such cluster or it has no device, and for models.
        BackendError: When no device can run the backend or something of the plan could not be
            measured.
        StoreError: When the store cannot be written.
    """
    if models:
        raise UsageError(
            f"a fleet measures architectures of its space, not the model {quoted(models[0].name)}; "
            "measure models on each device without Ray, and unite the stores by `latbench merge`"
        )
    options = options or CampaignOptions()
    start = time.monotonic()
    spec = MeasurerSpec.of(store.space, backend, protocol or Protocol())
    with exclusive(store.path), cluster.connected(address):

        def plan(set_id: int) -> Plan:
            done = store.done(set_id, seed, options.retry_noisy)
            return Plan(
                store.space, seed, n or 0, architectures, done,
                size=options.block, retest=options.retest, indices=indices,
            )  # fmt: skip

        fleet = _Fleet(store, plan, spec, options, retry_failed, report, notice)
        with checkpointed(store):
            fleet.run()
        fleet.check_complete(address)
    return FleetOutcome(
        set_ids=tuple(share.set_id for share in fleet.shares.values()),
        measured=fleet.done - fleet.failed,
        failed=fleet.failed,
        already_there=fleet.planned - fleet.done,
        rows_by_host=dict(fleet.rows_by_host),
        seconds=time.monotonic() - start,
    )
