"""The choices of the DARTS space: each node keeps two edges, each with one operation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latbench.search.supernets.choices import Choices
from latbench.search.supernets.darts_supernet import candidates
from latbench.spaces.genotypes import EDGES, NODES, OPERATIONS, Cell, Genotype

# The edges that lead into each node.
NODE_EDGES = tuple(
    slice(sum(n + 2 for n in range(i)), sum(n + 2 for n in range(i + 1))) for i in range(NODES)
)
_KEPT = 2  # edges that each node of a derived cell has


def _kept_edges(strength: Tensor) -> Tensor:
    """1 for each node's two strongest edges, else 0: ``(..., 14) -> (..., 14)``.

    Among equals the first edge wins, as in the published code.
    """
    kept: Tensor = torch.zeros_like(strength)
    for edges in NODE_EDGES:
        order = torch.argsort(strength[..., edges], dim=-1, descending=True, stable=True)
        kept[..., edges] = kept[..., edges].scatter(-1, order[..., :_KEPT], 1.0)
    return kept


def discretise(logits: Tensor, edges: Tensor | None = None) -> Tensor:
    """Maps logits ``(..., 14, 8)`` to one-hot rows of kept edges, zero rows elsewhere, same shape.

    As published: an edge is as strong as its most probable operation other than ``none``, each
    node keeps its two strongest edges, and each of them that operation. With edge logits
    ``(..., 14)`` the strength is multiplied by their softmax over the node's edges (PC-DARTS).
    """
    strength, best = torch.log_softmax(logits, dim=-1)[..., 1:].max(dim=-1)
    rows = torch.zeros_like(logits).scatter(-1, best.unsqueeze(-1) + 1, 1.0)
    return rows * _kept_edges(_times(strength, edges)).unsqueeze(-1)


def _times(log_strength: Tensor, edges: Tensor | None) -> Tensor:
    """The softmax's denominator is the same for all edges of a node, so it is left out."""
    return log_strength if edges is None else log_strength + edges


def _in_a_pair(log_strength: Tensor) -> Tensor:
    """Probability of each edge of a node to be in the kept pair: ``(..., k) -> (..., k)``.

    A pair is drawn in proportion to the product of its strengths, so the probabilities sum to two,
    and are 1 for the first node, which has two edges only. The scale of strengths does not matter.
    """
    s = (log_strength - log_strength.detach().amax(dim=-1, keepdim=True)).clamp_min(-60).exp()
    others = s @ (1 - torch.eye(s.shape[-1], device=s.device))
    return s * others / ((s * others).sum(dim=-1, keepdim=True) / 2)


def soften(logits: Tensor, edges: Tensor | None = None) -> Tensor:
    """Returns a smooth version of ``discretise``, for its gradient.

    A kept edge has exactly one operation and a node exactly two edges, so the softened rows of a
    node also sum to two. With a plain softmax of each row, ``none`` would look like a way to save
    latency: the penalty would raise it everywhere without making any derived network faster.
    Against finite differences of a random linear latency (flat and spread ``alpha``, one draw
    each), the gradient's cosine was 0.997 and 0.985 this way, 0.785 and 0.737 that way
    (2026-11-24).

    A row is the probability that the edge is kept, times the softmax over the operations other than
    ``none``.
    """
    strength = _times(torch.log_softmax(logits, dim=-1)[..., 1:].amax(dim=-1), edges)
    kept = torch.cat([_in_a_pair(strength[..., node]) for node in NODE_EDGES], dim=-1)
    operations = torch.softmax(logits[..., 1:], dim=-1)
    return nn.functional.pad(operations * kept.unsqueeze(-1), (1, 0))


def _cell(rows: Tensor) -> Cell:
    """The cell of one-hot rows ``(14, 8)``."""
    edges = [(EDGES[e], OPERATIONS[k]) for e, k in rows.nonzero().tolist()]

    def node(i: int) -> tuple[tuple[str, int], tuple[str, int]]:
        first, second = ((name, source) for (target, source), name in edges if target == i)
        return first, second

    return tuple(node(i) for i in range(NODES))


def genotype(rows: Tensor) -> Genotype:
    """Returns the genotype of one-hot rows ``(2, 14, 8)``, normal cell first."""
    normal, reduce = rows
    return Genotype(_cell(normal), _cell(reduce))


DARTS = Choices((2, len(EDGES), len(OPERATIONS)), candidates, discretise, soften, genotype)
