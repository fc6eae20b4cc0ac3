"""The definition of a relaxation: the part of a differentiable search that differs between methods.

Pause before changing it: every search method is written against it.

A method differs from its neighbours in three things, and they are the methods below.

1. How parameters become weights (``subgraphs``): DARTS takes a softmax, PC-DARTS a product of two,
   GDAS a Gumbel sample. All of these are a flat vector with a value for every option of every
   variable and every member of every set (``forest.columns``): odds given that the variable exists.
   A method that trains several sub-graphs at a time returns several vectors, so that they are drawn
   together and can be mutually exclusive. What has the weight 0 does not run. A method for which
   less has to run where only the supernet's own weights are trained, or a validation accuracy is
   measured, says so (``paths``).
2. How the mixed layer of a variable runs (``mixed``): DARTS runs all alternatives, PC-DARTS on a
   part of the channels.
3. How an architecture is derived (``derive``), and how architectures are sampled with a gradient
   (``sample``). These two belong together: a sample must be discretised as the derivation does it.

What depends on the space and not on the method comes from its variables
(``latbench.spaces.forest``; ``latbench.search.relaxations.tables`` has what most methods make of
them). A method knows no space.

The loop, the latency penalty, the data and the checkpoints see nothing else of it, and are written
once. Encodings, not weights, go to the penalty, because a predictor learned from measured networks
knows only encodings of whole networks.

It is an abstract ``nn.Module``, not a Protocol, so that its parameters are found, moved to a device
and saved in a checkpoint by torch's own means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from latbench.networks.ops import Shape
from latbench.networks.supernet_ops import Mixed
from latbench.search.relaxations.tables import Tables, gumbel
from latbench.search.supernets.supernet_module import mix_all
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import One


class Relaxation(nn.Module, ABC):
    """A continuous stand-in for the choice of an architecture of a space.

    A generator draws its initial parameters. They are the architecture parameters, trained by the
    search's second optimiser; anything else that it holds must follow from ``begin_epoch``, so that
    a search that goes on from a checkpoint ends as an uninterrupted one.
    """

    name: ClassVar[str]

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        self.space = space

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Begins an epoch (from 0, of ``epochs``), where a schedule moves on; called before every
        epoch."""

    def stepped(self) -> None:
        """Follows every step of the architecture parameters, where a method corrects what the
        optimiser did."""

    @abstractmethod
    def subgraphs(self, generator: Generator) -> Sequence[Tensor]:
        """Returns the weights of one step, one vector ``(columns,)`` a sub-graph, differentiable.

        The loop averages the losses of the sub-graphs. Most methods return one.
        """

    def paths(self, generator: Generator) -> Sequence[Tensor]:
        """Returns what runs where the parameters need no gradient, in a step of the supernet's own
        weights and in a validation: by default the ``subgraphs``."""
        return [weights.detach() for weights in self.subgraphs(generator)]

    def mixed(self, op: Mixed, input_shape: Shape) -> nn.Module:
        """Makes the module that runs a mixed layer, ``module(x, weights: PassWeights)``; see
        ``latbench.search.supernets.mixed``."""
        return mix_all(op, input_shape)

    @abstractmethod
    def derive(self) -> Architecture:
        """Returns the architecture that the parameters stand for now."""

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples ``n`` random architectures as one-hot encodings ``(n, d)``.

        The values are exactly those of ``space.one_hot``; the gradient is a relaxation's.
        """

    @abstractmethod
    def probabilities(self) -> Mapping[str, Tensor]:
        """Returns what a report shows: the odds of each One's options by its name, those of its
        absence first, no gradient. A member of a set is as strong as what hangs on it."""

    def entropy(self) -> float:
        """Returns the mean entropy of the odds over the variables, nats; 0 for none."""
        rows = [-(p * p.clamp_min(1e-30).log()).sum() for p in self.probabilities().values()]
        return float(torch.stack(rows).mean()) if rows else 0.0


class AlphaRelaxation(Relaxation):
    """A relaxation with a logit an option, ``alpha``, as published for DARTS and its descendants.

    A member of a set is as strong as its best option; ``member_strengths`` may say otherwise.
    """

    def __init__(self, space: AnySpace, generator: Generator) -> None:
        super().__init__(space)
        self.tables = Tables(space.forest)
        # As published for every method here.
        self.alpha = nn.Parameter(1e-3 * torch.randn(self.tables.logits, generator=generator))
        self.register_buffer(
            "one_hot_places", torch.tensor(space.columns.one_hot_places), persistent=False
        )

    one_hot_places: Tensor

    def extra_parameters(self) -> tuple[Tensor, ...]:
        """Returns the parameters besides ``alpha`` that a derivation reads; ``sample`` adds noise
        to them as well."""
        return ()

    def member_strengths(self, alpha: Tensor, *extra: Tensor) -> Tensor:
        """Returns how strong each member of a set is, ``(..., columns)``, as a logarithm.

        Args:
            alpha: The logits ``(..., logits)``.
            extra: The ``extra_parameters``, with the same leading axes.

        Returns:
            The strengths; 0 for columns that are no members.
        """
        return self.tables.strengths(alpha)

    def odds(self, alpha: Tensor, extra: Sequence[Tensor], hard: bool) -> Tensor:
        """Returns joint odds ``(..., columns)``: those of derived architectures where ``hard``, or
        their smooth version for the gradient.

        A set has as many members as it must, so that the softened odds of its members sum to that
        number. With a plain softmax of each row, ``none`` would look like a way to save latency:
        the penalty would raise it everywhere without making any derived network faster. Against
        finite differences of a random linear latency (flat and spread ``alpha``, one draw each),
        the gradient's cosine was 0.997 and 0.985 this way, 0.785 and 0.737 that way (2026-11-24).
        """
        options = self.tables.options(alpha, absent=False, hard=hard)
        strengths = self.member_strengths(alpha, *extra)
        return self.tables.joint(self.tables.members(options, strengths, hard))

    def derive(self) -> Architecture:
        """Derives each variable's best option and each set's strongest members; in the DARTS space,
        each node's two edges with the strongest operation other than ``none``, as published."""
        forest = self.space.forest
        with torch.no_grad():
            columns = self.odds(self.alpha, self.extra_parameters(), hard=True).tolist()

        def choose(i: int) -> int:
            row = columns[forest.offsets[i] : forest.offsets[i + 1]]
            if isinstance(forest.variables[i], One):
                return max(range(len(row)), key=row.__getitem__)
            return sum(1 << j for j, on in enumerate(row) if on)

        return self.space.of(forest.grow(choose))

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples architectures ``(n, d)`` that are derived from the parameters plus Gumbel noise.

        It is a straight-through estimator (Bengio et al., 2013; Jang et al., 2017).
        """
        noisy = [self._noisy(p, n, generator) for p in (self.alpha, *self.extra_parameters())]
        with torch.no_grad():
            hard = self.odds(noisy[0], noisy[1:], hard=True)
        soft = self.odds(noisy[0], noisy[1:], hard=False)
        columns = nn.functional.pad(soft - soft.detach() + hard, (0, 1))
        return columns[..., self.one_hot_places]  # -1 is the column that was added, of zeros

    @staticmethod
    def _noisy(parameter: Tensor, n: int, generator: Generator) -> Tensor:
        return parameter + gumbel((n, *parameter.shape), generator).to(parameter.device)

    def probabilities(self) -> dict[str, Tensor]:
        """Returns the softmax of each row of ``alpha``."""
        alpha, variables = self.alpha.detach(), self.space.forest.variables
        return {
            variables[i].name: torch.softmax(alpha[row], dim=-1)
            for i, row in self.tables.rows.items()
        }
