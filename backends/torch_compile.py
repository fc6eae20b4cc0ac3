"""PyTorch through torch.compile: Inductor's generated code, on the CPU or on CUDA.

Compiling happens in ``load``, which also runs the network until nothing is left to compile or to
capture, and takes from seconds to minutes (``Session.build_s``); kernels that an earlier load
compiled are read from Inductor's cache on disk.

Nothing falls back silently: the network is one graph (``fullgraph``), each session compiles a
function of its own (torch keeps compiled code by function, and after 8 networks through the same
one it would run them in eager mode), and with CUDA graphs the whole network is captured, or
``load`` raises BackendError.

Kernels are compiled in this process, one after another, so that no helper process that Inductor
would keep is at work while a network is timed.
"""

from __future__ import annotations

import builtins
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any, ClassVar, Literal, final

from latbench.backends.base import Availability, Session, runtime_errors
from latbench.backends.torch_device import missing_compiler
from latbench.backends.torch_session import TorchBackend, TorchModel, open_session
from latbench.errors import BackendError, UsageError
from latbench.models import Model

# The first run compiles; a CUDA graph is warmed up in the first, captured in the second and
# replayed from the third on (https://docs.pytorch.org/docs/stable/torch.compiler_cudagraph_trees.html).
_WARM_UP_RUNS = 3
_numbers = itertools.count()


@final
@dataclass(frozen=True)
class TorchCompile(TorchBackend):
    """A backend on ``torch.compile(fullgraph=True, dynamic=False)`` with Inductor, in inference
    mode.

    ``mode`` is torch.compile's: "reduce-overhead" is CUDA graphs, "max-autotune" times several
    kernels for each layer while it compiles, and on CUDA uses CUDA graphs as well
    (https://docs.pytorch.org/docs/stable/generated/torch.compile.html). With CUDA graphs, a run
    includes the copy of the input to the place where the graph reads it. ``disk_cache=False``
    compiles everything anew, so that ``build_s`` does not depend on what was compiled before.
    """

    name: ClassVar[str] = "torch-compile"
    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    disk_cache: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "reduce-overhead" and self.device == "cpu":
            raise UsageError(
                "mode='reduce-overhead' is CUDA graphs and would be mode='default' on a CPU; "
                "choose device='cuda' or another mode"
            )

    def availability(self) -> Availability:
        """Returns that it is not ready without a C++ compiler (CPU), or on a GPU that Triton has no
        code for."""
        base = super().availability()
        if not base.ready:
            return base
        try:
            reason, remedy = missing_compiler(self.device, self.device_id)
        except Exception as error:
            reason = f"torch.compile is not usable ({type(error).__name__}: {error})"
            remedy = "reinstall torch"
        return base if not reason else Availability(False, reason, remedy)

    def load(self, model: Model) -> Session:
        """Opens a session whose network is compiled and, with CUDA graphs, captured.

        Raises BackendError when any part of it would run uncompiled or uncaptured.
        """
        with runtime_errors(f"{self.name} ({self.device}) cannot load the network"):
            missing = missing_compiler(self.device, self.device_id)
            if missing[0]:
                raise BackendError("; ".join(missing))
            loaded = TorchModel(self, model)
            session = open_session(self, loaded)
            try:
                session.build_s = _build(self, loaded, session)
            except BaseException:
                session.close()
                raise
            return session


def _build(backend: TorchCompile, model: TorchModel, session: Session) -> float:
    """Compiles ``model`` in place; seconds from the start to the last warm-up run."""
    import torch
    import torch._dynamo.config as dynamo
    from torch._C._dynamo.eval_frame import reset_code
    from torch._dynamo.utils import counters

    if dynamo.disable:
        raise BackendError(
            "torch.compile is switched off in this process, so the network would run in eager "
            "mode; unset TORCHDYNAMO_DISABLE and TORCH_COMPILE_DISABLE"
        )
    start = time.perf_counter()
    function = _function_of_its_own(model.call)
    # The code and what was compiled for it keep each other alive; 0.3 MB a network (2026-11-24).
    model.release = partial(reset_code, function.__code__)
    with _inductor_settings(backend):
        before = counters["stats"]["unique_graphs"]
        skipped = counters["inductor"]["cudagraph_skips"]
        model.compiled = True
        model.call = torch.compile(function, fullgraph=True, dynamic=False, mode=backend.mode)
        for _ in range(_WARM_UP_RUNS):
            session.run()
        made = counters["stats"]["unique_graphs"] - before
        skipped = counters["inductor"]["cudagraph_skips"] - skipped
    if made != 1:
        raise BackendError(f"torch.compile made {made} graphs of the network; expected one")
    if skipped and backend.device == "cuda":
        raise BackendError(
            f"mode={backend.mode!r} did not capture the network as a CUDA graph; choose "
            "mode='default'"
        )
    return time.perf_counter() - start


def _function_of_its_own(call: Callable[..., Any]) -> FunctionType:
    """``call`` in a function with a code object and globals that go when the session goes.

    torch keeps what it compiled by code object, and leaves the compiled graph, with its weights'
    descriptions, in the function's globals for good.
    """

    def run(*x: Any) -> Any:
        return call(*x)

    name = f"network_{next(_numbers)}"
    code = run.__code__.replace(co_name=name)
    own = {"__name__": __name__, "__builtins__": builtins}
    return FunctionType(code, own, name, None, run.__closure__)


@contextmanager
def _inductor_settings(backend: TorchCompile) -> Iterator[None]:
    """Inductor's settings while it compiles; torch versions differ in which of them exist."""
    import torch._inductor.config as config
    from torch._inductor.utils import fresh_inductor_cache

    wanted: dict[str, Any] = {"compile_threads": 1}
    if backend.device == "cuda" and backend.mode != "default":
        # Partitions would be captured one by one, and those that cannot be, silently not.
        wanted |= {"graph_partition": False, "triton.cudagraph_or_error": True}
    known = config.get_config_copy() if hasattr(config, "get_config_copy") else {}
    with config.patch({key: value for key, value in wanted.items() if key in known}):
        if backend.disk_cache:
            yield
            return
        with fresh_inductor_cache():
            yield
