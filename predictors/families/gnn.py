"""A graph network over the Network's layers: the only predictor that knows no space.

Each layer starts from its own features (kind, work, shapes, window), takes up what it reads in
GRAPH_ROUNDS rounds of message passing (Gilmer et al., 2017, https://arxiv.org/abs/1704.01212; so
that a batch norm can know that it follows a convolution and will be fused), and gets a positive
cost; the network costs their sum:

    h0 = relu(A f + kind),   h' = relu(B h + C sum of inputs' h),   y = unit * sum softplus(w h + k)

Additive, unlike BRP-NAS' read-out of one global node (Dudziak et al., 2020,
https://arxiv.org/abs/2007.08859), because latency nearly is and because that carries over to deeper
networks. All features are logarithms of sizes, so that rows of several spaces can be stacked with
``latbench.encodings.graph.stack_graphs``, and a fitted model predicts graphs of any width, whose
layers read any number of others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from latbench.encodings.graph import GRAPH_FEATURES, GRAPH_ROUNDS, NODE_FEATURES
from latbench.encodings.kind_numbers import KIND_NUMBERS
from latbench.errors import ParseError, UsageError
from latbench.predictors.base import Floats, LatencyPredictor, check_features, check_number
from latbench.predictors.families.torch_training import (
    Rows,
    check_training,
    minimise,
    one_thread,
    updates,
)
from latbench.predictors.safe_arrays import Arrays, take

_WIDTH, _NODE = len(GRAPH_FEATURES), len(NODE_FEATURES)
_NUMBERS = _NODE - 2  # a node's features besides the count and the kind
_BATCH = 32
_PREDICT_BATCH = 64
_ONE = math.log(math.e - 1)  # softplus of it is 1
_FAR = 5.0  # standard deviations beyond which a feature says no more


@dataclass(frozen=True)
class _Graphs:
    """``count (n, m)``, ``kind (n, m)``, ``numbers (n, m, f)``; and which nodes are read, by their
    numbers from 1, ``sources (n, e)``: first those that node 1 reads, then those of node 2, and so
    on, as many as ``degrees (n, m)`` says; zeros behind them."""

    count: Tensor
    kind: Tensor
    numbers: Tensor
    sources: Tensor
    degrees: Tensor

    def at(self, rows: Any) -> _Graphs:
        """Returns those graphs, cut to the nodes and edges that they have."""
        nodes = int((self.count[rows] > 0).sum(1).max().clamp(min=1))
        edges = int((self.sources[rows] > 0).sum(1).max())
        parts = (self.count, self.kind, self.numbers, self.degrees)
        count, kind, numbers, degrees = (part[rows][:, :nodes] for part in parts)
        return _Graphs(count, kind, numbers, self.sources[rows][:, :edges], degrees)

    def reads(self) -> tuple[Tensor, Tensor]:
        """Returns the nodes that are read, numbered over all graphs from 0, and for each node where
        those that it reads begin."""
        n, m = self.count.shape
        numbered = self.sources - 1 + (torch.arange(n) * m)[:, None]
        degrees = self.degrees.reshape(-1)
        return numbered[self.sources > 0], degrees.cumsum(0) - degrees


def _whole(values: Any, most: int) -> Any:
    """Whatever they are, whole numbers from 0 to ``most``."""
    return np.round(np.clip(values, 0, most)).astype(np.int64)


def _unpack(X: Floats) -> _Graphs:
    """Whatever X holds, the kinds are numbers that exist, and edges lead between nodes."""
    if X.shape[1] % _WIDTH:
        raise UsageError(
            f"X has {X.shape[1]} columns, not {_WIDTH} for each layer; use the 'graph' encoding"
        )
    rows = X.reshape(len(X), -1, _WIDTH)
    most = max(1, int((rows[..., 0] > 0).sum(axis=1).max(initial=0)))
    nodes = rows[:, :most].astype(np.float32)
    own = (nodes[..., 0] > 0).sum(axis=1)  # the nodes of each graph
    sources, targets = (_whole(rows[..., i], most) for i in (_NODE, _NODE + 1))
    valid = (np.minimum(sources, targets) > 0) & (np.maximum(sources, targets) <= own[:, None])
    # By the node that reads, and in the order in which it does.
    order = np.argsort(np.where(valid, targets, most + 1), axis=1, kind="stable")
    sorted_sources = np.take_along_axis(np.where(valid, sources, 0), order, axis=1)
    graph, edge = np.nonzero(valid)
    degrees = np.bincount(graph * most + targets[graph, edge] - 1, minlength=len(X) * most)
    return _Graphs(
        torch.from_numpy(nodes[..., 0].clip(0)),
        torch.from_numpy(_whole(nodes[..., 1], KIND_NUMBERS - 1)),
        torch.from_numpy(np.ascontiguousarray(nodes[..., 2:_NODE])),
        torch.from_numpy(sorted_sources[:, : int(valid.sum(axis=1).max(initial=0))]),
        torch.from_numpy(degrees.reshape(len(X), most)),
    )


def _messages(h: Tensor, read: Tensor, begin: Tensor) -> Tensor:
    """Sum of the states that each node reads ``(n, m, hidden)``."""
    if not len(read):
        return torch.zeros_like(h)
    states = h.reshape(-1, h.shape[-1])
    return torch.nn.functional.embedding_bag(read, states, begin, mode="sum").reshape(h.shape)


def _log_total(p: dict[str, Tensor], graphs: _Graphs) -> Tensor:
    """Logarithm of the summed costs ``(n,)``, in the fitted unit."""
    x = ((graphs.numbers - p["center"]) / p["scale"]).clamp(-_FAR, _FAR)
    h = torch.relu(x @ p["features"] + p["kinds"][graphs.kind])
    read, begin = graphs.reads()
    for i in range(GRAPH_ROUNDS):
        seen = _messages(h, read, begin)
        h = torch.relu(h @ p[f"own{i}"] + seen @ p[f"inputs{i}"] + p[f"bias{i}"])
    costs = torch.nn.functional.softplus((h @ p["out"])[..., 0] + p["costs"][graphs.kind, 0] + _ONE)
    return torch.log((graphs.count * costs).sum(1) + 1e-12)


def _shuffled(rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches: pass after pass over the rows in random order, what is left over skipped."""
    while True:
        order = torch.randperm(rows, generator=generator)
        for start in range(0, max(1, rows - _BATCH + 1), _BATCH):
            yield order[start : start + _BATCH]


