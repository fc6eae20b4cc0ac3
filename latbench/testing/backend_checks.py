"""The clauses of the contract of latbench.backends.base, one function each.

A check takes the backend and a ``Setup``; it returns a sentence about what it saw, or raises what
is wrong. Limits on time are loose, so that a busy machine does not fail a good backend.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from latbench.backends import backend_spec, load_model, make_backend
from latbench.backends.base import Backend, Session
from latbench.campaign import collector
from latbench.device.nvidia import gpu_at
from latbench.errors import BackendError, LatbenchError, UsageError
from latbench.export.kernel_layers import check_kernels
from latbench.export.parity import parity, relative_error
from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.weights import make_weights
from latbench.testing.networks import (
    UnknownOp,
    heavy_chain,
    impossible_network,
    long_chain,
    several_inputs,
    short_chain,
)
from latbench.testing.resources import left_behind, resources_now

_SIMULATED = "not applicable: the backend's time is simulated"


@dataclass(frozen=True)
class Setup:
    """The inputs of the checks besides the backend.

    ``rtol`` is the largest difference from torch that passes, as a share of the largest output.
    """

    networks: tuple[tuple[str, Network], ...]
    rtol: float = 1e-4


def _load(backend: Backend, network: Network) -> Session:
    """A session of a network with invented weights."""
    return load_model(backend, Model("network", network))


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise BackendError(message)


def check_availability(backend: Backend, setup: Setup) -> str:
    """Checks that ``availability()`` does not raise; "no" has a reason and a remedy, "yes" can
    load."""
    found = backend.availability()
    if not found.ready:
        _expect(bool(found.reason), "availability() says no without a reason")
        _expect(bool(found.remedy), "availability() says no without a remedy")
        return f"not ready: {found.reason}"
    _load(backend, setup.networks[0][1]).close()
    return f"ready, version {found.version or 'unknown'}"


def check_options(backend: Backend, setup: Setup) -> str:
    """Checks that name and options as JSON give an equal backend, and an unknown option is
    refused."""
    name, options = backend_spec(backend)
    again = make_backend(name, **json.loads(json.dumps(options)))
    _expect(again == backend, f"{again} was made from the options of {backend}")
    _expect(hash(again) == hash(backend), "equal backends must have equal hashes")
    try:
        make_backend(name, no_such_option=1)
    except UsageError:
        return f"{len(options)} options"
    raise BackendError("an unknown option was accepted")


def check_outputs(backend: Backend, setup: Setup) -> str:
    """Checks that outputs are float32, of the network's shape, and agree with torch in every
    network, the last one also with weights that were given."""
    worst, models = 0.0, [(label, Model("network", n)) for label, n in setup.networks]
    last, network = setup.networks[-1]
    given = Model("network", network, make_weights(network, seed=1))
    for label, model in [*models, (f"{last} with given weights", given)]:
        with load_model(backend, model) as session:
            session.run()
            got = session.outputs()
        _expect(got.dtype == np.float32, f"outputs are {got.dtype}, not float32")
        expected = model.network.output_shape
        _expect(got.shape == expected, f"outputs have shape {got.shape}, not {expected}")
        error, allowed = parity(model, got, setup.rtol, backend.rounding)
        _expect(
            error <= allowed,
            f"outputs differ from torch by {error:.1e} of the largest one, allowed is "
            f"{allowed:.1e}, in {label}",
        )
        worst = max(worst, error)
    return f"within {worst:.1e} of torch in {len(setup.networks)} networks"


def check_inputs(backend: Backend, setup: Setup) -> str:
    """Checks that a model that came from an ONNX file, with inputs of floats, integers and truth
    values and with three outputs, gives what the file says, as a tuple in its order; or that it is
    refused by ``load()`` with a LatbenchError of one line."""
    if backend.simulated:
        return _SIMULATED
    model = several_inputs()
    try:
        session = load_model(backend, model)
    except LatbenchError as refusal:
        text = str(refusal)
        _expect("\n" not in text, f"load() raised an error of several lines: {text!r}")
        return f"not taken: {text}"
    with session:
        session.run()
        got = session.outputs()
    expected = len(model.network.outputs)
    _expect(
        isinstance(got, tuple) and len(got) == expected,
        f"a model of {expected} outputs gave a {type(got).__name__}; return a tuple of them",
    )
    types = {str(array.dtype) for array in got}
    _expect(types == {"float32"}, f"outputs are {', '.join(sorted(types))}, not float32")
    off, allowed = parity(model, got, setup.rtol, backend.rounding)
    _expect(
        off <= allowed,
        f"outputs differ from what the file says by {off:.1e} of the largest one, allowed is "
        f"{allowed:.1e}",
    )
    return f"within {off:.1e} of the file"


def check_repeatable(backend: Backend, setup: Setup) -> str:
    """Checks that the result stays the same from run to run, and in a new session within the
    tolerance."""
    network = setup.networks[-1][1]
    with _load(backend, network) as session:
        session.run()
        first = session.outputs().copy()
        session.time(3)
        drift = relative_error(session.outputs(), first)
    with _load(backend, network) as session:
        session.run()
        other = relative_error(session.outputs(), first)
    _expect(drift <= setup.rtol / 10, f"outputs changed by {drift:.1e} from run to run")
    _expect(other <= setup.rtol, f"outputs changed by {other:.1e} in a new session")
    return f"run to run {drift:.1e}, session to session {other:.1e}"


def check_blocking(backend: Backend, setup: Setup) -> str:
    """Checks that ``run()`` returns when the result is there: ``outputs()`` waits for nothing."""
    if backend.simulated:
        return _SIMULATED
    with _load(backend, long_chain()) as session:
        session.time(2)
        first, again, whole = [], [], []
        for _ in range(5):
            start = time.perf_counter()
            session.run()
            first.append(_seconds(session.outputs))
            whole.append(time.perf_counter() - start)
            again.append(_seconds(session.outputs))
    waited, run = min(first) - min(again), min(whole)
    _expect(
        waited < run / 2,
        f"run() returned early: outputs() then waited {1e3 * waited:.2f} of {1e3 * run:.2f} ms",
    )
    return f"outputs() waits {1e3 * max(waited, 0):.2f} of {1e3 * run:.2f} ms after run()"


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def check_clock(backend: Backend, setup: Setup) -> str:
    """Checks that the times of ``time(n)`` add up to between a fifth and all of the wall
    clock's."""
    if backend.simulated:
        return _SIMULATED
    shares = []
    with _load(backend, long_chain()) as session:
        session.time(2)
        for _ in range(3):
            start = time.perf_counter_ns()
            times = session.time(5)
            shares.append(sum(times) / (time.perf_counter_ns() - start))
    share = max(shares)
    _expect(
        0.2 <= share <= 1.05,
        f"time(n) adds up to {share:.2g} of the wall clock; it must be nanoseconds of whole runs",
    )
    return f"{share:.0%} of the wall clock"


