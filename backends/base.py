"""The contract between latbench and a runtime. Pause before changing it: third parties build on it.

A backend is a frozen dataclass whose fields are its options (so they are typed, have defaults, are
checked when they are given and can be stored with every row). The smallest one:

    @dataclass(frozen=True)
    class Mine(Backend):
        name: ClassVar[str] = "mine"
        threads: int = 1

        def availability(self) -> Availability:
            return installed("mine_runtime", "pip install mine-runtime")

        def load(self, model: Model) -> Session:
            return MySession(model.onnx(), model.inputs(), self.threads)

    class MySession(Session):
        def run(self): ...          # executes once, returns when the result is complete
        def outputs(self): ...      # the result of a run, for parity checks

registered in its distribution's metadata as:

    [project.entry-points."latbench.backends"]
    mine = "mine_package.module:Mine"

Warm-up, repeats, statistics, isolation, retries and storage are the campaign's, once, for all.
``latbench.testing.check_backend`` says whether a backend keeps the contract.

Options are fields, not an argument of ``load`` (as DESIGN.md first had it): a backend with its
options is then one value that can be compared, hashed, stored and sent to a worker.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.device import cpu_name
from latbench.device.driver import device_name as cuda_device_name
from latbench.errors import BackendError, LatbenchError
from latbench.export.kernel_layers import KernelTime
from latbench.export.parity import Rounding
from latbench.models import Model
from latbench.validation import check_fields


@dataclass(frozen=True)
class Availability:
    """The answer to whether a backend can run here, and if not, why and what to do about it."""

    ready: bool
    reason: str = ""
    remedy: str = ""
    version: str = ""


class Session(ABC):
    """A loaded model that can be run and timed. Close it (or use ``with``) to free its memory.

    ``build_s`` is how many seconds the runtime built it, apart from latency; None where loading
    builds nothing. ``model_bytes`` is the size of the model as the runtime takes it; None means
    that of the weights in float32. ``fallbacks`` are the layer kinds that the runtime has no kernel
    of its own for, each with what computes it instead (``"Gelu by torch"``): a row says so, since
    its time is not the runtime's alone.
    """

    build_s: float | None = None
    model_bytes: int | None = None
    fallbacks: tuple[str, ...] = ()

    @abstractmethod
    def run(self) -> None:
        """Executes the model once on its input; returns when the result is complete."""

    @abstractmethod
    def outputs(self) -> Any:
        """Returns the model's output, float32, shape ``model.network.output_shape``.

        Of a model with several outputs it is a tuple of them, in the order of
        ``model.network.outputs``. Integers and truth values are returned as float32, too.
        """

    def time(self, n: int) -> list[int]:
        """Times ``n`` consecutive runs in nanoseconds. Backends with a device clock override
        this."""
        times = []
        for _ in range(n):
            start = time.perf_counter_ns()
            self.run()
            times.append(time.perf_counter_ns() - start)
        return times

    def time_steps(self, n: int) -> npt.NDArray[np.int64]:
        """Times each step of the network in ``n`` consecutive runs, within the network, in
        nanoseconds, ``(n, steps)``.

        What a step is, the runtime says. Raises BackendError where it cannot tell, as most cannot.
        """
        raise BackendError(
            f"{type(self).__name__} cannot time the steps of a network; take simd-sparse, which can"
        )

    def profile(self, n: int) -> list[KernelTime]:
        """Times each kernel of the runtime in ``n`` consecutive runs, by the runtime's own profile.

        ``n`` is 1 or more. The kernels come in the order in which they run, each with the seconds
        of one run (``typical`` of the runs) and the layers of the network that it computes. Every
        layer but the inputs is in exactly one kernel, fused ones in the kernel that does their
        work; what is the runtime's own has none. ``latbench.export.kernel_layers`` tells all that
        from the names of kernels. A runtime that only a session opened for it can profile opens one
        here, and closes it.

        Raises BackendError where the runtime cannot tell, as many cannot.
        """
        raise BackendError(
            f"{type(self).__name__} cannot profile a network: its runtime does not say what each "
            "kernel takes; take onnxruntime, openvino, torch-eager, simd-sparse or ncnn, which do"
        )

    def close(self) -> None:  # noqa: B027 - a session may have nothing to free
        """Frees what the session holds. May be called more than once."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class Backend(ABC):
    """One way to execute a Model on a device. Subclasses add their options as fields."""

    name: ClassVar[str]
    # True only for fakes: their times come from a formula, so no wall clock agrees with them, a
    # campaign compares no outputs, and no figure may show them as a device's.
    simulated: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Checks the options against their annotations; a subclass that has more to check calls
        it first. Raises UsageError."""
        check_fields(self)

    @property
    def tolerance(self) -> float:
        """Returns the largest difference from the reference (torch float32, or what an ONNX file
        says) that still counts as the same work.

        It is a share of the largest output. A backend whose options lower the precision overrides
        it.
        """
        return 1e-4

    @property
    def rounding(self) -> Rounding:
        """Returns the precision that it rounds to, by which ``latbench.export.parity`` knows what a
        network adds up beyond the tolerance.

        A backend whose options lower the precision overrides it. One whose precision is none of
        these (int8, say) leaves it: its tolerance then has to say all.
        """
        return "float32"

    @property
    def requests(self) -> int:
        """Returns how many inferences a run holds, side by side; one that has several overrides
        it."""
        return 1

    @abstractmethod
    def availability(self) -> Availability:
        """Returns whether it can run on this machine with these options. Never raises."""

    @abstractmethod
    def load(self, model: Model) -> Session:
        """Loads ``model`` with its weights (``model.arrays``) and its inputs (``model.inputs()``,
        of floats, integers or truth values).

        A runtime that reads ONNX runs ``model.source`` as it is, where there is one: that is the
        file that the model came from. One that takes a single input of floats asks for
        ``model.input()``, which raises BackendError for all other models.
        Raises BackendError when the runtime cannot take it.
        """

    def cuda_device(self) -> int | None:
        """Returns CUDA's number of the GPU that these options run on; None where it is no CUDA
        device."""
        return None

    def device_name(self) -> str:
        """Returns the name of the device that these options run on. Raises BackendError when there
        is none."""
        device = self.cuda_device()
        return cpu_name() if device is None else cuda_device_name(device)


def typical(values: Sequence[float]) -> float:
    """Returns the mean of the fastest quarter of what was timed, at least of one.

    It is the time in the machine's fast state, as a campaign's is: whatever disturbs a run makes it
    slower, and a whole run meets that more often than one of its kernels does. The mean of several,
    since some clocks count whole microseconds only.
    """
    fastest = sorted(values)[: max(1, len(values) // 4)]
    return sum(fastest) / len(fastest)


def installed(module: str, remedy: str, distribution: str | None = None) -> Availability:
    """Returns an availability that depends on one importable module only; does not import it."""
    if importlib.util.find_spec(module) is None:
        return Availability(False, f"the Python package {module!r} is not installed", remedy)
    try:
        version = importlib.metadata.version(distribution or module)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    return Availability(True, version=version)


@contextmanager
def runtime_errors(action: str) -> Iterator[None]:
    """Turns whatever a runtime raises into a BackendError that begins with ``action``.

    >>> with runtime_errors("onnxruntime cannot load the network"):
    ...     ...
    """
    try:
        yield
    except LatbenchError:
        raise
    except Exception as error:
        raise backend_error(action, error) from error


def backend_error(action: str, error: Exception) -> BackendError:
    """Returns the BackendError for a runtime's own ``error``, of which only the first line is
    quoted.

    For ``run()``, where ``runtime_errors`` would add to the time that is measured.
    """
    lines = str(error).strip().splitlines() or ["no message"]
    return BackendError(f"{action}: {type(error).__name__}: {lines[0]}")
