"""ncnn, on the CPU.

The model is written in ncnn's own format (latbench.export.ncnn_model) and loaded from memory. ncnn
has no batch: a run takes the images of a batch one after another, as its users do. Its results are
allocated in every run, as they are for its users.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import (
    Availability,
    Backend,
    Session,
    backend_error,
    installed,
    runtime_errors,
    typical,
)
from latbench.backends.precision import TOLERANCES, Precision
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime, kernels_of
from latbench.export.ncnn_model import to_ncnn
from latbench.export.ncnn_rules.ncnn_writer import stored
from latbench.export.parity import Rounding
from latbench.models import Model
from latbench.networks.general.windows import RectConv
from latbench.networks.network import Network
from latbench.networks.ops import Conv
from latbench.validation import Count

_REMEDY = "pip install 'latbench[ncnn]'"
_AS_IT_IS = 1  # a result in ncnn's own layout, not unpacked


@final
@dataclass(frozen=True)
class Ncnn(Backend):
    """A backend on ncnn; what else could change a time is fixed at ncnn's default, without Vulkan.

    ``fuse`` lets convolutions take over the batch norm and activation behind them, which ncnn's
    converters do before deployment. ``winograd`` allows the Winograd algorithm for 3x3
    convolutions. ``precision="float16"`` is ncnn's own default: it may store and compute in half
    precision where it has code for that (much of it on ARM, few layers on x86); ``"bfloat16"``
    stores activations and weights in bfloat16. Outputs may then differ from float32 by 1 % and by 5
    % of the largest one. In bfloat16, networks with a convolution in groups of several channels are
    refused: ncnn computes it wrongly (version 1.0.20261020 on x86: outputs off by their own size or
    by 1e30, from 2 groups of 2 channels on), and does not survive being told to compute that layer
    in float32.
    """

    name: ClassVar[str] = "ncnn"
    threads: Count = 1
    fuse: bool = True
    winograd: bool = True
    precision: Precision = "float32"

    @property
    def tolerance(self) -> float:
        """Returns the tolerance of its precision, see latbench.backends.precision."""
        return TOLERANCES[self.precision]

    @property
    def rounding(self) -> Rounding:
        """Returns its precision."""
        return self.precision

    def availability(self) -> Availability:
        """Returns that it is not ready without the Python package, or when it cannot be
        imported."""
        base = installed("ncnn", _REMEDY)
        if not base.ready:
            return base
        try:
            import ncnn

            return Availability(True, version=base.version or str(ncnn.__version__))
        except Exception as error:
            reason = f"ncnn is damaged ({type(error).__name__}: {error})"
            return Availability(False, reason, f"uninstall it, then {_REMEDY}")

    def load(self, model: Model) -> Session:
        """Opens a session with the network's weights in the layout that ncnn chose for this CPU."""
        if self.precision == "bfloat16":
            _refuse_groups(model.network)
        with runtime_errors(f"{self.name} cannot load the network"):
            return _NcnnSession(self, model)

    def configure(self, option: Any) -> None:
        """Sets these options in an ``ncnn.Option``, which must happen before a model is loaded."""
        option.num_threads = self.threads
        option.use_winograd_convolution = self.winograd
        option.use_bf16_storage = self.precision == "bfloat16"
        option.use_vulkan_compute = False
        half = self.precision == "float16"
        option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = half


def _refuse_groups(network: Network) -> None:
    """Raises BackendError where ncnn's bfloat16 gives wrong numbers; depthwise is right."""
    for i, layer in enumerate(network.layers):
        op = layer.op
        if isinstance(op, Conv | RectConv) and op.groups > 1:
            shape = network.input_shapes(layer)[0]
            if not 1 < op.groups == op.out_channels == shape[1]:
                raise BackendError(
                    f"ncnn computes convolutions in groups wrongly in bfloat16, and layer {i} has "
                    f"{shape[1]} channels in {op.groups} groups; take precision=float32 or float16"
                )


