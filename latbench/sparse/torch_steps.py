"""The steps of a program that torch computes, called back by the engine."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import BackendError
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Network
from latbench.networks.ops import Input, Shape
from latbench.networks.weights import Array, Weights
from latbench.sparse.program import Program


class TorchSteps:
    """The layers of one image's network that the engine has no code for, and what it cannot hold.

    ``layers`` are their indices, without inputs and constants, which compute nothing. ``results``
    are the outputs of the last run, where torch holds them.
    """

    def __init__(self, network: Network, weights: Weights, program: Program) -> None:
        """Makes a module of each layer. Raises BackendError for a kind that torch has no rule
        for."""
        import torch

        from latbench.export.torch import layer_module

        self.network, self.program = network, program
        self.results: tuple[Array, ...] = ()
        self.layers = tuple(
            i
            for step in program.foreign
            for i in program.steps[step].layers
            if not isinstance(network.layers[i].op, Input | Constant)
        )
        self._held: dict[int, Any] = {}
        self._given = [
            torch.zeros(network.layers[i].shape, dtype=getattr(torch, network.types[i]))
            for i in network.inputs
        ]
        self._modules: dict[int, Any] = {}
        for step in program.foreign:
            for index in program.steps[step].layers:
                op, shapes = network.layers[index].op, network.input_shapes(network.layers[index])
                if isinstance(op, Input):
                    continue
                module = layer_module(op, shapes)
                own = {
                    name: torch.from_numpy(weights[f"{index}.{name}"])
                    for name in (*op.parameters(*shapes), *op.buffers(*shapes))
                }
                module.load_state_dict(own, strict=False)
                self._modules[step] = module.eval().requires_grad_(False)

    def take(self, inputs: tuple[npt.NDArray[Any], ...], image: int, batch: int) -> None:
        """Takes one image of the inputs that the next run computes."""
        import torch

        self._given = [
            torch.from_numpy(np.array(x[image : image + 1] if len(x) == batch > 1 else x))
            for x in inputs
        ]

    def compute(self, step: int, inputs: Any, output: Any) -> None:
        """Computes a step: reads the maps at the pointers ``inputs``, or what torch holds in their
        place, and writes to ``output`` what torch does not hold."""
        import torch

        record = self.program.steps[step]
        if not record.layers:
            shapes = [self.network.layers[i].shape for i in self.network.outputs]
            read = self._read(record.inputs, inputs, shapes)
            self.results = tuple(y.to(torch.float32).numpy() for y in read)
            return
        layer = self.network.layers[record.layers[0]]
        if isinstance(layer.op, Input):
            result = self._given[self.network.inputs.index(record.layers[0])]
        else:
            maps = record.inputs if layer.inputs else ()
            read = self._read(maps, inputs, self.network.input_shapes(layer))
            with torch.inference_mode():
                result = self._modules[step](*read)
        if tuple(result.shape) != layer.shape:
            raise BackendError(f"its result has shape {tuple(result.shape)}, not {layer.shape}")
        if record.output in self.program.held:
            self._held[record.output] = result
        else:
            array = np.ascontiguousarray(result.numpy(), np.float32)
            ctypes.memmove(output, array.ctypes.data, array.nbytes)

    def _read(self, maps: Sequence[int], pointers: Any, shapes: Sequence[Shape]) -> list[Any]:
        """What a step reads. A map may be that of several shapes: those of one pixel are one."""
        import torch

        found = []
        for j, (number, shape) in enumerate(zip(maps, shapes, strict=True)):
            if number in self.program.held:
                found.append(self._held[number])
            else:
                floats = ctypes.cast(pointers[j], ctypes.POINTER(ctypes.c_float))
                array = np.ctypeslib.as_array(floats, shape)
                found.append(torch.from_numpy(np.array(array)))  # the engine's memory is its own
        return found