def check_time_counts(backend: Backend, setup: Setup) -> str:
    """Checks that ``time(n)`` returns ``n`` positive integers (of type int, so that they can be
    stored)."""
    with _load(backend, setup.networks[0][1]) as session:
        for n in (1, 7):
            times = session.time(n)
            _expect(len(times) == n, f"time({n}) returned {len(times)} values")
            for value in times:
                _expect(type(value) is int, f"time() returned {value!r}, not an int")
                _expect(value > 0, f"time() returned {value} ns")
    return "n positive integers"


def check_scaling(backend: Backend, setup: Setup) -> str:
    """Checks that a network with 28 times the work takes at least twice as long."""
    medians = []
    for network in (short_chain(), long_chain()):
        with _load(backend, network) as session:
            session.time(2)
            medians.append(float(np.median(session.time(5))))
    ratio = medians[1] / max(medians[0], 1.0)
    _expect(ratio > 2, f"28 times the work takes only {ratio:.2f} times as long")
    return f"28 times the work takes {ratio:.1f} times as long"


def check_close(backend: Backend, setup: Setup) -> str:
    """Checks that ``close()`` works twice; afterwards, each call works or raises a
    LatbenchError."""
    session = _load(backend, setup.networks[0][1])
    session.run()
    session.close()
    session.close()
    for name in ("run", "outputs", "time"):
        try:
            session.time(1) if name == "time" else getattr(session, name)()
        except LatbenchError:
            continue
        except Exception as error:
            raise BackendError(
                f"{name}() after close() raised {type(error).__name__}; raise a BackendError that "
                "says that the session is closed"
            ) from error
    return "twice, and use afterwards is safe"


