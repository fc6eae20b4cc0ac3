"""The campaign: many architectures, one backend, one protocol, into a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latbench.backends import require
from latbench.backends.base import Backend
from latbench.campaign.filling import Filling, Progress
from latbench.campaign.measurer import BlockMeasurer
from latbench.campaign.plan import Plan
from latbench.campaign.spec import CampaignOptions, MeasurerSpec, saved
from latbench.device.driver import pci_bus_id
from latbench.errors import StoreError
from latbench.locks import sole_user, turn
from latbench.models import Model
from latbench.store import Store
from latbench.timing.protocol import Protocol

__all__ = ["CampaignOptions", "CampaignOutcome", "Progress", "exclusive", "run_campaign"]


@dataclass(frozen=True)
class CampaignOutcome:
    """The counts and times of a finished campaign.

    ``measured`` and ``failed`` count the rows that it added to its set, ``again`` those of a
    disturbed block that were timed once more. ``seconds`` is the wall time without waiting for the
    device, ``start_seconds`` the part of it in which the first worker started (an import and the
    canaries), ``inference_seconds`` the time inside inference calls and ``inferences`` their
    number, warm-up and canaries included.
    """

    set_id: int
    measured: int
    failed: int
    already_there: int
    seconds: float
    start_seconds: float
    inference_seconds: float
    inferences: int
    again: int = 0

    @property
    def set_ids(self) -> tuple[int, ...]:
        """Returns the set, as a fleet's outcome has its sets."""
        return (self.set_id,)


def exclusive(path: Path) -> AbstractContextManager[None]:
    """Holds the store at ``path`` for one campaign. Raises StoreError when another one has it."""
    return sole_user(
        path,
        StoreError(f"another campaign is writing to {path}; wait for it or use another store"),
    )


def timed_on(backend: Backend) -> str | None:
    """Returns the device that a campaign has to itself: a GPU's PCI address, or "cpu" for
    everything that is no CUDA device. None for a simulated backend, whose times nothing can
    disturb."""
    if backend.simulated:
        return None
    device = backend.cuda_device()
    return "cpu" if device is None else pci_bus_id(device)


def alone(backend: Backend, report: Callable[[Progress], None]) -> AbstractContextManager[None]:
    """Waits until no other campaign times on the backend's device, and keeps the next ones waiting.

    ``report`` is told once when it has to wait. It is not the turn that TensorRT sessions take,
    since a worker builds and times while its campaign holds this one.
    """
    device = timed_on(backend)
    if device is None:
        return nullcontext()
    return turn(f"campaign-{device}", lambda: report(Progress(0, 0, 0, waiting=True)))


@contextmanager
def checkpointed(store: Store) -> Iterator[None]:
    """Leaves all that was committed in the store's own file, also when the body fails.

    The body's error is then the one that is seen.
    """
    try:
        yield
    except BaseException:
        with suppress(StoreError):
            store.checkpoint()
        raise
    store.checkpoint()


def run_campaign(
    store: Store,
    backend: Backend,
    *,
    n: int | None = None,
    seed: int = 0,
    architectures: Sequence[Any] = (),
    models: Iterable[Model] = (),
    indices: Sequence[int] = (),
    protocol: Protocol | None = None,
    options: CampaignOptions | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    retry_failed: bool = False,
) -> CampaignOutcome:
    """Measures architectures on a backend and writes each of them into the store as it finishes.

    Rows that the store already has are left alone, so calling it again goes on where it was
    stopped. What a single architecture does to the runtime becomes its row. KeyboardInterrupt
    leaves every finished row in the store. While another campaign times on the device, also one of
    another user, it waits (and tells ``report``), because both would be disturbed.

    Args:
        store: The open store that takes the rows.
        backend: The backend to measure on.
        n: The number of architectures to take from the beginning of ``seed``'s sample.
        seed: The seed of the sample.
        architectures: Architectures to measure by name, besides the sample.
        models: Models to measure that need not be of the space; their rows are found by their
            texts.
        indices: Further indices of the sample's stream to measure.
        protocol: How one timing is taken; None takes the defaults.
        options: How the campaign is run; None takes the defaults.
        report: Called with the progress after each row.
        retry_failed: Whether rows that failed before count as missing.

    Returns:
        What the campaign added to its set.

    Raises:
        BackendUnavailable: When the backend is not ready on this machine.
        BackendError: When the backend cannot run at all.
        UsageError: When a model cannot be saved, which workers read.
        StoreError: When the store cannot be written or another campaign writes to it.
    """
    require(backend)
    if n:
        store.space.unique_samples(seed, n)  # refuses an impossible n before anything is written
    protocol, options = protocol or Protocol(), options or CampaignOptions()
    spec = MeasurerSpec.of(store.space, backend, protocol)
    with (
        saved(models) as folders,
        measuring(store, backend, replace(spec, models=folders), options, report) as found,
    ):
        measurers, times = found
        set_id = store.add_set(measurers[0].set)
        if retry_failed:
            store.forget_failed(set_id)
        plan = Plan(
            store.space, seed, n or 0, [*architectures, *folders],
            store.done(set_id, seed, options.retry_noisy),
            size=options.block, retest=options.retest, indices=indices,
        )  # fmt: skip
        work = Filling(store, set_id, measurers, report, options.block, folders)
        work.fill(plan)
    there = plan.planned - (work.done - work.further)
    return outcome_of(set_id, work, there, measurers, times)


@contextmanager
def measuring(
    store: Store, backend: Backend, spec: MeasurerSpec, options: CampaignOptions,
    report: Callable[[Progress], None],
) -> Iterator[tuple[list[BlockMeasurer], tuple[float, float]]]:  # fmt: skip
    """Opens started measurers on a device and a store that nobody else uses meanwhile.

    Args:
        store: The store that the campaign writes to.
        backend: The backend to measure on.
        spec: What the workers measure.
        options: How the campaign is run; with ``overlap`` there are two measurers, else one.
        report: Told while another campaign uses the device.

    Yields:
        The measurers, and when they began to start and had started (seconds, monotonic clock).

    Raises:
        LatbenchError: As ``run_campaign`` raises it.
    """
    with (
        exclusive(store.path),
        alone(backend, report),
        checkpointed(store),
        ExitStack() as opened,
    ):
        start = time.monotonic()
        measurers = [
            opened.enter_context(closing(BlockMeasurer(spec, options)))
            for _ in range(2 if options.overlap else 1)
        ]
        yield measurers, (start, time.monotonic())


def outcome_of(
    set_id: int, work: Filling, already_there: int, measurers: Sequence[BlockMeasurer],
    times: tuple[float, float],
) -> CampaignOutcome:  # fmt: skip
    """Returns the outcome of what was measured until now.

    Args:
        set_id: The number of the measurement set.
        work: The filling of the set, which counts its rows.
        already_there: The number of planned rows that the store had before.
        measurers: The measurers that were used.
        times: When they began to start and had started (seconds, monotonic clock).

    Returns:
        The counts and times of the campaign.
    """
    start, started = times
    return CampaignOutcome(
        set_id=set_id,
        measured=work.done - work.failed,
        failed=work.failed,
        already_there=already_there,
        seconds=time.monotonic() - start,
        start_seconds=started - start,
        inference_seconds=sum(m.inference_s for m in measurers),
        inferences=sum(m.inferences for m in measurers),
        again=work.again,
    )
