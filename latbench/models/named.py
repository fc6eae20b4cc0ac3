"""A model: a named network with its weights. It is what is measured, predicted and exported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latbench.errors import BackendError, UsageError, quoted, unknown
from latbench.models.network_json import network_values
from latbench.models.trained import Trained
from latbench.networks.network import Network
from latbench.networks.ops import Input
from latbench.networks.weights import Array, Weights, check_weights, make_inputs, make_weights

if TYPE_CHECKING:
    from onnx import ModelProto

    from latbench.export.torch import NetworkModule

_TEXT = re.compile(r".+@[0-9a-f]{16}")


def is_model_text(text: str) -> bool:
    """Returns whether a text is that of a model (``str(model)``), which no architecture's text may
    look like."""
    return _TEXT.fullmatch(text) is not None


def digest_of(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Returns 16 hexadecimal digits that change with any of the arrays, and with their names."""
    digest = hashlib.sha256()
    _add(digest, arrays)
    return digest.hexdigest()[:16]


def _add(digest: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, array in sorted(arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())


@dataclass(frozen=True, eq=False)  # arrays have no truth value; equality is that of the texts
class Model:
    """A named network with its weights.

    ``weights`` are by the names of ``network.tensors()``, float32; None stands for invented ones
    (``latbench.networks.weights.make_weights``), which are the same for every backend.
    ``str(model)`` is ``name@digest``, by which a store knows it. Models with one text are equal.
    ``tuned`` are JSON values by the names of backends: in which way each of them was found to
    compute it fastest, such as in which tiles. ``trained`` says what the weights were trained on.
    Both change nothing of what is computed, and nothing of the text.
    ``source`` is the ONNX file that the model was read from, whole, with its weights: runtimes that
    read ONNX run it as it is. ``given`` are inputs by name, in place of invented ones; ``notes``
    are sentences on what was invented where the file says nothing.

    Raises UsageError for weights or inputs that are not the network's.
    """

    name: str
    network: Network = field(repr=False)
    weights: Weights | None = field(default=None, repr=False)
    tuned: Mapping[str, Any] = field(default_factory=dict, repr=False)
    trained: Trained | None = field(default=None, repr=False)
    source: bytes | None = field(default=None, repr=False)
    given: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.weights is not None:
            check_weights(self.network, self.weights)
            spare = self.weights.keys() - {name for name, _, _ in self.network.tensors()}
            if spare:
                raise UsageError(
                    f"the model {quoted(self.name)} has weights {quoted(min(spare))} that its "
                    "network does not have; give those of network.tensors() only"
                )
        if self.given:
            self._check_given()

    def _check_given(self) -> None:
        """Refuses inputs that the network does not have, or that are of another shape or type."""
        made = dict(zip(self.input_names, make_inputs(self.network), strict=True))
        for name, array in self.given.items():
            if name not in made:
                raise UsageError(f"{quoted(self.name)}: {unknown('input', name, made)}")
            expected = made[name]
            if (array.dtype, array.shape) != (expected.dtype, expected.shape):
                raise UsageError(
                    f"{quoted(self.name)}: the input {quoted(name)} is of {expected.dtype} and "
                    f"shape {expected.shape}; got {array.dtype} of shape {array.shape}"
                )

    @classmethod
    def from_onnx(
        cls,
        path: str | Path,
        shapes: Mapping[str, Sequence[int]] | None = None,
        given: Mapping[str, npt.NDArray[Any]] | None = None,
        name: str | None = None,
    ) -> Model:
        """Reads an ONNX file as a model; nothing in the file runs.

        Args:
            path: The file; external data lies in its folder.
            shapes: Shapes by the names of inputs, for those whose sizes the file leaves open.
            given: Arrays by the names of inputs; others are invented, and ``notes`` say how.
            name: What the model is called; the file's name without its suffix by default.

        Returns:
            The model, with the file as its ``source``.

        Raises:
            ParseError: For a file that is no whole ONNX model, or has a part that cannot be read.
            UsageError: For shapes and arrays that its inputs do not take.
        """
        from latbench.importing.reading import read_onnx

        read = read_onnx(path, shapes, given)
        return cls(
            name or Path(path).stem, read.network, read.weights, source=read.source,
            given=read.given, notes=read.notes,
        )  # fmt: skip

    def at_batch(self, batch: int, name: str) -> Model:
        """Reads the model's ``source`` again for runs of another batch, the first size of every
        input that has the first one's. Raises ParseError where the file has a fixed batch inside,
        and UsageError for a model without a source, or one with given inputs."""
        from latbench.importing.reading import read_onnx_bytes

        if self.source is None or self.given:
            raise UsageError(f"{self.name} has no other batch: it is no file, or has given inputs")
        inputs = [self.network.layers[i] for i in self.network.inputs]
        shapes = {
            layer.op.name: (batch, *layer.shape[1:])
            for layer in inputs
            if isinstance(layer.op, Input) and layer.shape[:1] == inputs[0].shape[:1]
        }
        read = read_onnx_bytes(self.source, self.name, shapes)
        return replace(
            self, name=name, network=read.network, weights=read.weights, source=read.source
        )

    @classmethod
    def from_torch(cls, module: Any, *examples: Any, name: str | None = None) -> Model:
        """Makes a model of a torch module by ``torch.onnx.export``.

        Args:
            module: The module, which is exported in eval mode and stays in the mode that it is in.
            examples: Tensors that it is called with; integers among them are kept as inputs.
            name: What the model is called; the class of the module by default.

        Returns:
            The model, with the exported file as its ``source``.

        Raises:
            UsageError: For a module that torch cannot export.
            ParseError: For one with a part that cannot be read.
        """
        from latbench.importing.torch_modules import read_torch

        called = name or type(module).__name__
        read = read_torch(module, examples, called)
        return cls(
            called, read.network, read.weights, source=read.source, given=read.given,
            notes=read.notes,
        )  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change with the network and the given weights."""
        values = json.dumps(network_values(self.network), sort_keys=True)
        digest = hashlib.sha256(values.encode())
        if self.source is not None:  # which has the weights
            digest.update(self.source)
            return digest.hexdigest()[:16]
        _add(digest, self.weights or {})
        return digest.hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def arrays(self) -> Weights:
        """Returns the weights by the names of ``network.tensors()``, given or invented now."""
        return make_weights(self.network) if self.weights is None else self.weights

    @property
    def input_names(self) -> tuple[str, ...]:
        """Returns what the file that it came from calls its inputs, in the order of
        ``network.inputs``; empty texts in a model of no file."""
        ops = (self.network.layers[i].op for i in self.network.inputs)
        return tuple(op.name for op in ops if isinstance(op, Input))

    def inputs(self) -> tuple[npt.NDArray[Any], ...]:
        """Makes the inputs that every backend is timed and checked with, in the order of
        ``network.inputs``: those that were given, invented ones otherwise."""
        made = zip(self.input_names, make_inputs(self.network), strict=True)
        return tuple(self.given.get(name, x) for name, x in made)

    def input(self) -> Array:
        """Makes the input of a network that has one of floats, float32, of
        ``network.input_shape``. Raises BackendError for a network with other ones."""
        if len(self.network.inputs) > 1 or self.network.types[0] != "float32":
            raise BackendError(
                f"{quoted(self.name)} has inputs that are not one of floats, which this backend "
                "does not take; measure it on onnxruntime or torch-eager"
            )
        return self.inputs()[0]

    def onnx(self) -> ModelProto:
        """Makes the ONNX model: that which was read, or one with a float32 input ``input`` and an
        output ``output``.

        It is made at every call and not kept: what a runtime does not hold is no part of the memory
        that is measured.
        """
        if self.source is not None:
            import onnx

            return onnx.load_from_string(self.source)
        from latbench.export.onnx import to_onnx

        return to_onnx(self.network, self.weights)

    def named_after_layers(self) -> tuple[Model, Callable[[str], str]]:
        """Returns a model for a runtime's profile, which computes the same, and what makes of the
        runtime's names of kernels those that people see.

        The nodes of its ``source`` are called after layers
        (``latbench.importing.node_names``), as those of an exported network are. Raises
        BackendError for a file that cannot be profiled.
        """
        if self.source is None:
            return self, str
        from latbench.importing.node_names import named_after_layers

        names = named_after_layers(self.source, self.network)
        return replace(self, source=names.source), names.shown

    def torch(self) -> NetworkModule:
        """Makes the network a float32 torch module in eval mode.

        It is made at every call: whoever moves it to a device, or in another precision, changes
        nobody else's.
        """
        from latbench.export.torch import to_torch

        return to_torch(self.network, self.weights)
