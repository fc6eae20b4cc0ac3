"""The engine from Python: a network in memory, ready to run."""

from __future__ import annotations

import ctypes
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latbench.errors import BackendError
from latbench.export.one_image import split_batch
from latbench.networks.network import FLOAT32_BYTES, Network
from latbench.networks.ops import Shape
from latbench.networks.weights import Array, Weights
from latbench.sparse.libraries import chosen_set, library
from latbench.sparse.program import Program, program_of
from latbench.sparse.torch_steps import TorchSteps

if TYPE_CHECKING:
    from typing_extensions import Self

GROUPS = (16, 8, 4, 1)
_LAYER = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p
)


@lru_cache(maxsize=8)
def opened_library(path: str) -> Any:
    """Opens a library and gives its functions their types (engine/latbench_sparse.h)."""
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    try:
        lib = ctypes.CDLL(path)
    except OSError as error:
        raise BackendError(
            f"cannot load {path} ({error}); delete it, to have it compiled again"
        ) from error
    types: dict[str, tuple[Any, list[Any]]] = {
        "lb_read": (pointer, [ctypes.c_char_p, size, ctypes.c_int, ctypes.c_int]),
        "lb_open": (pointer, [ctypes.c_char_p, ctypes.c_int, ctypes.c_int]),
        "lb_close": (None, [pointer]),
        "lb_error": (ctypes.c_char_p, []),
        "lb_input_size": (size, [pointer]),
        "lb_output_size": (size, [pointer]),
        "lb_shapes": (None, [pointer, pointer, pointer]),
        "lb_run": (None, [pointer, pointer, pointer, size]),
        "lb_tune": (None, [pointer]),
        "lb_steps": (size, [pointer]),
        "lb_tiles": (None, [pointer, pointer]),
        "lb_set_tiles": (ctypes.c_int, [pointer, pointer, size]),
        "lb_groups": (None, [pointer, size, pointer, pointer]),
        "lb_profile": (None, [pointer, pointer, size, pointer]),
        "lb_set_layers": (None, [pointer, _LAYER, pointer]),
        "lb_register": (ctypes.c_int, []),
    }
    for name, (result, arguments) in types.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def register_of(instructions: str) -> int:
    """Returns how many floats a register of a set of instructions holds, ``"auto"`` of the widest
    set that this CPU has. Raises as ``SparseNetwork`` does."""
    return int(opened_library(str(library(chosen_set(instructions)))).lb_register())


def fitting_images(images: Array, shape: Shape) -> Array:
    """Returns images as contiguous float32 of a shape ``(N, *shape)``; where an image is one pixel,
    ``(N, C)`` and ``(N, C, 1, 1)`` are the same.

    Raises BackendError for images of another shape.
    """
    given = images.shape[1:]
    if given != tuple(shape):
        pixel = math.prod(shape[1:]) == 1 == math.prod(given[1:]) and given[:1] == tuple(shape[:1])
        if not pixel:
            raise BackendError(
                f"the images have shape {images.shape}, the network takes (N, "
                f"{', '.join(map(str, shape))})"
            )
        images = images.reshape(len(images), *shape)
    return np.ascontiguousarray(images, np.float32)


