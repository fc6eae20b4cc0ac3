"""Backends that compute a latency instead of measuring one, and that fail on demand.

They are deterministic: the same calls in the same order in a fresh process give the same times.
Time is simulated: a clock, one in a process, advances by every run's latency and nothing sleeps.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import Availability, Backend, Session
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime
from latbench.export.parity import reference_outputs
from latbench.models import Model
from latbench.networks.network import Network
from latbench.validation import Count, NotNegative, Positive, Share, check_fields

Fault = Literal["none", "exception", "segfault", "exit", "hang", "oom", "wrong_output"]


class _Clock:
    """The simulated time of this process, in seconds since its first run, and its sessions."""

    now_s = 0.0
    sessions = itertools.count()


def network_hash(network: Network, seed: int = 0) -> int:
    """Returns 64 bits that depend on the layers and the seed only, the same in every process."""
    text = f"{seed}:{network.layers!r}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


@dataclass(frozen=True)
class Noise:
    """The noise of simulated times around their formula.

    ``run`` and ``session`` are the standard deviations of the logarithm: of each run, and of a
    factor that all runs of a session share (what makes two timings of one network differ).
    ``drift`` is the amplitude of a slow sine of the simulated time, with period ``drift_period_s``
    seconds, that every network feels alike, as when a machine warms up.
    """

    run: NotNegative = 0.0
    session: NotNegative = 0.0
    drift: Share = 0.0
    drift_period_s: Positive = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, "noise.")


class FakeSession(Session):
    """A session whose runs take ``latency_s`` seconds of simulated time, times the noise."""

    def __init__(
        self,
        model: Model,
        latency_s: float,
        noise: Noise | None = None,
        fault: Fault = "none",
        kernels: Sequence[KernelTime] | None = None,
    ) -> None:
        """Opens it; ``kernels`` are what its profile says, None for a runtime that has none."""
        if not (math.isfinite(latency_s) and latency_s > 0):
            raise BackendError(f"a fake latency must be a positive number, got {latency_s}")
        self._model, self._fault, self._kernels = model, fault, kernels
        self._noise = noise or Noise()
        key = [self._noise.seed, network_hash(model.network), next(_Clock.sessions)]
        self._random = np.random.default_rng(key)
        self._latency_s = latency_s * math.exp(self._noise.session * self._random.normal())
        self._outputs: tuple[npt.NDArray[np.float32], ...] | None = None
        self._closed = False

    def time(self, n: int) -> list[int]:
        """Simulates ``n`` runs and returns their nanoseconds at once."""
        if self._closed:
            raise BackendError("the session is closed; load the network again")
        _strike(self._fault)
        return [self._one_run_ns() for _ in range(n)]

    def _one_run_ns(self) -> int:
        noise = self._noise
        drift = 1 + noise.drift * math.sin(2 * math.pi * _Clock.now_s / noise.drift_period_s)
        seconds = self._latency_s * drift * math.exp(noise.run * self._random.normal())
        _Clock.now_s += seconds
        return max(1, round(seconds * 1e9))

    def run(self) -> None:
        """Advances the simulated clock."""
        self.time(1)

    def profile(self, n: int) -> list[KernelTime]:
        """Simulates ``n`` runs; returns the kernels that it was made with, which took as much
        longer than they say as the whole did."""
        if self._kernels is None:
            return super().profile(n)
        longer = 1e-9 * float(np.median(self.time(n))) / self._latency_s
        return [KernelTime(k.name, k.layers, longer * k.seconds) for k in self._kernels]

    def outputs(self) -> Any:
        """Computes the network by torch, so that parity checks hold."""
        if self._closed:
            raise BackendError("the session is closed; load the network again")
        if self._outputs is None:
            model = self._model
            computed = reference_outputs(model.network, "float32", model.weights, model.inputs())
            self._outputs = computed if isinstance(computed, tuple) else (computed,)
        wrong = np.float32(self._fault == "wrong_output")
        found = tuple(np.asarray(y + wrong, dtype=np.float32) for y in self._outputs)
        return found if len(found) > 1 else found[0]

    def close(self) -> None:
        """Frees the outputs."""
        self._outputs, self._closed = None, True


def _strike(fault: Fault) -> None:
    """Fails as a runtime would, if the fault is one of a run."""
    if fault == "exception":
        raise BackendError("the runtime failed, as this fake was told to")
    if fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "oom":  # what the kernel does to a process when memory runs out
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        os._exit(3)
    while fault == "hang":
        time.sleep(3600)


@final
@dataclass(frozen=True)
class FakeBackend(Backend):
    """A backend whose run takes ``latency_of(network)`` seconds. For use within one process.

    >>> backend = FakeBackend(lambda network: 1e-9 * network.macs)
    """

    name: ClassVar[str] = "fake"
    simulated: ClassVar[bool] = True
    latency_of: Callable[[Network], float]
    noise: Noise = Noise()

    def availability(self) -> Availability:
        """Returns that it is always ready."""
        return Availability(True)

    def load(self, model: Model) -> Session:
        """Opens a session with the function's latency; raises BackendError if that is not
        positive."""
        return FakeSession(model, self.latency_of(model.network), self.noise)


@final
@dataclass(frozen=True)
class CostModelBackend(Backend):
    """A backend whose run takes ``base_s + s_per_mac * MACs + s_per_layer * layers`` seconds.

    It can be made by name in a worker process: ``latbench.testing.fake:CostModelBackend``.
    The noise options are those of ``Noise``. One network in ``fault_every`` (chosen by its layers
    and the seed, see ``faulty``) fails when it is run: ``exception`` raises BackendError,
    ``segfault`` and ``oom`` end the process by SIGSEGV and SIGKILL, ``exit`` ends it with code 3,
    ``hang`` never returns, ``wrong_output`` adds 1 to the outputs.
    """

    name: ClassVar[str] = "cost-model"
    simulated: ClassVar[bool] = True
    base_s: float = 1e-4
    s_per_mac: float = 1e-10
    s_per_layer: float = 1e-6
    noise: float = 0.0
    session_noise: float = 0.0
    drift: float = 0.0
    drift_period_s: float = 1.0
    seed: int = 0
    fault: Fault = "none"
    fault_every: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._noise()

    def _noise(self) -> Noise:
        return Noise(self.noise, self.session_noise, self.drift, self.drift_period_s, self.seed)

    def availability(self) -> Availability:
        """Returns that it is always ready."""
        return Availability(True)

    def latency_s(self, network: Network) -> float:
        """Returns the seconds of one run without noise: what a predictor should find."""
        layers = len(network.layers)
        return self.base_s + self.s_per_mac * network.macs + self.s_per_layer * layers

    def faulty(self, network: Network) -> bool:
        """Returns whether this network fails when it is run."""
        chosen = network_hash(network, self.seed) % self.fault_every == 0
        return self.fault != "none" and chosen

    def load(self, model: Model) -> Session:
        """Opens a session with the formula's latency, and the fault if the network was chosen for
        it."""
        fault: Fault = self.fault if self.faulty(model.network) else "none"
        latency_s, kernels = self.latency_s(model.network), self.kernels(model.network)
        return FakeSession(model, latency_s, self._noise(), fault, kernels)

    def kernels(self, network: Network) -> list[KernelTime]:
        """Returns what a profile says without noise: a kernel a layer, and one for all that a run
        takes besides, which is the first."""
        besides = self.base_s + self.s_per_layer
        return [KernelTime("start", (), besides)] * (besides > 0) + [
            KernelTime(
                type(layer.op).__name__, (i,),
                self.s_per_layer + self.s_per_mac * network.layer_macs(layer),
            )
            for i, layer in enumerate(network.layers) if layer.inputs
        ]  # fmt: skip
