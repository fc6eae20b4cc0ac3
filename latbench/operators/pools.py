"""The choice of each layer's pool: the few operators that give most capacity for their latency.

What the paper's score is was not available to us. Ours is the logarithm of capacity over latency:

    score = (log multiply-accumulates + log parameters) / 2 - β log seconds

A larger β prefers faster operators. Two rules keep a pool from being one operator in several sizes:
the fastest of all is in every pool, so that a tight limit can be kept, and at most so many of a
family are, while there are others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from latbench.errors import UsageError
from latbench.operators.candidates import Candidate

RETESTS = 100  # simulated, of each backend whose pools are compared


@dataclass(frozen=True)
class Timed:
    """The latencies of one backend: seconds by layer and operator, its noise floor (a fraction;
    None where nothing was timed twice), and why what is missing could not be timed."""

    backend: str
    seconds: Mapping[tuple[str, str], float]
    floor: float | None
    failed: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Rules:
    """The rules of a choice: how many operators to ``keep``, how many at most ``per_family``, and
    ``beta``, the exponent of the latency. Raises UsageError for impossible values."""

    keep: int = 4
    per_family: int = 2
    beta: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("keep", self.keep), ("per_family", self.per_family)):
            if value < 1:
                raise UsageError(f"{name} must be 1 or more, got {value}")
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise UsageError(f"beta must be 0 or more, got {self.beta}")


def score(candidate: Candidate, seconds: float, beta: float) -> float:
    """Returns the score of an operator that takes so long."""
    network = candidate.network
    capacity = math.log(max(1, network.macs)) + math.log(max(1, network.parameters))
    return capacity / 2 - beta * math.log(seconds)


def pools(found: Sequence[Candidate], timed: Timed, rules: Rules) -> dict[str, tuple[str, ...]]:
    """Returns the pool of every layer on one backend, its operators in the space's order.

    What could not be timed is in none; what computes nothing is in all. Raises UsageError for a
    layer none of whose operators could be timed, naming it and the first reason.
    """
    by_layer: dict[str, list[Candidate]] = {}
    for one in found:
        by_layer.setdefault(one.layer, []).append(one)
    return {layer: _pool(layer, of, timed, rules) for layer, of in by_layer.items()}


def _pool(layer: str, of: Sequence[Candidate], timed: Timed, rules: Rules) -> tuple[str, ...]:
    seconds = {
        one.operator: timed.seconds[layer, one.operator]
        for one in of if (layer, one.operator) in timed.seconds
    }  # fmt: skip
    if not seconds:
        why = next((timed.failed[key] for key in timed.failed if key[0] == layer), "none was timed")
        raise UsageError(
            f"{timed.backend} runs no operator of the layer {layer!r}: {why}; take another space "
            "or another backend"
        )
    scores = {
        one.operator: score(one, seconds[one.operator], rules.beta)
        for one in of if one.operator in seconds
    }  # fmt: skip
    kept, family = [min(seconds, key=seconds.__getitem__)], {o.operator: o.family for o in of}
    ranked = sorted((o for o in scores if o not in kept), key=scores.__getitem__, reverse=True)
    for most in (rules.per_family, len(ranked)):  # what is left fills what families leave free
        for operator in ranked:
            same = sum(family[o] == family[operator] for o in kept)
            if len(kept) < rules.keep and operator not in kept and same < most:
                kept.append(operator)
    free = {one.operator for one in of if not one.runs}
    return tuple(one.operator for one in of if one.operator in (*kept, *free))


@dataclass(frozen=True)
class Liking:
    """A backend's pools by layer, and of each layer in how many operators the pools of two of its
    timings differ, in 95 of 100 cases at most; None without a noise floor."""

    backend: str
    pools: Mapping[str, tuple[str, ...]]
    usual: Mapping[str, int] | None


def liking(found: Sequence[Candidate], timed: Timed, rules: Rules) -> Liking:
    """Returns a backend's pools and how far two timings of it differ, to be compared with others'.

    Raises UsageError as ``pools`` does.
    """
    return Liking(timed.backend, pools(found, timed, rules), retested(found, timed, rules))


def differ(a: Liking, b: Liking) -> dict[str, bool | None]:
    """Returns of each layer whether two backends' pools differ beyond the noise.

    They do where more operators are in one of the two pools alone than in 95 of 100 retests of
    either backend: of two draws of its latencies with the noise of one timing, each with its own
    pool. A backend without a noise floor says nothing, which is None.
    """
    if a.usual is None or b.usual is None:
        return dict.fromkeys(a.pools)
    return {
        layer: len({*a.pools[layer]} ^ {*b.pools[layer]}) > max(a.usual[layer], b.usual[layer])
        for layer in a.pools
    }


def retested(found: Sequence[Candidate], timed: Timed, rules: Rules) -> dict[str, int] | None:
    """Returns of each layer how many operators are in one alone of the pools of two timings, in 95
    of 100 cases at most; None without a noise floor."""
    if timed.floor is None:
        return None
    # Two timings with this deviation differ by the floor in the mean.
    deviation = timed.floor * math.sqrt(math.pi) / 2
    rng, keys = np.random.default_rng(0), list(timed.seconds)
    values = np.array([timed.seconds[key] for key in keys])

    def again() -> dict[str, tuple[str, ...]]:
        drawn = values * np.exp(deviation * rng.standard_normal(len(values)))
        seconds = dict(zip(keys, drawn.tolist(), strict=True))
        return pools(found, replace(timed, seconds=seconds), rules)

    pairs = [(again(), again()) for _ in range(RETESTS)]
    return {
        layer: sorted(len(set(x[layer]) ^ set(y[layer])) for x, y in pairs)[int(0.95 * RETESTS)]
        for layer in pairs[0][0]
    }