class GNN(LatencyPredictor):
    """A graph network, fitted with Adam, decoupled weight decay and a cosine schedule to log y.

    ``steps`` is the least number of updates of 32 rows; larger sets get ``epochs`` passes. The
    result depends on ``random_state`` and the data only. Unlike other predictors it predicts graphs
    of any number of padded layers. Fitted: ``parameters_`` (float32 tensors by name) and ``level_``
    (logarithm of the unit).
    """

    name: ClassVar[str] = "gnn"
    encoding: ClassVar[str] = "graph"

    def __init__(
        self,
        hidden: int = 32,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.1,
        steps: int = 300,
        epochs: int = 30,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = steps
        self.epochs = epochs
        self.random_state = random_state

    def check_params(self) -> None:
        """Raises UsageError for a parameter outside its range."""
        check_number("hidden", self.hidden, 1, 4096, integer=True)
        check_training(
            self.learning_rate, self.weight_decay, self.steps, self.epochs, self.random_state
        )

    def _shapes(self) -> dict[str, tuple[int, int]]:
        """Returns the shapes of the trained matrices; a row is what one feature, kind or state
        adds."""
        kinds, hidden = KIND_NUMBERS, self.hidden
        shapes = {"features": (_NUMBERS, hidden), "kinds": (kinds, hidden)}
        for i in range(GRAPH_ROUNDS):
            shapes |= {f"own{i}": (hidden, hidden), f"inputs{i}": (hidden, hidden)}
            shapes[f"bias{i}"] = (1, hidden)
        return shapes | {"out": (hidden, 1), "costs": (kinds, 1)}

    def _initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Uniform weights; every layer costs 1 at first."""
        parameters = {}
        for name, shape in self._shapes().items():
            zero = name in ("out", "costs") or name.startswith("bias")
            bound = 0.0 if zero else 1 / math.sqrt(shape[0])
            parameters[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        return parameters

    def _fit(self, X: Floats, y: Floats) -> None:
        graphs = _unpack(X)
        used = graphs.numbers[graphs.count > 0]
        if not len(used):
            raise UsageError("no row of X has a layer; use the 'graph' encoding")
        spread = used.std(0, unbiased=False)
        p = self._initial(torch.Generator().manual_seed(int(self.random_state)))
        p["center"] = used.mean(0)
        p["scale"] = torch.where(spread > 1e-6, spread, torch.ones(()))
        log, layers = np.log(y), np.log(graphs.count.double().sum(1).numpy() + 1e-12)
        self.level_ = float((log - layers).mean())
        self._train(p, graphs, torch.from_numpy((log - self.level_).astype(np.float32)))
        self.parameters_ = {name: tensor.detach() for name, tensor in p.items()}

    def _train(self, p: dict[str, Tensor], graphs: _Graphs, target: Tensor) -> None:
        generator = torch.Generator().manual_seed(int(self.random_state) + 1)
        trained = [p[name].requires_grad_() for name in self._shapes()]

        def loss(rows: Rows) -> Tensor:
            error = _log_total(p, graphs.at(rows)) - target[rows]
            return (error**2).mean() / target.var(unbiased=False).clamp(min=1e-8)

        minimise(
            loss, trained, _shuffled(len(target), generator),
            updates(self.steps, self.epochs, len(target), _BATCH),
            self.learning_rate, self.weight_decay,
        )  # fmt: skip

    def _checked(self, X: Any) -> Floats:
        # Any number of layers: ``(n, k * len(GRAPH_FEATURES))``.
        return check_features(X)

    def _predict(self, X: Floats) -> Floats:
        graphs = _unpack(X)
        with one_thread(), torch.no_grad():
            parts = [
                _log_total(self.parameters_, graphs.at(slice(i, i + _PREDICT_BATCH)))
                for i in range(0, len(X), _PREDICT_BATCH)
            ]
        log = torch.cat(parts).double().numpy() + self.level_
        # The base class bounds the result; this only keeps exp from overflowing on the way.
        return np.asarray(np.exp(np.clip(log, -700, 700)))

    def _arrays(self) -> Arrays:
        numbers = np.array([self.level_, self.n_features_in_])
        return {**{k: t.numpy() for k, t in self.parameters_.items()}, "numbers": numbers}

    def _restore(self, arrays: Arrays) -> int:
        level, width = map(float, take(arrays, "numbers", (2,), np.float64))
        if width < _WIDTH or width % _WIDTH:
            raise ParseError(f"the saved graph network reads {width:g} features; save it again")
        shapes = {**self._shapes(), "center": (_NUMBERS,), "scale": (_NUMBERS,)}
        found = {name: take(arrays, name, shape, np.float32) for name, shape in shapes.items()}
        if (found["scale"] <= 0).any():
            raise ParseError("the saved graph network's scales must be positive; save it again")
        self.parameters_ = {name: torch.from_numpy(array) for name, array in found.items()}
        self.level_ = level
        return int(width)
