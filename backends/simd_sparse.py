"""latbench's own engine for networks of few weights, on the CPU (``latbench.sparse``).

It computes in float32, skips every group of weights that is all zero, and runs dense networks too,
so that a network can be measured before and after it is pruned.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import Availability, Backend, Session
from latbench.errors import BackendError
from latbench.models import Model
from latbench.sparse.libraries import NO_COMPILER, REMEDY, can_be_had, engine_version
from latbench.sparse.running import SparseNetwork
from latbench.validation import Count


@final
@dataclass(frozen=True)
class SimdSparse(Backend):
    """A backend on latbench's sparse engine.

    ``group`` is how many filters make a group of weights, which is skipped where all of it is zero:
    16, the default, is one register of AVX-512 and two of AVX2; fewer are slower and can be pruned
    more finely. With 1, single weights are skipped, by kernels of their own whose registers hold
    pixels. ``instructions="auto"`` takes the widest registers that the CPU has. ``tune``
    times, when a network is loaded, the tiles in which each of its convolutions could be computed,
    and takes the fastest, which takes up to a second; without it the tiles are a guess, the same
    on every CPU.
    """

    name: ClassVar[str] = "simd-sparse"
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
        self._network: SparseNetwork | None = SparseNetwork(
            model.network, model.arrays, group=backend.group, threads=backend.threads,
            instructions=backend.instructions,
        )  # fmt: skip
        start = time.perf_counter()
        if backend.tune:
            self._network.tune()
        self.build_s = time.perf_counter() - start
        kept = int(self._network.groups()[:, 0].sum())
        self.model_bytes = kept * (4 * backend.group + 4)  # a group's weights and its place
        self._input = np.ascontiguousarray(model.input())
        self._output = np.empty(model.network.output_shape, np.float32)
        self._ran = False

    def run(self) -> None:
        if self._network is None:
            raise BackendError("the session is closed; load the network again")
        self._network.run(self._input, self._output)
        self._ran = True

    def outputs(self) -> npt.NDArray[np.float32]:
        if self._network is None:
            raise BackendError("the session is closed; load the network again")
        if not self._ran:
            raise BackendError("there is no output; run the session first")
        return np.array(self._output)

    def close(self) -> None:
        if self._network is not None:
            self._network.close()
        self._network = None
