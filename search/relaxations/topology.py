"""Topology variables: odds of *sets* of inputs, beside those of operations (TopoNAS).

TopoNAS (Huang et al., 2020, https://arxiv.org/abs/2011.09300) gives a node's inputs variables of
their own, with a distribution over combinations of inputs, and holds invalid topologies down by a
passive-aggressive regulariser. Of its text only the abstract was available to us, so that the
forms here are ours, in the terms of DOTS (Gu et al., CVPR 2021, https://github.com/guyuchao/DOTS),
whose pairs are the special case of two inputs:

- a node's odds are a softmax over sets S of its inputs at a temperature, q(S) = softmax(beta / T);
- an edge weighs the sum of q(S) over the sets that contain it, which is its odds to be kept;
- sets that no derived cell may have (the empty one, or one of a wrong size) can be kept in the
  softmax. They are pushed down by a hinge as in passive-aggressive learning (Crammer et al., 2006,
  https://jmlr.org/papers/v7/crammer06a.html): the loss has

      max(0, margin - (log sum of q over valid sets - log sum over invalid ones))

  of every node, which is 0 with a gradient of 0 once the margin holds;
- what is derived is the most likely valid set, and the best operation on each of its edges.

**The penalty** samples what could be derived: valid sets in proportion to q, by Gumbel noise on
``beta / T``, with the gradient of the softmax over the valid sets (straight through). It has the
temperature of the supernet, so that the task's loss and the penalty pull on one distribution, both
weakly while it is hot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from latbench.search.config import SearchConfig
from latbench.search.relaxations.in_degrees import in_degrees, listed_sets
from latbench.search.relaxations.tables import gumbel
from latbench.spaces.forest import Forest
from latbench.spaces.variables import NOTHING, Some
from latbench.text import JOINED

INVALID = "invalid"  # the name of all invalid sets together, among the odds of sets


class _Alike(NamedTuple):
    """The variables of one form: its sets ``(sets, members)`` as zeros and ones, which of them are
    valid and which not, and of each variable where its members' columns and its sets' logits are.
    """

    sets: Tensor
    valid: Tensor
    valid_places: Tensor
    invalid_places: Tensor
    columns: Tensor
    places: Tensor


class Topology(nn.Module):
    """The odds of the sets that each Some of a space may take, with a logit ``beta`` a set.

    The settings are those of ``config`` that begin with ``topology``. The temperature falls
    exponentially over the epochs, and ``beta`` rests in the first ``topology_warmup_epochs``.
    Raises UsageError for a number of inputs that the space does not allow.
    """

    temperature: Tensor

    def __init__(self, forest: Forest, config: SearchConfig, generator: Generator) -> None:
        super().__init__()
        assert config.topology is not None
        self.config, self.forest = config, forest
        self._invalid = config.topology_invalid == "kept"
        alike = defaultdict[tuple[int, int, int], list[int]](list)
        for i, v in enumerate(forest.variables):
            if isinstance(v, Some):
                least, most = in_degrees(v, config.topology)
                alike[len(v.options), least, most].append(i)
        start = 0
        self._names: list[list[str]] = []
        self._texts: list[list[list[str]]] = []  # of each variable's sets
        for k, (form, of) in enumerate(alike.items()):
            listed, valid = self._sets(of[0])
            members = [[float(s >> j & 1) for j in range(form[0])] for s in listed]
            self._names.append([forest.variables[i].name for i in of])
            offsets = [forest.offsets[i] for i in of]
            columns = torch.tensor(offsets)[:, None] + torch.arange(form[0])
            size = len(of) * len(listed)
            places = torch.arange(start, start + size).view(len(of), -1)
            start += size
            self._texts.append([_texts(forest.variables[i].options, listed, valid) for i in of])
            is_valid = torch.tensor(valid)
            numbers = torch.arange(len(valid))
            alike_k = _Alike(
                torch.tensor(members), is_valid, numbers[is_valid], numbers[~is_valid], columns,
                places,
            )  # fmt: skip
            for name, values in alike_k._asdict().items():
                self.register_buffer(f"{name}{k}", values, persistent=False)
        self.beta = nn.Parameter(1e-3 * torch.randn(start, generator=generator))
        # A buffer, so that what a constraint has kept of an earlier epoch has that epoch's.
        start_temperature = torch.tensor(config.topology_temperature, dtype=torch.float32)
        self.register_buffer("temperature", start_temperature)

    def _sets(self, i: int) -> tuple[list[int], list[bool]]:
        v = self.forest.variables[i]
        assert isinstance(v, Some)
        assert self.config.topology is not None
        return listed_sets(v, self.config.topology, self._invalid)

    def _alike(self) -> Iterator[_Alike]:
        for k in range(len(self._names)):
            yield _Alike(*(getattr(self, f"{name}{k}") for name in _Alike._fields))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lowers the temperature, and lets ``beta`` rest or move."""
        start, end = self.config.topology_temperature, self.config.topology_final_temperature
        self.temperature.fill_(start * (end / start) ** (epoch / max(1, epochs - 1)))
        self.beta.requires_grad_(epoch >= self.config.topology_warmup_epochs)

    def logits(self, noise: tuple[int, Generator] | None = None) -> Tensor:
        """Returns ``beta / T``, ``(logits,)``; or so many with Gumbel noise, ``(n, logits)``."""
        scaled = self.beta / self.temperature
        if noise is None:
            return scaled
        n, generator = noise
        return scaled + gumbel((n, len(scaled)), generator).to(scaled.device)

    def weighed(self, weights: Tensor) -> Tensor:
        """Returns a supernet's weights ``(columns,)`` with those of its edges.

        An edge weighs its odds to be in a set, the invalid ones included where they are kept;
        divided by the node's expected number of inputs where the settings say so.
        """
        logits = self.logits()
        for a in self._alike():
            edges = torch.softmax(logits[a.places], dim=-1) @ a.sets
            if self.config.topology_normalised:
                edges = edges / edges.sum(-1, keepdim=True).clamp_min(1e-6)
            weights = weights.index_copy(-1, a.columns.flatten(), edges.flatten(-2))
        return weights

    def chosen(self, odds: Tensor, logits: Tensor, hard: bool) -> Tensor:
        """Returns odds ``(..., columns)`` with those of members to be in a *valid* set.

        Args:
            odds: What the other columns have.
            logits: Those of sets, ``(..., logits)``.
            hard: Whether the members of the best set get 1 and the others 0.

        Returns:
            The odds.
        """
        for a in self._alike():
            of = logits[..., a.places].masked_fill(~a.valid, -torch.inf)
            p = torch.softmax(of, dim=-1)
            if hard:
                p = torch.zeros_like(p).scatter(-1, of.argmax(-1, keepdim=True), 1.0)
            members = p @ a.sets
            odds = odds.index_copy(-1, a.columns.flatten(), members.flatten(-2))
        return odds

    def regulariser(self) -> Tensor:
        """Returns the regulariser of the loss, times its weight; 0 where no set is invalid."""
        logits, total = self.logits(), self.beta.new_zeros(())
        for a in self._alike():
            if a.invalid_places.numel():
                of = logits[a.places]
                valid, invalid = (of[:, p] for p in (a.valid_places, a.invalid_places))
                gap = valid.logsumexp(-1) - invalid.logsumexp(-1)
                total = total + (self.config.topology_margin - gap).clamp_min(0).sum()
        return self.config.topology_pressure * total

    def probabilities(self) -> dict[str, dict[str, float]]:
        """Returns the odds of each variable's valid sets by their texts, such as ``0+2``, and of
        the invalid ones together."""
        # On the CPU: Apple's GPUs have no float64.
        logits, found = self.logits().detach().cpu().double(), dict[str, dict[str, float]]()
        for names, of, a in zip(self._names, self._texts, self._alike(), strict=True):
            rows = torch.softmax(logits[a.places.cpu()], dim=-1).tolist()
            for name, texts, row in zip(names, of, rows, strict=True):
                told = {text: p for text, p in zip(texts, row, strict=True) if text}
                wrong = {INVALID: 1 - sum(told.values())} if not all(texts) else {}
                found[name] = told | wrong
        in_order = (v.name for v in self.forest.variables)
        return {name: found[name] for name in in_order if name in found}


def _texts(options: Sequence[str], listed: Sequence[int], valid: Sequence[bool]) -> list[str]:
    """The texts of sets, ``0+2``; nothing for an invalid one."""
    return [
        (JOINED.join(o for j, o in enumerate(options) if s >> j & 1) or NOTHING) if is_valid else ""
        for s, is_valid in zip(listed, valid, strict=True)
    ]
