"""Images of several sizes in one pass of a supernet (FBNetV2, section 3.2).

Wan et al., 2020, https://arxiv.org/abs/2004.05565: a smaller resolution reads every few pixels of a
larger map (nearest neighbour), runs the operation, and puts its results back where they came from,
with zeros between them; so results of all sizes lie on one grid, and their mean is weighed by the
odds of the resolutions. Which layers are one operation is ours: all between two changes of size.
The images themselves are resized as a derived network is given them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latbench.networks.network import Network
from latbench.networks.ops import Shape
from latbench.search.images.images import resized
from latbench.search.supernets.mixed import PassWeights, total
from latbench.spaces.open_number import at, open_names


class Sizes:
    """The sizes that a variable gives a network's input, and what lies where in its maps."""

    def __init__(self, network: Network, variable: str) -> None:
        self.variable, self._shape = variable, network.input_shape
        # The layers whose maps have another size than what they read, and one by resolution.
        self._changes = {
            i
            for i, layer in enumerate(network.layers)
            if variable in open_names(layer.shape[2:])
            and all(_table(network.layers[j].shape) != _table(layer.shape) for j in layer.inputs)
            and layer.inputs
        }

    def image(self, x: Tensor, option: int) -> Tensor:
        """Resizes images to an option's size."""
        return resized(x, at(self._shape[2:], {self.variable: option}))

    def mixed(self, i: int, maps: Sequence[Tensor], weights: PassWeights) -> list[Tensor]:
        """Returns the maps of layer ``i``, one an option that is used; where the layer changes the
        size, each is read from the mean of all."""
        if i not in self._changes:
            return list(maps)
        odds = [weights.rows[self.variable][k] for k in weights.used[self.variable]]
        largest = torch.Size(max(sizes) for sizes in zip(*(of.shape for of in maps), strict=True))
        mean = total([p * _scattered(of, largest) for p, of in zip(odds, maps, strict=True)])
        return [_subsampled(mean, of.shape) for of in maps]


def _table(shape: Shape) -> list[object]:
    """The sizes of a map, of which equal ones are equal."""
    return [getattr(n, "table", int(n)) for n in shape[2:]]


def _places(small: int, large: int) -> Tensor:
    """Where the pixels of a smaller map lie in a larger one, by nearest neighbour."""
    return torch.arange(small) * large // small


def _subsampled(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The pixels of ``(N, C, H, W)`` that a map of ``shape`` has."""
    if x.shape[2:] == tuple(shape[2:]):
        return x
    rows, columns = (
        _places(n, of).to(x.device) for n, of in zip(shape[2:], x.shape[2:], strict=True)
    )
    return x.index_select(2, rows).index_select(3, columns)


def _scattered(x: Tensor, shape: Sequence[int]) -> Tensor:
    """``(N, C, h, w)`` on a grid of ``shape``, zeros elsewhere."""
    if x.shape == tuple(shape):
        return x
    rows, columns = (
        _places(n, of).to(x.device) for n, of in zip(x.shape[2:], shape[2:], strict=True)
    )
    wide = x.new_zeros(*x.shape[:3], shape[3]).index_copy(3, columns, x)
    return x.new_zeros(tuple(shape)).index_copy(2, rows, wide)
