"""The subprocess that holds a runtime: loads networks, times visits, answers in JSON lines.

A crash, a hang or an out-of-memory kill of a runtime ends this process only. It is started by
``latbench.campaign.client`` as ``python -m latbench.campaign.worker``; requests come on standard
input, replies go to what was standard output. What a runtime prints goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TextIO

from latbench.backends import load_model, make_backend, require
from latbench.backends.base import Backend, Session
from latbench.campaign import collector
from latbench.campaign.canaries import CANARIES, UNIT
from latbench.campaign.cpu_waits import waited_ns, waits
from latbench.campaign.memory_and_energy import EnergyMeter, free_share, load_and_run
from latbench.device import ThrottleWatch, cpu_name, host_name, machine_profile
from latbench.device.driver import pci_bus_id
from latbench.device.nvidia import gpu_at
from latbench.errors import BackendError
from latbench.models import Model, read_model
from latbench.spaces import space_from_identity
from latbench.timing.protocol import Protocol

MAX_WARMUP = 10
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent dies, even while it hangs in a runtime."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def own_output() -> TextIO:
    """Keeps standard output for replies and returns it as a file.

    From here on, what this process and its children print, Python or not, goes to standard error.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


def device_tag(backend: Backend) -> str:
    """Returns the host's name and, on a GPU, its PCI address: a host may have several of one
    model."""
    device = backend.cuda_device()
    return host_name() if device is None else f"{host_name()}/{pci_bus_id(device)}"


class _Loaded(NamedTuple):
    """A warm session and how many runs a part of a visit has."""

    session: Session
    runs: int


def check_parity(backend: Backend, session: Session, model: Model) -> None:
    """Compares the session's outputs with torch in float32, or with what the model's own ONNX file
    computes.

    Raises BackendError when they differ by more than ``latbench.export.parity`` allows.
    """
    from latbench.export.parity import parity  # which imports torch: two seconds

    session.run()
    error, allowed = parity(model, session.outputs(), backend.tolerance, backend.rounding)
    reference = "torch float32" if model.source is None else "ONNX Runtime on the file as it is"
    if math.isinf(error):
        raise BackendError(
            f"the output, or that of {reference}, has NaN or infinity: nothing can be compared; "
            "give weights whose output is finite, or a precision that holds it"
        )
    if not error <= allowed:
        raise BackendError(
            f"the output differs from {reference} by {error:.2g} relative to the largest value; "
            f"{allowed:.2g} is allowed, so its timing would not be of the same work"
        )


