"""One network's profile on a backend: several visits, the whole beside its kernels.

A visit times some runs of the network as they are, and as many while the runtime profiles. A
kernel's time is the median of its visits', so that one disturbed visit decides nothing. What
profiling itself takes shows in the sum of the kernels beside the whole: each visit has a ratio of
both, which were timed within a second of each other, and their median is the profile's.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from latbench.backends import load_model, options_of, require
from latbench.backends.base import Backend, Session, typical
from latbench.campaign.campaign import Progress, alone
from latbench.campaign.cpu_waits import waited_ns, waits
from latbench.campaign.worker import check_parity
from latbench.errors import BackendError, UsageError
from latbench.export.kernel_layers import KernelTime, check_kernels
from latbench.models import Model
from latbench.networks.layer_words import layer_word, main_layer
from latbench.networks.network import Network

if TYPE_CHECKING:
    from latbench.predictors.layer_shares import PredictedNetwork

OWN = "the runtime's own"  # the kind of kernels that belong to no layer
_WARM_UP_RUNS = 3
_VISIT_S = 0.2  # of unprofiled runs, where their number is not given
_RUNS = (3, 200)


@dataclass(frozen=True)
class ProfileRuns:
    """A number of visits, and of runs in each, by which a profile times a network.

    ``runs`` is what fits in 0.2 seconds where it is None. Raises UsageError for numbers below 1.
    """

    visits: int = 5
    runs: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("visits", self.visits), ("runs", self.runs)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more, got {value}")

    def of(self, seconds: float) -> int:
        """Returns the runs of a visit to a network that takes so many seconds."""
        if self.runs is not None:
            return self.runs
        return max(_RUNS[0], min(_RUNS[1], math.ceil(_VISIT_S / max(seconds, 1e-9))))


@dataclass(frozen=True)
class ProfiledKernel:
    """A kernel in a profile, over all visits.

    ``layers`` are the indices of the network's layers that it computes, none for the runtime's own;
    ``words`` say what each does, ``kind`` what the one with most work does. ``latency_s`` is the
    median of the visits between ``low_s`` and ``high_s``. ``predicted_s`` is what the predictor
    says of its layers, None where nothing is said.
    """

    name: str
    layers: tuple[int, ...]
    words: tuple[str, ...]
    kind: str
    latency_s: float
    low_s: float
    high_s: float
    predicted_s: float | None = None


@dataclass(frozen=True)
class KindTime:
    """A sum of what all kernels of a kind take."""

    kind: str
    kernels: int
    latency_s: float
    predicted_s: float | None


@dataclass(frozen=True)
class NetworkProfile:
    """A network's profile on a backend: where its time goes.

    ``whole_s`` is what it takes without profiling, the median of the visits between ``whole_low_s``
    and ``whole_high_s``; ``waited_share`` is the part of that time in which the process was kept
    from running, as on a busy machine (0 where the system does not say). ``sum_share`` is what the
    kernels add up to as a share of that, in the same visits: below 1 where a runtime spends time
    between kernels, above where profiling takes time of its own. ``kernels`` are in the order in
    which they run. ``prediction`` is a predictor's, None without one.
    """

    model: str
    backend: str
    options: dict[str, Any]
    device: str
    version: str
    visits: int
    runs: int
    whole_s: float
    whole_low_s: float
    whole_high_s: float
    waited_share: float
    sum_share: float
    kernels: tuple[ProfiledKernel, ...]
    prediction: PredictedNetwork | None = None

    @property
    def sum_s(self) -> float:
        """Returns what the kernels add up to, in seconds."""
        return sum(kernel.latency_s for kernel in self.kernels)

    @property
    def kinds(self) -> tuple[KindTime, ...]:
        """Returns the kernels by their kind, the kind that takes longest first."""
        of: dict[str, list[ProfiledKernel]] = {}
        for kernel in self.kernels:
            of.setdefault(kernel.kind, []).append(kernel)
        found = [
            KindTime(kind, len(own), sum(k.latency_s for k in own), _total(own))
            for kind, own in of.items()
        ]
        return tuple(sorted(found, key=lambda one: -one.latency_s))

    def slowest(self, n: int | None = None) -> tuple[ProfiledKernel, ...]:
        """Returns the ``n`` kernels that take longest, all by default, in the order in which they
        run. Raises UsageError for an ``n`` below 1."""
        if n is None:
            return self.kernels
        if n < 1:
            raise UsageError(f"the number of kernels to show must be 1 or more, got {n}")
        order = sorted(range(len(self.kernels)), key=lambda i: -self.kernels[i].latency_s)
        return tuple(self.kernels[i] for i in sorted(order[:n]))


def _total(kernels: Sequence[ProfiledKernel]) -> float | None:
    values = [k.predicted_s for k in kernels if k.predicted_s is not None]
    return sum(values) if values else None


def _nothing(progress: Progress) -> None:
    """Reports nothing."""


def profile_network(
    model: Model,
    backend: Backend,
    runs: ProfileRuns | None = None,
    *,
    prediction: PredictedNetwork | None = None,
    parity: bool = True,
    report: Callable[[Progress], None] = _nothing,
) -> NetworkProfile:
    """Profiles a model on a backend, in this process.

    It waits until no campaign times on the device, and keeps the next ones waiting.

    Args:
        model: The model.
        backend: The backend, which has to be able to profile (``Session.profile``).
        runs: How often it is timed; None takes the defaults.
        prediction: What a predictor says of the same network
            (``latbench.predictors.layer_shares.predict_network``).
        parity: Whether the output is compared with torch's before anything is timed.
        report: Called with the progress after each visit, and once when it has to wait.

    Returns:
        The profile.

    Raises:
        BackendUnavailable: When the backend cannot run here.
        BackendError: When it cannot profile or run the model, or computes something else than
            torch.
    """
    require(backend)
    runs = runs or ProfileRuns()
    if len(model.network.layers) < 2:
        raise UsageError(f"{model.name} has no layer but its input, so there is nothing to profile")
    with alone(backend, report), load_model(backend, model) as session:
        session.run()
        check_kernels(model.network, session.profile(1))  # before anything takes long
        if parity and not backend.simulated:
            check_parity(backend, session, model)
        n = runs.of(1e-9 * min(session.time(_WARM_UP_RUNS)))
        visits = []
        for visit in range(runs.visits):
            visits.append(_visit(session, model.network, n))
            report(Progress(visit + 1, runs.visits, 0))
    return NetworkProfile(
        model=str(model), backend=backend.name, options=options_of(backend),
        device=backend.device_name(), version=backend.availability().version,
        visits=runs.visits, runs=n,
        whole_s=median(visit.whole_s for visit in visits),
        whole_low_s=min(visit.whole_s for visit in visits),
        whole_high_s=max(visit.whole_s for visit in visits),
        waited_share=0.0 if backend.simulated else median(visit.waited for visit in visits),
        sum_share=median(sum(k.seconds for k in v.kernels) / v.whole_s for v in visits),
        kernels=tuple(
            _profiled(model.network, same, prediction)
            for same in _aligned(backend.name, [visit.kernels for visit in visits])
        ),
        prediction=prediction,
    )  # fmt: skip


class _Visit(NamedTuple):
    """The seconds of a run that is not profiled, the share of the time in which the process was
    kept waiting, and the kernels."""

    whole_s: float
    waited: float
    kernels: list[KernelTime]


def _visit(session: Session, network: Network, n: int) -> _Visit:
    start, before = time.perf_counter_ns(), waits()
    times = session.time(n)
    # Time that a hypervisor takes away is that of all cores together.
    waited = min(waited_ns(before, waits()) / (time.perf_counter_ns() - start), 1.0)
    kernels = session.profile(n)
    check_kernels(network, kernels)
    return _Visit(1e-9 * typical(times), waited, kernels)


def _aligned(backend: str, visits: Sequence[Sequence[KernelTime]]) -> list[list[KernelTime]]:
    """The same kernel of every visit, in the order of the first one: by its name and layers, and of
    alike ones by their order."""
    found: list[dict[tuple[object, ...], KernelTime]] = []
    for kernels in visits:
        seen: Counter[tuple[object, ...]] = Counter()
        found.append({})
        for kernel in kernels:
            key = (kernel.name, kernel.layers)
            alike = (*key, seen[key])
            found[-1][alike] = kernel
            seen[key] += 1
    if any(one.keys() != found[0].keys() for one in found):
        raise BackendError(
            f"{backend} ran other kernels in one visit than in another, so that their times are "
            "not of the same work; profile it again"
        )
    return [[one[key] for one in found] for key in found[0]]


def _profiled(
    network: Network, visits: Sequence[KernelTime], prediction: PredictedNetwork | None
) -> ProfiledKernel:
    """One kernel in all visits."""
    name, layers = visits[0].name, visits[0].layers
    seconds = [kernel.seconds for kernel in visits]
    words = tuple(layer_word(network, i) for i in layers)
    parts = None if prediction is None else prediction.layers_s
    return ProfiledKernel(
        name, layers, words,
        kind=layer_word(network, main_layer(network, layers)) if layers else OWN,
        latency_s=median(seconds), low_s=min(seconds), high_s=max(seconds),
        predicted_s=None if parts is None or not layers else sum(parts[i] for i in layers),
    )  # fmt: skip