def check_leaks(backend: Backend, setup: Setup) -> str:
    """Checks that 50 sessions that were loaded, run and closed leave nothing behind.

    Garbage is collected as in a campaign's worker: not while sessions are loaded and timed, and
    wholly when a block of them has ended, so a session may be part of a reference cycle.
    Counts this process's memory, open files and threads, and the memory of the GPU that the backend
    runs on where NVML shows it (so nothing else may be at work there).
    """
    network, gpu = heavy_chain(), gpu_at(backend.cuda_device())
    with collector.held():
        _block(backend, network, 10)
        before = resources_now(gpu)
        _block(backend, network, 50)
        left = left_behind(before, resources_now(gpu))
    _expect(not left, f"50 sessions of 2.4 MB left {' and '.join(left)} behind")
    return "nothing after 50 sessions of 2.4 MB"


def _block(backend: Backend, network: Network, sessions: int) -> None:
    for _ in range(sessions):
        session = _load(backend, network)
        collector.keep()
        session.run()
        collector.tidy()
        session.close()


def check_profile(backend: Backend, setup: Setup) -> str:
    """Checks that a profile has every layer but the input in exactly one kernel, with positive
    times; or that ``profile(n)`` raises a BackendError of one line."""
    longest = max((network for _, network in setup.networks), key=lambda one: len(one.layers))
    kernels = 0
    for network in (short_chain(), longest):  # what cannot tell is asked where it loads quickly
        with _load(backend, network) as session:
            session.run()
            try:
                found = session.profile(2)
            except BackendError as error:
                _expect("\n" not in str(error), f"profile() raised several lines: {str(error)!r}")
                return f"not told: {error}"
            check_kernels(network, found)
        kernels += len(found)
    return f"{kernels} kernels of two networks"


def check_errors(backend: Backend, setup: Setup) -> str:
    """Checks that a network that cannot run is refused by ``load()`` with a LatbenchError of one
    line that names the layer kind."""
    if backend.simulated:
        return _SIMULATED
    try:
        _load(backend, impossible_network()).close()
    except LatbenchError as error:
        text = str(error)
        _expect(
            UnknownOp.__name__ in text,
            f"load() does not say which layer kind it cannot take, {UnknownOp.__name__}: {text!r}",
        )
        _expect("\n" not in text, f"load() raised an error of several lines: {text!r}")
        return text
    except Exception as error:
        raise BackendError(
            f"load() raised {type(error).__name__} for a layer kind that nobody knows; raise "
            "BackendError (latbench.backends.base.runtime_errors does)"
        ) from error
    raise BackendError("load() accepted a layer kind that nobody knows")


CHECKS: Mapping[str, Callable[[Backend, Setup], str]] = MappingProxyType(
    {
        "availability": check_availability,
        "options": check_options,
        "outputs": check_outputs,
        "inputs": check_inputs,
        "repeatable": check_repeatable,
        "blocking": check_blocking,
        "clock": check_clock,
        "time_counts": check_time_counts,
        "scaling": check_scaling,
        "close": check_close,
        "leaks": check_leaks,
        "profile": check_profile,
        "errors": check_errors,
    }
)