class Worker:
    """The loaded sessions of one backend, the canaries among them."""

    def __init__(self) -> None:
        self.loaded: dict[int, _Loaded] = {}
        self.canaries: dict[str, _Loaded] = {}
        self._meter: EnergyMeter | None = None
        self._steps = False
        self.inference_ns = 0  # inside run() and time(), warm-up and canary included
        self.inferences = 0

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Makes the backend and loads the canaries; compares what the first one computes."""
        self.space = space_from_identity(request["space"], source=None)
        self._folders: dict[str, str] = request["models"]
        self.backend = make_backend(request["backend"], **request["options"])
        require(self.backend)
        self.protocol = Protocol(**request["protocol"])
        self._watch = ThrottleWatch(self.backend.cuda_device())
        self._gpu = gpu_at(self.backend.cuda_device())
        self._steps = bool(request["steps"])
        if request["energy_s"] > 0:
            self._meter = EnergyMeter(request["energy_s"])
        for name, make in CANARIES.items():
            self._load_canary(name, Model(name, make()), request["check"] and name == UNIT)
        return {
            "device": self.backend.device_name() or cpu_name(),
            "version": self.backend.availability().version,
            "machine": machine_profile(),
            "host": device_tag(self.backend),
            "simulated": self.backend.simulated,
        }

    def _load_canary(self, name: str, model: Model, check: bool) -> None:
        """A canary that the backend cannot run is left out, but for the one that has to be."""
        try:
            loaded, _ = self._loaded(model, check, 1)
        except BackendError:
            if name == UNIT:
                raise
            return
        self.canaries[name] = loaded._replace(runs=self.protocol.canary_runs)

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Builds, loads and warms one architecture or model; checks its output when asked to.

        Replies with its costs other than time, and with what no kernel of the runtime computes.
        """
        if not self.loaded:  # the block before has ended, or nothing of this one could be loaded
            collector.sweep()
        model = self._model(request["architecture"])
        loaded, costs = self._loaded(model, request["check"], self.protocol.runs)
        self.loaded[request["id"]] = loaded
        if self._meter is not None:
            costs["energy_j"] = self._meter.energy_j(loaded.session)
        collector.keep()
        fallbacks = list(loaded.session.fallbacks)
        return {"costs": costs, "fallbacks": fallbacks, "free_share": free_share(self._gpu)}

    def _model(self, text: str) -> Model:
        """The model that the campaign saved under this text, or that of an architecture."""
        if text in self._folders:
            return read_model(self._folders[text], own=True)
        return Model(text, self.space.build(self.space.parse(text)))

    def guard(self, request: dict[str, Any]) -> dict[str, Any]:
        """Loads a session that is never timed."""
        model = Model(UNIT, CANARIES[UNIT]())
        self.loaded[request["id"]], _ = self._loaded(model, False, 1)
        return {}

    def _loaded(self, model: Model, check: bool, at_least: int) -> tuple[_Loaded, dict[str, Any]]:
        session, costs = load_and_run(
            lambda: load_model(self.backend, model),
            lambda loaded: self._time(loaded, 1),
            model.network,
            self._gpu,
        )
        try:
            # A formula computes nothing to compare, and importing torch takes two seconds
            # (2026-11-29).
            if check and not self.backend.simulated:
                check_parity(self.backend, session, model)
            runs = self.protocol.repeats(at_least, self._warm_up(session))
            return _Loaded(session, runs), costs
        except BaseException:
            session.close()
            raise

    def visit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Times a network's runs in nanoseconds; with ``canary`` also those of that canary, and the
        fastest of each of the network's steps, where they were asked for."""
        collector.tidy()
        if self.protocol.pause_s:
            time.sleep(self.protocol.pause_s)
        loaded = self.loaded[request["id"]]
        start = waits()
        network = self._runs(loaded)
        end = waits()
        steps = self._fastest_steps(loaded) if self._steps else []
        throttled = self._watch.reasons()
        canary = self.canaries.get(request["canary"] or "")
        return {
            "network_ns": network,
            "steps_ns": steps,
            "waited_ns": waited_ns(start, end),
            "throttled": throttled,
            "canary_ns": [] if canary is None else self._runs(canary),
            "inference_ns": self.inference_ns,
            "inferences": self.inferences,
        }

    def _warm_up(self, session: Session) -> float:
        """Runs until a run is not a tenth faster than the best before; returns the seconds of the
        fastest."""
        fastest = self._time(session, 1)[0]
        for _ in range(MAX_WARMUP - 1):
            current = self._time(session, 1)[0]
            steady = current > 0.9 * fastest
            fastest = min(fastest, current)
            if steady:
                break
        return max(fastest, 1) * 1e-9

    def _time(self, session: Session, n: int, untimed: int = 0) -> list[int]:
        start = time.perf_counter_ns()
        for _ in range(untimed):
            session.run()
        times = session.time(n)
        self.inference_ns += time.perf_counter_ns() - start
        self.inferences += untimed + n
        return times

    def _runs(self, loaded: _Loaded) -> list[int]:
        times = self._time(loaded.session, loaded.runs, self.protocol.warmup)
        if len(times) != loaded.runs or min(times) <= 0:
            raise BackendError(
                f"backend {self.backend.name!r} returned {times} for {loaded.runs} timed runs; "
                "expected as many positive durations in nanoseconds"
            )
        return times

    def _fastest_steps(self, loaded: _Loaded) -> list[int]:
        """The nanoseconds of each step, each in the run that was fastest for it."""
        start = time.perf_counter_ns()
        times = loaded.session.time_steps(loaded.runs)
        self.inference_ns += time.perf_counter_ns() - start
        self.inferences += loaded.runs
        return list(map(int, times.min(axis=0)))

    def close(self, request: dict[str, Any]) -> dict[str, Any]:
        """Frees one session."""
        self.loaded.pop(request["id"]).session.close()
        return {}


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answers requests, one JSON object a line, until the input ends."""
    worker = Worker()
    commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "start": worker.start,
        "load": worker.load,
        "guard": worker.guard,
        "visit": worker.visit,
        "close": worker.close,
    }
    for line in requests:
        request = json.loads(line)
        try:
            reply = commands[request["command"]](request)
        except Exception as error:
            # A backend may raise anything at all; the campaign records it as the row's reason.
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def main() -> None:
    """Runs the worker on this process's standard input and output."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the campaign's to handle
    replies = own_output()
    with collector.held():
        serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