class LoadedNetwork:
    """A network that the engine has loaded: its weights packed, its tiles chosen.

    It is called with images ``(N, C, H, W)``, or ``(N, C)`` where an image is one pixel, float32,
    and returns outputs ``(N, C, H, W)``, or ``(N, C)`` where an output is one pixel; any number of
    images is run, one after another. One thread may use it at a time. Close it, or use ``with``, to
    free its memory at once.
    """

    def __init__(self, lib: Any, handle: int | None, threads: int) -> None:
        """Takes over a network that ``lib`` has loaded. Raises BackendError where it has not."""
        self._lib, self._handle, self.threads = lib, handle, threads
        if not handle:
            self._handle = None
            raise BackendError(f"the engine refused the network: {lib.lb_error().decode()}")
        self.steps = int(lib.lb_steps(handle))
        shapes = np.zeros((2, 3), np.int32)
        lib.lb_shapes(handle, shapes[0].ctypes.data, shapes[1].ctypes.data)
        self.input_shape: tuple[int, ...] = tuple(map(int, shapes[0]))
        self.output_shape: tuple[int, ...] = tuple(map(int, shapes[1]))
        if self.output_shape[1:] == (1, 1):
            self.output_shape = self.output_shape[:1]
        self.register = int(lib.lb_register())  # floats: 16 for AVX-512, 8 for AVX2
        self.error: BaseException | None = None

    def __call__(self, images: Array) -> Array:
        """Computes the outputs ``(N, ...)`` of images ``(N, C, H, W)``.

        Raises BackendError for images of another shape, and when the network is closed.
        """
        images = fitting_images(images, self.input_shape)
        outputs = np.empty((len(images), *self.output_shape), np.float32)
        self.run(images, outputs)
        return outputs

    def run(self, images: Array, outputs: Array) -> None:
        """Computes into ``outputs``; both contiguous float32 of the right shapes, unchecked, as
        whoever times a run wants it."""
        self._lib.lb_run(self.handle, images.ctypes.data, outputs.ctypes.data, len(images))
        if self.error is not None:
            self._raise()

    def _raise(self) -> None:
        """Raises what happened in a layer that torch computes, if anything did."""
        error, self.error = self.error, None
        if isinstance(error, Exception):
            raise BackendError(f"a layer failed that torch computes: {error}") from error
        if error is not None:
            raise error  # Ctrl-C

    @property
    def handle(self) -> int:
        """Returns the engine's pointer. Raises BackendError when the network is closed."""
        if self._handle is None:
            raise BackendError("the session is closed; load the network again")
        return int(self._handle)

    def tune(self) -> None:
        """Times the tiles that each convolution could be computed in, and takes the fastest."""
        self._lib.lb_tune(self.handle)
        self._raise()

    @property
    def tiles(self) -> npt.NDArray[np.int32]:
        """Returns how each step is computed, ``(steps, 3)``: rows and columns of a tile, and which
        loop is the outer one."""
        found = np.zeros((self.steps, 3), np.int32)
        self._lib.lb_tiles(self.handle, found.ctypes.data)
        return found

    @tiles.setter
    def tiles(self, chosen: npt.NDArray[np.int32]) -> None:
        chosen = np.ascontiguousarray(chosen, np.int32)
        fits = chosen.shape == (self.steps, 3)
        if not fits or not self._lib.lb_set_tiles(self.handle, chosen.ctypes.data, len(chosen)):
            raise BackendError(
                "these tiles are of another network, group or set of instructions; tune it again"
            )

    def groups(self) -> npt.NDArray[np.int64]:
        """Returns of each step the groups of weights that are kept, and all of them:
        ``(steps, 2)``, zeros where a step has no weights that can be skipped."""
        found = np.zeros((self.steps, 2), np.int64)
        for i in range(len(found)):
            at = found[i].ctypes.data
            self._lib.lb_groups(self.handle, i, at, at + 8)
        return found

    def profile(self, image: Array, repeats: int) -> npt.NDArray[np.int64]:
        """Returns the nanoseconds of each step in each of ``repeats`` runs of one image
        ``(C, H, W)``.

        The result is ``(repeats, steps + 2)``; its first and last columns are the conversions of
        the image and of the output.
        """
        if image.shape != self.input_shape:
            raise BackendError(
                f"the image has shape {image.shape}, the network takes {self.input_shape}"
            )
        image = np.ascontiguousarray(image, np.float32)
        ns = np.zeros((repeats, self.steps + 2), np.int64)
        self._lib.lb_profile(self.handle, image.ctypes.data, repeats, ns.ctypes.data)
        self._raise()
        return ns

    def close(self) -> None:
        """Frees the memory. May be called more than once."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._lib.lb_close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


class SparseNetwork(LoadedNetwork):
    """A network with its weights that is loaded from memory; layers that the engine has no code
    for are computed by torch."""

    def __init__(
        self,
        network: Network,
        weights: Weights,
        *,
        group: int = 16,
        threads: int = 1,
        instructions: str = "auto",
    ) -> None:
        """Loads a network.

        Args:
            network: The network; its batch does not matter.
            weights: Its weights, of which groups that are all zero are skipped.
            group: How many filters make a group: 16, 8, 4, or 1, which skips single weights.
            threads: The threads of a run.
            instructions: ``"avx512"``, ``"avx2"`` or ``"baseline"``; ``"auto"`` is the widest that
                the CPU has.

        Raises:
            BackendError: Where the engine cannot be compiled, or cannot take the network.
            UsageError: For instructions that the CPU does not have, and wrong weights.
        """
        self.program: Program = program_of(network, weights)
        self.group = group
        lib = opened_library(str(library(chosen_set(instructions))))
        content = self.program.to_bytes(group)
        super().__init__(lib, lib.lb_read(content, len(content), group, threads), threads)
        if self.program.plain:
            self.input_shape = network.input_shape[1:]
            self.output_shape = network.output_shape[1:]
        alone, self._images = split_batch(network)
        self._foreign_bytes = sum(
            FLOAT32_BYTES * math.prod(shape)
            for step in self.program.foreign
            for layer in self.program.steps[step].layers
            for name, shape, _ in network.tensors()
            if name.startswith(f"{layer}.")
        )
        self._torch = None
        if self.program.foreign:
            self._torch = TorchSteps(alone, weights, self.program)
            self._callback = _LAYER(self._call)
            lib.lb_set_layers(self._handle, self._callback, None)

    def _call(self, data: Any, step: int, inputs: Any, output: Any) -> None:
        try:
            assert self._torch is not None
            self._torch.compute(step, inputs, output)
        except BaseException as error:  # it would be lost in the engine
            self.error = error

    def compute(self, *inputs: npt.NDArray[Any]) -> tuple[Array, ...]:
        """Computes the outputs of a network with whatever inputs and outputs, all of float32.

        Raises BackendError when the network is closed.
        """
        if self.program.plain:
            return (self(inputs[0]),)
        found = [self._compute_one(inputs, k) for k in range(self._images)]
        return tuple(
            np.concatenate(parts) if self._images > 1 else parts[0]
            for parts in zip(*found, strict=True)
        )

    def _compute_one(self, inputs: tuple[npt.NDArray[Any], ...], image: int) -> tuple[Array, ...]:
        assert self._torch is not None
        self._torch.take(inputs, image, self._images)
        given, result = (
            np.zeros(math.prod(shape), np.float32)
            for shape in (self.input_shape, self.output_shape)
        )
        if 0 not in self.program.held:
            given = np.ascontiguousarray(inputs[0][image], np.float32)
        self.run(given[None], result[None])
        if len(self.program.maps) - 1 in self.program.held:
            return self._torch.results
        return (result.reshape(1, *self.output_shape),)

    @property
    def foreign_layers(self) -> tuple[int, ...]:
        """Returns the indices of the layers that torch computes."""
        return () if self._torch is None else self._torch.layers

    @property
    def weight_bytes(self) -> int:
        """Returns the bytes of the weights that it holds: the groups that are left, each with its
        place, what is kept of every channel (biases, factors, depthwise weights), in blocks of a
        group, and what torch has of its layers."""
        total = int(self.groups()[:, 0].sum()) * (self.group + 1)
        for step in self.program.steps:
            each = [step.bias, step.weights if step.kind in ("depthwise", "scale") else None]
            for array in each:
                if array is not None:
                    blocks = -(-len(array) // self.group)
                    total += blocks * self.group * math.prod(array.shape[1:])
        return FLOAT32_BYTES * total + self._foreign_bytes
