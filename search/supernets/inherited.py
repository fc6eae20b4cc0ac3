"""The network of an architecture with the weights that a supernet has trained for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.export.torch import NetworkModule
from latbench.networks.network import Layer
from latbench.networks.ops import Concat, Conv, Linear, Shape
from latbench.search.supernets.mixed import MixedModule
from latbench.search.supernets.supernet_module import Supernet, SupernetModule
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.derived import specialise
from latbench.spaces.open_number import at


def inherited(supernet: Supernet, space: AnySpace, architecture: Architecture) -> NetworkModule:
    """Makes an architecture's network with the supernet's weights, in eval mode.

    Of an open width it takes the channels that the architecture has. It computes what the supernet
    computes with the architecture's weights of 0 and 1.

    Args:
        supernet: A supernet of ``space.supernet(search=False)``, whose Mixed layers run all of
            their channels: a published search network has other layers than what is derived.
        space: The space of both.
        architecture: The architecture.

    Returns:
        The module.

    Raises:
        UsageError: For a supernet whose layers are not those of the derived network.
    """
    derived = specialise(supernet.body.network, space, architecture)
    network = derived.network
    if network != space.build(architecture):
        raise UsageError(
            f"the supernet of {space.name!r} is one to search by, and derives another network than "
            "is built; make it of space.supernet(search=False)"
        )
    module = NetworkModule(network)
    kept: list[Tensor] = [torch.arange(network.input_shape[1])]
    for i, layer in enumerate(network.layers[1:], 1):
        body, index = _place(supernet.body, derived.places[i])
        before = [kept[j] for j in layer.inputs]
        theirs = body.network.layers[index]
        sizes = [at(shape, None)[1] for shape in body.network.input_shapes(theirs)]
        state = body.layers[str(index)].state_dict()
        taken, channels = _taken(layer, network.layers[layer.inputs[0]].shape, before, sizes, state)
        module.layers[str(i)].load_state_dict(taken)
        kept.append(channels)
    return module.eval()


def _place(body: SupernetModule, place: tuple[int, ...]) -> tuple[SupernetModule, int]:
    """The part of a supernet that has a layer, and the layer's index in it."""
    while len(place) > 1:
        mixed: nn.Module = body.layers[str(place[0])]
        assert isinstance(mixed, MixedModule)
        inner = mixed.alternatives[place[1]]
        assert isinstance(inner, SupernetModule)
        body, place = inner, place[2:]
    return body, place[0]


def _taken(
    layer: Layer, shape: Shape, before: list[Tensor], sizes: list[int], state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """The part of a layer's weights that an architecture has, and which of the supernet's channels
    its result has.

    ``shape`` is that of its first input, ``before`` the supernet's that its inputs have, ``sizes``
    how many these have in the supernet.
    """
    if isinstance(layer.op, Concat):
        shifts = [sum(sizes[:k]) for k in range(len(sizes))]
        return {}, torch.cat([b + shift for b, shift in zip(before, shifts, strict=True)])
    whole = len(before[0]) == sizes[0]
    if isinstance(layer.op, Conv | Linear):
        depthwise = isinstance(layer.op, Conv) and layer.op.depthwise(shape)
        out = before[0] if depthwise else torch.arange(layer.shape[1])
        weight = state["weight"][out]
        grouped = isinstance(layer.op, Conv) and layer.op.groups > 1
        taken = {"weight": weight if depthwise or grouped or whole else weight[:, before[0]]}
        if "bias" in state:
            taken["bias"] = state["bias"][out]
        return taken, out
    if whole:  # whatever a layer does with all channels, as a slice or one weight for all
        return state, torch.arange(layer.shape[1])
    return {name: t[before[0]] if t.dim() else t for name, t in state.items()}, before[0]
