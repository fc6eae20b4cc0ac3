"""The NAS-Bench-201 supernet and its choices (Dong and Yang, 2020, arXiv 2001.00326, appendix).

Stem, residual blocks and classifier are those of ``latbench.spaces.nasbench201_space``. As
published (D-X-Y/AutoDL-Projects, xautodl/models/cell_searchs), batch norms inside cells have no
scale and shift and always normalise by the batch, those outside have both and track statistics, and
no batch norm follows a pooling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latbench.export.torch import NetworkModule
from latbench.networks.blocks import RELU, classifier, conv_bn
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import BatchNorm, Shape
from latbench.search.supernets.choices import Choices
from latbench.search.supernets.mixed_edge import EdgeFactory, total, used_operations
from latbench.search.training.steps import LAYOUT
from latbench.spaces.nasbench201_space import (
    EDGES,
    NODES,
    OPERATIONS,
    Cell201,
    NasBench201Config,
    operation,
    residual_block,
)


def _track_nothing(module: nn.Module) -> None:
    """Batch norms normalise by the batch, in eval mode as well."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def candidate(name: str, input_shape: Shape) -> NetworkModule:
    """Makes one candidate operation as a module with fresh weights."""
    b = NetworkBuilder(input_shape)
    module = NetworkModule(b.build(operation(b, b.input, name, input_shape[1], affine=False)))
    _track_nothing(module)
    return module


def candidates(input_shape: Shape, stride: int) -> nn.ModuleList:
    """Makes all operations but ``none``; the stride inside a cell is always 1."""
    return nn.ModuleList(candidate(name, input_shape) for name in OPERATIONS[1:])


def discretise(logits: Tensor, edges: Tensor | None = None) -> Tensor:
    """Returns one-hot rows of each edge's strongest operation: ``(..., 6, 5)`` to the same.

    Every edge is kept, so edge logits have no say.
    """
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, best, 1.0)


def soften(logits: Tensor, edges: Tensor | None = None) -> Tensor:
    """Returns the softmax, a smooth version of ``discretise``."""
    return torch.softmax(logits, dim=-1)


def cell(rows: Tensor) -> Cell201:
    """Returns the cell of one-hot rows ``(6, 5)``."""
    return Cell201(tuple(OPERATIONS[k] for k in rows.argmax(dim=-1).tolist()))


NASBENCH201 = Choices((len(EDGES), len(OPERATIONS)), candidates, discretise, soften, cell)


class _Cell201Mixed(nn.Module):
    """Nodes 1 to 3, each the sum of its edges from all earlier ones; the last is the output."""

    def __init__(self, shape: Shape, edge: EdgeFactory) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edge(shape, 1) for _ in EDGES)

    def forward(self, x: Tensor, rows: Sequence[Tensor], used: Sequence[Sequence[int]]) -> Tensor:
        """Each edge's row of weights and its used operations."""
        states = [x]
        for node in range(1, NODES):
            terms = [
                self.edges[e](states[source], rows[e], used[e])
                for e, (target, source) in enumerate(EDGES)
                if target == node
            ]
            states.append(total(terms))
        return states[-1]


def _stem(config: NasBench201Config) -> Network:
    b = NetworkBuilder(config.input_shape)
    return b.build(conv_bn(b, b.input, config.channels, 3))


def _residual(shape: Shape, channels: int) -> Network:
    b = NetworkBuilder(shape)
    return b.build(residual_block(b, b.input, channels))


def _head(shape: Shape, classes: int) -> Network:
    b = NetworkBuilder(shape)
    return b.build(classifier(b, b.add(RELU, b.add(BatchNorm(), b.input)), classes))


class _Stage(nn.Module):
    """The part before a stage's cells (stem or residual block), and the cells."""

    def __init__(self, before: Network, cells: int, edge: EdgeFactory) -> None:
        super().__init__()
        self.before = NetworkModule(before)
        self.cells = nn.ModuleList(_Cell201Mixed(before.output_shape, edge) for _ in range(cells))

    def forward(self, x: Tensor, rows: Sequence[Tensor], used: Sequence[Sequence[int]]) -> Tensor:
        x = self.before(x)
        for inner in self.cells:
            x = inner(x, rows, used)
        return x


class Supernet201(nn.Module):
    """The supernet of ``config``: three stages of ``config.cells`` cells, residual blocks between.

    ``edge`` makes the mixed operation of each edge; see ``Relaxation.edge``. Weights are fresh,
    from torch's global generator.
    """

    def __init__(self, config: NasBench201Config, edge: EdgeFactory) -> None:
        super().__init__()
        before = [_stem(config)]
        for stage in (1, 2):
            before.append(_residual(before[-1].output_shape, config.channels * 2**stage))
        self.stages = nn.ModuleList(_Stage(network, config.cells, edge) for network in before)
        self.head = NetworkModule(_head(before[-1].output_shape, config.classes))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` and mixture weights ``(6, 5)`` to logits ``(N, classes)``."""
        rows, used = weights.unbind(), used_operations(weights)
        x = x.contiguous(memory_format=LAYOUT)
        for stage in self.stages:
            x = stage(x, rows, used)
        logits: Tensor = self.head(x)
        return logits
