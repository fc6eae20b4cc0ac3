"""The part that a predictor gives each layer of one network, where it is a sum over layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latbench.encodings import encode_networks
from latbench.encodings.layers import LAYER_FEATURES, layers_of, space_slots
from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.networks.optimisation import savings
from latbench.predictors.model import LatencyModel
from latbench.timing.metric import LATENCY

# Of the whole: by how much the parts of a sum may miss it through rounding.
ROUNDING = 1e-4


@dataclass(frozen=True)
class PredictedNetwork:
    """A network's predicted latency in seconds, and the part of each layer.

    ``layers_s`` has one value a layer, the input's being 0, and adds up to ``whole_s`` less
    ``besides_s``, which is what a run takes besides; None where the predictor is no sum over
    layers. A part may be negative: where a fused layer saves time, say.
    """

    whole_s: float
    besides_s: float | None = None
    layers_s: tuple[float, ...] | None = None


def predict_network(
    model: LatencyModel, network: Network, architecture: Any = None
) -> PredictedNetwork:
    """Predicts a network, with the part of each of its layers where the predictor tells them.

    Args:
        model: The fitted predictor.
        network: The network, of the predictor's space or made of the same kinds of layers.
        architecture: The network as an architecture of the predictor's space; None where it is
            none, which only predictors that read layers can take.

    Returns:
        The prediction.

    Raises:
        UsageError: Where the predictor is of another metric than latency, reads more than layers
            of what is no architecture, or does not know a layer.
    """
    if model.metric != LATENCY:
        raise UsageError(
            f"the predictor is of {model.metric.label}; a profile is compared with one of latency"
        )
    if model.predictor.encoding != "layers":
        return PredictedNetwork(_whole(model, network, architecture))
    slots = space_slots(model.space)
    row = layers_of(network, slots).astype(np.float64)
    whole = float(model.predictor.predict(row[None])[0])
    if not model.predictor.sums_layers:
        return PredictedNetwork(whole)
    parts = model.predictor.unbounded(_rows(network, row, slots.numbers))
    besides = float(parts[0])
    layers = parts - besides
    total = float(model.predictor.unbounded(row[None])[0])
    if abs(layers.sum() + besides - total) > ROUNDING * abs(total):
        return PredictedNetwork(whole)
    return PredictedNetwork(whole, besides, tuple(map(float, layers)))


def _whole(model: LatencyModel, network: Network, architecture: Any) -> float:
    if architecture is not None:
        return float(model.predict([architecture])[0])
    encoded = encode_networks([network], model.predictor.encoding)
    return float(model.predictor.predict(encoded)[0])


def _rows(network: Network, row: Any, numbers: Any) -> Any:
    """An encoding of each layer alone, and of none for the input."""
    slots = row.reshape(-1, len(LAYER_FEATURES))
    one = np.zeros((len(network.layers), *slots.shape))
    one[:, :, -1] = slots[:, -1]  # a slot's group is the same in every row
    repeated, fusible = savings(network)
    for i, layer in enumerate(network.layers):
        if layer.inputs:
            slot = numbers[network.kind(layer)]
            macs, moved = slots[slot, 1:3]
            one[i, slot, :-1] = (1, macs, moved, i in repeated, i in fusible)
    return one.reshape(len(one), -1)