def _mat(x: npt.NDArray[Any], image: int, batch: int, dtype: str) -> Any:
    """An image of an input in ncnn's own memory, where the channels of a Mat are aligned, which
    those of an array are not."""
    import ncnn

    alone = x[image : image + 1] if batch > 1 and x.shape[0] == batch else x
    values = alone.astype(np.dtype(dtype)).view(np.float32)
    return ncnn.Mat(np.ascontiguousarray(values.reshape(stored(alone.shape)))).clone()


@final
class _NcnnSession(Session):
    def __init__(self, backend: Ncnn, model: Model) -> None:
        import ncnn

        files = to_ncnn(model.network, model.weights, fuse=backend.fuse)
        self.model_bytes: int | None = len(files.param) + len(files.weights)
        self._names, self._network, self._computed = files.outputs, model.network, files.computed
        self._shapes = [model.network.layers[i].shape for i in model.network.outputs]
        self._net = ncnn.Net()
        backend.configure(self._net.opt)
        if self._net.load_param_mem(files.param) != 0:
            raise BackendError("ncnn refused the layers; the lines above say which one")
        self._net.load_model_mem(files.weights)
        given, batch = model.inputs(), files.images
        self._inputs: list[dict[str, Any]] | None = [
            {name: _mat(given[j], k, batch, dtype) for name, j, dtype in files.inputs}
            for k in range(batch)
        ]
        self._outputs: list[list[Any]] = []

    def run(self) -> None:
        try:
            self._outputs = [self._infer(image) for image in self._inputs]  # type: ignore[union-attr]
        except Exception as error:
            self._check_open()
            raise backend_error("ncnn cannot run the network", error) from error

    def _infer(self, image: dict[str, Any]) -> list[Any]:
        """One image's outputs. An extractor keeps its results, so each image has its own."""
        extractor = self._net.create_extractor()
        for name, mat in image.items():
            extractor.input(name, mat)
        found = []
        for name in self._names:
            code, output = extractor.extract(name)
            if code != 0:
                raise BackendError(f"its code is {code}; -100 means out of memory")
            found.append(output)
        return found

    def outputs(self) -> Any:
        self._check_open()
        if not self._outputs:
            raise BackendError("there is no output; run the session first")
        found = tuple(
            np.stack([np.array(image[k]) for image in self._outputs]).astype(np.float32).reshape(s)
            for k, s in enumerate(self._shapes)
        )
        return found if len(found) > 1 else found[0]

    def profile(self, n: int) -> list[KernelTime]:
        """Times each of ncnn's layers by asking for its result, one after another.

        ncnn computes what is missing for a result and keeps it, in the layout that it is in. Images
        of a batch take as long as the first one.
        """
        self._check_open()
        steps = [layer for layer in self._net.layers() if layer.bottoms]
        with runtime_errors("ncnn cannot profile the network"):
            times = [self._step_times(steps) for _ in range(n)]
        images = len(self._inputs or ())
        timed = (
            (layer.name, self._computed[layer.name], 1e-9 * images * max(typical(of), 1))
            for layer, of in zip(steps, zip(*times, strict=True), strict=True)
        )
        return kernels_of(self._network, timed)

    def _step_times(self, steps: list[Any]) -> list[int]:
        """The nanoseconds of each layer for the first image."""
        assert self._inputs is not None
        extractor, times = self._net.create_extractor(), []
        for name, mat in self._inputs[0].items():
            extractor.input(name, mat)
        for layer in steps:
            start = time.perf_counter_ns()
            code, _ = extractor.extract(layer.tops[0], _AS_IT_IS)
            times.append(time.perf_counter_ns() - start)
            if code != 0:
                raise BackendError(f"its code is {code}; -100 means out of memory")
        return times

    def _check_open(self) -> None:
        if self._inputs is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        # Results and inputs may lie in memory that the net's allocators own, so it goes last.
        self._outputs, self._inputs = [], None
        self._net = None
