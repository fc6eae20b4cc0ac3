"""The definition of a relaxation: the part of a differentiable search that differs between methods.

Pause before changing it: every search method is written against it.

A method differs from its neighbours in three things, and they are the methods below.

1. How parameters become weights (``subgraphs``): DARTS takes a softmax, PC-DARTS a product of two,
   GDAS a Gumbel sample. All of these are a flat vector with a value for every option of every
   variable and every member of every set (``forest.columns``): odds given that the variable exists.
   A method that trains several sub-graphs at a time returns several vectors, so that they are drawn
   together and can be mutually exclusive. What has the weight 0 does not run. A method for which
   less has to run where only the supernet's own weights are trained, or a validation accuracy is
   measured, says so (``paths``). One whose sub-graphs learn from the whole mixture as well says by
   which (``teacher``).
2. How the mixed layer of a variable runs (``mixed``): DARTS runs all alternatives, PC-DARTS on a
   part of the channels.
3. How an architecture is derived (``derive``), and how architectures are sampled with a gradient
   (``sample``). These two belong together: a sample must be discretised as the derivation does it.

What depends on the space and not on the method comes from its variables
(``latbench.spaces.forest``; ``latbench.search.relaxations.tables`` has what most methods make of
them). A method knows no space. What a search's settings can add to every method with logits is in
``AlphaRelaxation``: odds of sets of inputs (``latbench.search.relaxations.topology``).

The loop, the latency penalty, the data and the checkpoints see nothing else of it, and are written
once. Encodings, not weights, go to the penalty, because a predictor learned from measured networks
knows only encodings of whole networks.

It is an abstract ``nn.Module``, not a Protocol, so that its parameters are found, moved to a device
and saved in a checkpoint by torch's own means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

from latbench.errors import UsageError
from latbench.networks.ops import Shape
from latbench.networks.supernet_ops import Mixed
from latbench.predictors.gradients.expectation import Odds
from latbench.search.relaxations.tables import Tables, gumbel
from latbench.search.relaxations.topology import Topology
from latbench.search.supernets.supernet_module import mix_all
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import One

# Architectures to what they are predicted to cost relative to a search's target, one each.
Costs = Callable[[Sequence[Architecture]], npt.NDArray[np.float64]]


class Teacher(NamedTuple):
    """A mixture ``weights (columns,)`` whose logits S the sub-graphs' logits s imitate: the loss of
    a step has ``share`` times T^2 KL(softmax(S / T), softmax(s / T)) besides, with the
    ``temperature`` T (Hinton et al., 2015, https://arxiv.org/abs/1503.02531)."""

    weights: Tensor
    share: float
    temperature: float


class Relaxation(nn.Module, ABC):
    """A continuous stand-in for the choice of an architecture of a space.

    A generator draws its initial parameters. They are the architecture parameters, trained by the
    search's second optimiser; anything else that it holds must follow from ``begin_epoch``, so that
    a search that goes on from a checkpoint ends as an uninterrupted one.
    """

    name: ClassVar[str]
    # Whether the sub-graphs of a step run together. One after another they have the same gradient
    # and need the memory of one.
    at_once: bool = False

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        self.space = space
        # The odds of sets of inputs that a search's settings ask for, of a method that takes them.
        self.topology: Topology | None = None

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Begins an epoch (from 0, of ``epochs``), where a method's schedule moves on; called
        before every epoch."""

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

    def teacher(self, step: int) -> Teacher | None:
        """Returns by which mixture the supernet teaches the sub-graphs in a step of the weights
        (from 0 in every epoch); None, as most methods have it, where it does not."""
        return None

    def fixed_options(self) -> Tensor | None:
        """Returns the options at which variables are fixed, ``(variables,)``, -1 for those that are
        free, to be written to; None of a relaxation that can fix none."""
        return None

    def take_costs(self, costs: Costs) -> None:
        """Takes what architectures cost relative to the target, before the first step of a search
        that has one; most relaxations have no use for it."""

    def credit(self, loss: Tensor) -> Tensor | None:
        """Returns what the validation loss has besides for choices that the last sub-graphs made
        without a gradient, a scalar with one; ``loss`` is the task's, without. None for nothing.
        Asked for where a step has one sub-graph, or all run at once."""
        return None

    def expected_odds(self) -> Odds | None:
        """Returns the odds of the networks that the parameters stand for, where all choices are
        independent, so that sums have an exact expected cost; None where samples stand for them."""
        return None

    def regulariser(self) -> Tensor | None:
        """Returns what the validation loss has besides the task and the penalty, a scalar with a
        gradient: that of the topology; None for nothing."""
        return None if self.topology is None else self.topology.regulariser()

    def take_topology(self, topology: Topology) -> None:
        """Takes odds of sets of inputs, which a search's setting ``topology`` asks for, before the
        first step. Raises UsageError where the method has no place for them."""
        raise UsageError(
            f"the method {self.name!r} cannot search by topology variables; leave the setting "
            "topology out"
        )

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
        """Returns what a report shows: the odds of each One's options by its name, no gradient.

        Those of its absence are first, where the method weighs that by the One's own logits; then a
        member of a set is as strong as what hangs on it.
        """

    def set_probabilities(self) -> Mapping[str, Mapping[str, float]]:
        """Returns the topology's odds of the sets of each Some by its name and the sets' texts
        (``0+2``)."""
        return {} if self.topology is None else self.topology.probabilities()

    def entropy(self) -> float:
        """Returns the mean entropy of the odds over the variables, nats; 0 for none."""
        rows = [-(p * p.clamp_min(1e-30).log()).sum() for p in self.probabilities().values()]
        for of in self.set_probabilities().values():
            p = torch.tensor(list(of.values()))
            rows.append(-(p * p.clamp_min(1e-30).log()).sum().to(rows[0] if rows else p))
        return float(torch.stack(rows).mean()) if rows else 0.0


class AlphaRelaxation(Relaxation):
    """A relaxation with a logit an option, ``alpha``, as published for DARTS and its descendants.

    A member of a set is as strong as its best option; ``member_strengths`` may say otherwise. With
    a ``topology`` sets have odds of their own instead, and the logits of absences count for
    nothing.
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

    def take_topology(self, topology: Topology) -> None:
        """Takes odds of sets of inputs."""
        self.topology = topology.to(self.alpha.device)

    def weights(self, logits: Tensor, hard: bool, strengths: Tensor | None = None) -> Tensor:
        """Returns a supernet's weights ``(columns,)``: the softmax of the logits of each variable,
        and what weighs the members of sets.

        With a topology these have its odds, and an absence has none. Without, an absence takes its
        share of a row, and only members that have logits of their own are weighed by them.

        Args:
            logits: The logits ``(logits,)``.
            hard: Whether the best option of each variable gets 1 and the others 0.
            strengths: How strong members are where that is not told by the logits.

        Returns:
            The weights.
        """
        options = self.tables.options(logits, absent=self.topology is None, hard=hard)
        if self.topology is not None:
            return self.topology.weighed(options)
        if strengths is None:
            strengths = self.tables.strengths(logits)
        return self.tables.members(options, strengths, hard, own=True)

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

    def odds(
        self, alpha: Tensor, extra: Sequence[Tensor], hard: bool, sets: Tensor | None = None
    ) -> Tensor:
        """Returns joint odds ``(..., columns)``: those of derived architectures where ``hard``, or
        their smooth version for the gradient.

        A set has as many members as it must, so that the softened odds of its members sum to that
        number. With a plain softmax of each row, ``none`` would look like a way to save latency:
        the penalty would raise it everywhere without making any derived network faster. Against
        finite differences of a random linear latency (flat and spread ``alpha``, one draw each),
        the gradient's cosine was 0.997 and 0.985 this way, 0.785 and 0.737 that way (2026-11-24).

        Args:
            alpha: The logits ``(..., logits)``.
            extra: The ``extra_parameters``, with the same leading axes.
            hard: Whether they are those of derived architectures.
            sets: The logits of sets with the same leading axes, where there is a topology.

        Returns:
            The odds.

        Raises:
            UsageError: When there is a topology, and no logits of sets.
        """
        options = self.tables.options(alpha, absent=False, hard=hard)
        if self.topology is not None:
            if sets is None:
                raise UsageError("odds of a relaxation with a topology need the logits of its sets")
            return self.tables.joint(self.topology.chosen(options, sets, hard))
        strengths = self.member_strengths(alpha, *extra)
        return self.tables.joint(self.tables.members(options, strengths, hard))

    def derive(self) -> Architecture:
        """Derives each variable's best option and each set's strongest members; in the DARTS space,
        each node's two edges with the strongest operation other than ``none``, as published. With a
        topology, each node's most likely valid set."""
        forest = self.space.forest
        with torch.no_grad():
            sets = None if self.topology is None else self.topology.logits()
            columns = self.odds(self.alpha, self.extra_parameters(), True, sets).tolist()

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
        sets = None if self.topology is None else self.topology.logits((n, generator))
        with torch.no_grad():
            hard = self.odds(noisy[0], noisy[1:], True, sets)
        soft = self.odds(noisy[0], noisy[1:], False, sets)
        columns = nn.functional.pad(soft - soft.detach() + hard, (0, 1))
        return columns[..., self.one_hot_places]  # -1 is the column that was added, of zeros

    @staticmethod
    def _noisy(parameter: Tensor, n: int, generator: Generator) -> Tensor:
        return parameter + gumbel((n, *parameter.shape), generator).to(parameter.device)

    def probabilities(self) -> dict[str, Tensor]:
        """Returns the softmax of each row of ``alpha``, with a topology without absences."""
        alpha, variables = self.alpha.detach(), self.space.forest.variables
        return {
            variables[i].name: torch.softmax(alpha[row][self._left_out(i) :], dim=-1)
            for i, row in self.tables.rows.items()
        }

    def _left_out(self, i: int) -> int:
        """How many logits of a row count for nothing."""
        return int(self.topology is not None and self.tables.has_absence(i))
