"""The definition of a relaxation: the part of a differentiable search that differs between methods.

Pause before changing it: every search method is written against it.

A method differs from its neighbours in three things, and they are the methods below.

1. How parameters become mixture weights (``subgraphs``): DARTS takes a softmax, PC-DARTS a product
   of two, GDAS a Gumbel sample, a topology search a product of edge and operation variables. All
   of these are a tensor with one row an edge and one column an operation. A method that trains
   several sub-graphs at a time returns several tensors, so they are drawn together and can be
   mutually exclusive. A candidate whose weight is exactly 0 does not run.
2. How the mixed operation of an edge runs (``edge``): DARTS runs all candidates, PC-DARTS a part of
   the channels. The relaxation makes the edge's module, since it also decides which candidates
   there are and how wide they are.
3. How an architecture is derived (``derive``), and how architectures are sampled with a gradient
   (``sample``). These two belong together: a sample must be discretised as the derivation does it.

What depends on the space and not on the method (the shape of the parameters, the candidates, how
rows become an architecture) comes from ``latbench.search.supernets.choices``.

The loop, the latency penalty, the data and the checkpoints see nothing else of it, and are written
once. Encodings, not operation weights, go to the penalty, because a predictor learned from measured
networks knows only encodings of whole networks.

It is an abstract ``nn.Module``, not a Protocol, so that its parameters are found, moved to a device
and saved in a checkpoint by torch's own means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Generator, Tensor, nn

from latbench.networks.ops import Shape


class Relaxation(nn.Module, ABC):
    """A continuous stand-in for the choice of an architecture.

    A generator draws its initial parameters. They are the architecture parameters, trained by the
    search's second optimiser; anything else that it holds must follow from ``begin_epoch``, so that
    a search that goes on from a checkpoint ends as an uninterrupted one.
    """

    name: ClassVar[str]

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Begins an epoch (from 0, of ``epochs``), where a schedule moves on; called before every
        epoch."""

    @abstractmethod
    def subgraphs(self, generator: Generator) -> Sequence[Tensor]:
        """Returns mixture weights of one step, one tensor a sub-graph, differentiable.

        The loop averages the losses of the sub-graphs. Most methods return one.
        """

    @abstractmethod
    def edge(self, input_shape: Shape, stride: int) -> nn.Module:
        """Makes the mixed operation of an edge; see ``latbench.search.supernets.mixed_edge`` for
        its ``forward``.

        The output has the input's channels, and its resolution divided by ``stride``, rounded up.
        """

    @abstractmethod
    def derive(self) -> Any:
        """Returns the architecture that the parameters stand for now."""

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples ``n`` random architectures as one-hot encodings ``(n, d)``.

        The values are exactly those of ``space.one_hot``; the gradient is a relaxation's.
        """

    @abstractmethod
    def probabilities(self) -> Tensor:
        """Returns what a report shows: one row an edge, one column an operation, no gradient."""

    @abstractmethod
    def entropy(self) -> float:
        """Returns the mean entropy of the operation probabilities over edges, nats."""
