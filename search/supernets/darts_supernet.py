"""The DARTS supernet: every candidate operation on every edge, mixed by a relaxation.

No layer is listed here. Stem, preprocessing, candidate operations and classifier are those of
``latbench.spaces.darts_space``, built as small Networks and run by the torch exporter, so that what
is searched is what is derived, exported and measured.

As published (Liu et al., 2019, and quark0/darts, cnn/model_search.py): batch norms inside cells
have no scale and shift, and a pooling is followed by one. ``none`` is not a module, since it adds
nothing to a sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latbench.export.torch import NetworkModule
from latbench.networks.blocks import classifier
from latbench.networks.network import Layer, Network, NetworkBuilder
from latbench.networks.ops import BatchNorm, Input, Shape
from latbench.search.supernets.mixed_edge import EdgeFactory, total, used_operations
from latbench.search.training.steps import LAYOUT
from latbench.spaces.darts_space import DartsConfig, operation, preprocess, reduction_cells, stem
from latbench.spaces.genotypes import EDGES, NODES, OPERATIONS


def candidate(name: str, input_shape: Shape, stride: int) -> NetworkModule:
    """Makes one candidate operation as a module with fresh weights; it keeps the input's
    channels."""
    b = NetworkBuilder(input_shape)
    x = operation(b, b.input, name, input_shape[1], stride, affine=False)
    if name.endswith("pool_3x3"):
        x = b.add(BatchNorm(affine=False), x)
    return NetworkModule(b.build(x))


def candidates(input_shape: Shape, stride: int) -> nn.ModuleList:
    """Makes all operations but ``none``, in the order of ``OPERATIONS[1:]``."""
    return nn.ModuleList(candidate(name, input_shape, stride) for name in OPERATIONS[1:])


def _preprocessing(input_shape: Shape, channels: int, reduce: bool) -> Network:
    b = NetworkBuilder(input_shape)
    return b.build(preprocess(b, b.input, channels, reduce, affine=False))


class _DartsCell(nn.Module):
    """Four nodes, each the sum of all its edges, concatenated."""

    def __init__(
        self, before: Shape, last: Shape, channels: int, reduction: bool, after_reduction: bool,
        edge: EdgeFactory,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kind = 1 if reduction else 0
        inputs = (
            _preprocessing(before, channels, after_reduction),
            _preprocessing(last, channels, False),
        )
        self.inputs = nn.ModuleList(NetworkModule(network) for network in inputs)
        n, c, h, w = inputs[1].output_shape
        stride = 2 if reduction else 1
        inner = (n, c, -(-h // stride), -(-w // stride))
        self.edges = nn.ModuleList(
            edge((n, c, h, w), stride) if source < 2 else edge(inner, 1) for _, source in EDGES
        )
        self.output_shape: Shape = (n, NODES * c, *inner[2:])

    def forward(
        self, before: Tensor, last: Tensor, weights: Tensor, used: Sequence[Sequence[int]]
    ) -> Tensor:
        """``weights (2, 14, 8)`` and the used operations of its 28 rows; the cell takes the half of
        its kind."""
        rows, used = weights[self.kind].unbind(), used[self.kind * len(EDGES) :]
        states: list[Tensor] = [self.inputs[0](before), self.inputs[1](last)]
        for node in range(NODES):
            terms = [
                self.edges[e](states[source], rows[e], used[e])
                for e, (target, source) in enumerate(EDGES)
                if target == node
            ]
            states.append(total(terms))
        return torch.cat(states[-NODES:], dim=1)


def _stems(config: DartsConfig) -> tuple[Network, Network]:
    """The stem in two parts, input to ``before`` and ``before`` to ``last``.

    For CIFAR both are the same tensor, and the second part is empty.
    """
    b = NetworkBuilder((1, *config.input_shape[1:]))
    before, last = stem(b, config)
    first, whole = b.build(before), b.build(last)
    cut = len(first.layers) - 1
    start = Layer(Input(first.output_shape), (), first.output_shape)
    rest = (
        Layer(layer.op, tuple(i - cut for i in layer.inputs), layer.shape)
        for layer in whole.layers[cut + 1 :]
    )
    return first, Network((start, *rest))


class Supernet(nn.Module):
    """The supernet of ``config`` (channels, cells, classes, input and stem as in DARTS).

    ``edge`` makes the mixed operation of each edge; see ``Relaxation.edge``. Weights are fresh,
    from torch's global generator.
    """

    def __init__(self, config: DartsConfig, edge: EdgeFactory) -> None:
        super().__init__()
        stems = _stems(config)
        self.stems = nn.ModuleList(NetworkModule(network) for network in stems)
        before, last = stems[0].output_shape, stems[1].output_shape
        channels, after_reduction = config.channels, config.stem == "imagenet"
        self.cells = nn.ModuleList()
        for i in range(config.cells):
            reduction = i in reduction_cells(config.cells)
            channels *= 2 if reduction else 1
            cell = _DartsCell(before, last, channels, reduction, after_reduction, edge)
            self.cells.append(cell)
            before, last, after_reduction = last, cell.output_shape, reduction
        b = NetworkBuilder(last)
        self.classifier = NetworkModule(b.build(classifier(b, b.input, config.classes)))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` and mixture weights ``(2, 14, 8)`` to logits ``(N, classes)``."""
        before = self.stems[0](x.contiguous(memory_format=LAYOUT))
        last = self.stems[1](before)
        used = used_operations(weights)
        for cell in self.cells:
            before, last = last, cell(before, last, weights, used)
        logits: Tensor = self.classifier(last)
        return logits
