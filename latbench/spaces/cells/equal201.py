"""The equality of NAS-Bench-201's cells: 15,625 cells build 8,482 different networks.

A cell is a graph of a few vertices: an operation, the sum at a node, the Zero at a node that reads
nothing. Two cells are one network when their graphs are the same up to the order of a sum's terms.
So edges that do not reach the output play no part, a skip connection is no vertex (its node and its
source are one, alone; a term of a sum beside others), and nodes 1 and 2 may change places.

The benchmark's paper counts 6,466: there what reads only zeros is a zero, and a branch that is read
twice is two equal branches. Here both have layers of their own, which run and take time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


def _hash(kind: int, *parts: npt.NDArray[Any]) -> Hashes:
    """A number of a kind and parts in order, ``(n,)``: the finalizer of splitmix64 after each."""
    z: Hashes = np.full(parts[0].shape, kind + 1, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for part in parts:
        z = (z ^ part.astype(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z


_INPUT, _OPERATION, _SUM, _ZERO, _TERM, _READ, _OUTPUT, _VERTEX = range(8)


@lru_cache(maxsize=1)
def representatives(edges: tuple[tuple[int, int], ...], operations: tuple[str, ...]) -> Ints:
    """Returns for each cell's number the lowest number of a cell that builds the same layers
    ``(15625,)``.

    ``edges`` are (target, source); a cell's number has its operations as digits, the first edge's
    the lowest. All cells are done at once, in 20 ms (2026-11-29). A vertex is known by what it
    computes (``below``) and by what reads it (``above``), a network by the sum over its vertices;
    that this confuses no two networks is tested against the isomorphism of all built ones.
    """
    none, skip = operations.index("none"), operations.index("skip_connect")
    ranks = np.arange(len(operations) ** len(edges))
    picked = [ranks // len(operations) ** i % len(operations) for i in range(len(edges))]
    there = [of != none for of in picked]
    nodes = range(1, 1 + max(target for target, _ in edges))
    into = {node: [i for i, (target, _) in enumerate(edges) if target == node] for node in nodes}
    terms = {node: np.sum([there[i] for i in into[node]], axis=0) for node in nodes}

    below, computed = [_hash(_INPUT, np.zeros_like(ranks))], dict[int, Hashes]()
    for node in nodes:
        for i in into[node]:
            source = below[edges[i][1]]
            through = _hash(_OPERATION, picked[i], source)
            computed[i] = np.where(picked[i] == skip, source, through)
        alone = np.sum([computed[i] * there[i] for i in into[node]], axis=0)
        several = np.sum([_hash(_TERM, computed[i]) * there[i] for i in into[node]], axis=0)
        zero, total = _hash(_ZERO, below[0]), _hash(_SUM, several)
        below.append(np.select([terms[node] == 0, terms[node] == 1], [zero, alone], total))

    # 0 is what nothing reads.
    above: list[Hashes] = [np.zeros(len(ranks), np.uint64) for _ in below]
    above[-1] = _hash(_OUTPUT, np.zeros_like(ranks))
    whole = np.zeros(len(ranks), np.uint64)
    for node in reversed(nodes):
        live, single, empty = above[node] != 0, terms[node] == 1, terms[node] == 0
        # A term alone is the node itself, and what reads the node reads the term.
        read = _hash(_READ, empty, below[node], above[node])
        reader = np.where(single, above[node], read)
        whole += _hash(_VERTEX, below[node], reader) * (live & ~single)
        above[0] += reader * (live & empty)
        for i in into[node]:
            used = live & there[i]
            whole += _hash(_VERTEX, computed[i], reader) * (used & (picked[i] != skip))
            up = np.where(picked[i] == skip, reader, _hash(_READ, picked[i], reader))
            above[edges[i][1]] += up * used
    network = _hash(_VERTEX, whole, above[0], below[-1])
    _, first, which = np.unique(network, return_index=True, return_inverse=True)
    return np.asarray(first[which], np.int64)
