"""A model: a named network with its weights. It is what is measured, predicted and exported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from latbench.errors import UsageError, quoted
from latbench.models.network_json import network_values
from latbench.models.trained import Trained
from latbench.networks.network import Network
from latbench.networks.weights import Array, Weights, check_weights, make_input, make_weights

if TYPE_CHECKING:
    from onnx import ModelProto

    from latbench.export.torch import NetworkModule

_TEXT = re.compile(r".+@[0-9a-f]{16}")


def is_model_text(text: str) -> bool:
    """Returns whether a text is that of a model (``str(model)``), which no architecture's text may
    look like."""
    return _TEXT.fullmatch(text) is not None


@dataclass(frozen=True, eq=False)  # arrays have no truth value; equality is that of the texts
class Model:
    """A named network with its weights.

    ``weights`` are by the names of ``network.tensors()``, float32; None stands for invented ones
    (``latbench.networks.weights.make_weights``), which are the same for every backend.
    ``str(model)`` is ``name@digest``, by which a store knows it. Models with one text are equal.
    ``tuned`` are JSON values by the names of backends: in which way each of them was found to
    compute it fastest, such as in which tiles. ``trained`` says what the weights were trained on.
    Both change nothing of what is computed, and nothing of the text.

    Raises UsageError for weights that are not the network's.
    """

    name: str
    network: Network = field(repr=False)
    weights: Weights | None = field(default=None, repr=False)
    tuned: Mapping[str, Any] = field(default_factory=dict, repr=False)
    trained: Trained | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.weights is not None:
            check_weights(self.network, self.weights)
            spare = self.weights.keys() - {name for name, _, _ in self.network.tensors()}
            if spare:
                raise UsageError(
                    f"the model {quoted(self.name)} has weights {quoted(min(spare))} that its "
                    "network does not have; give those of network.tensors() only"
                )

    @cached_property
    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change with the network and the given weights."""
        values = json.dumps(network_values(self.network), sort_keys=True)
        digest = hashlib.sha256(values.encode())
        for name, array in sorted((self.weights or {}).items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
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

    def input(self) -> Array:
        """Makes the input that every backend is timed and checked with, float32, of
        ``network.input_shape``."""
        return make_input(self.network)

    def onnx(self) -> ModelProto:
        """Makes the ONNX model: one float32 input ``input``, one output ``output``.

        It is made at every call and not kept: what a runtime does not hold is no part of the memory
        that is measured.
        """
        from latbench.export.onnx import to_onnx

        return to_onnx(self.network, self.weights)

    def torch(self) -> NetworkModule:
        """Makes the network a float32 torch module in eval mode.

        It is made at every call: whoever moves it to a device, or in another precision, changes
        nobody else's.
        """
        from latbench.export.torch import to_torch

        return to_torch(self.network, self.weights)
