"""latbench's own engine for networks of few weights, on the CPU (``latbench.sparse``).

It computes in float32, skips every group of weights that is all zero, and runs dense networks too,
so that a network can be measured before and after it is pruned.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import Availability, Backend, Session, typical
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime, kernels_of
from latbench.models import Model
from latbench.sparse.libraries import (
    NO_COMPILER,
    REMEDY,
    can_be_had,
    chosen_set,
    engine_version,
    library,
)
from latbench.sparse.running import SparseNetwork
from latbench.sparse.tiles import ENGINE, loaded_in_tiles
from latbench.validation import Count


@final
@dataclass(frozen=True)
class SimdSparse(Backend):
    """A backend on latbench's sparse engine.

    ``group`` is how many filters make a group of weights, which is skipped where all of it is zero:
    16, the default, is one register of AVX-512 and two of AVX2; fewer are slower and can be pruned
    more finely. With 1, single weights are skipped, by kernels of their own whose registers hold
    pixels. ``instructions="auto"`` takes the widest registers that the CPU has. ``tune``
    takes the tiles that a model has with it for this CPU (``latbench.sparse.tiles``); where there
    are none it times, when a network is loaded, the tiles in which each of its convolutions could
    be computed, and takes the fastest, which takes up to a second. Without it the tiles are a
    guess, the same on every CPU.
    """

    name: ClassVar[str] = ENGINE
    threads: Count = 1
    group: Literal[16, 8, 4, 1] = 16
    instructions: Literal["auto", "avx512", "avx2", "baseline"] = "auto"
    tune: bool = True

    def availability(self) -> Availability:
        """Returns that it is not ready where the engine is not compiled and cannot be."""
        if not can_be_had():
            return Availability(False, NO_COMPILER, REMEDY)
        return Availability(True, version=engine_version())

    def load(self, model: Model) -> Session:
        """Packs the weights and chooses the tiles; the engine is compiled before, where this is the
        first time."""
        return _SparseSession(self, model)


@final
class _SparseSession(Session):
    def __init__(self, backend: SimdSparse, model: Model) -> None:
        library(chosen_set(backend.instructions))  # compiled once, which is no part of building
        start = time.perf_counter()
        network = loaded_in_tiles(
            model, group=backend.group, threads=backend.threads,
            instructions=backend.instructions, tune=backend.tune,
        )  # fmt: skip
        self.build_s = time.perf_counter() - start
        self._network: SparseNetwork | None = network
        self._layers = model.network
        self.model_bytes = network.weight_bytes
        kinds = {type(model.network.layers[i].op).__name__ for i in network.foreign_layers}
        self.fallbacks = tuple(f"{kind} by torch" for kind in sorted(kinds))
        self._given = model.inputs()
        self._input = self._output = None
        if network.program.plain:
            self._input = np.ascontiguousarray(self._given[0])
            self._output = np.empty(model.network.output_shape, np.float32)
        self._outputs: tuple[npt.NDArray[np.float32], ...] = ()

    def run(self) -> None:
        if self._network is None:
            raise BackendError("the session is closed; load the network again")
        if self._input is not None and self._output is not None:
            self._network.run(self._input, self._output)
            self._outputs = (self._output,)
        else:
            self._outputs = self._network.compute(*self._given)

    def outputs(self) -> Any:
        if self._network is None:
            raise BackendError("the session is closed; load the network again")
        if not self._outputs:
            raise BackendError("there is no output; run the session first")
        found = tuple(np.array(y) for y in self._outputs)
        return found if len(found) > 1 else found[0]

    def time_steps(self, n: int) -> npt.NDArray[np.int64]:
        """Times the steps of the engine's program, with the conversions of the input before them
        and of the output behind them; of one image."""
        if self._network is None:
            raise BackendError("the session is closed; load the network again")
        shape = self._network.input_shape
        image = np.zeros(shape, np.float32) if self._input is None else self._input[0]
        return self._network.profile(image, n)

    def profile(self, n: int) -> list[KernelTime]:
        """Times the steps of the engine's program; images of a batch take as long as the first."""
        times = self.time_steps(n)
        assert self._network is not None
        steps = self._network.program.steps
        names = ["conversion of the input", *(s.kind for s in steps), "conversion of the output"]
        layers = [(), *(s.layers for s in steps), ()]
        images = 1 if self._input is None else len(self._input)
        seconds = [1e-9 * images * max(typical(t.tolist()), 1) for t in times.T]
        return kernels_of(self._layers, zip(names, layers, seconds, strict=True))

    def close(self) -> None:
        if self._network is not None:
            self._network.close()
        self._network = None
