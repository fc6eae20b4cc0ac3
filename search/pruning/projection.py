"""The projection onto a latency budget: which groups of weights stay, so that most energy does.

The latency of a network is a constant and, for each layer, a piece-wise linear function of how many
groups are kept (``latbench.sparse.latency_tables``). Of each layer the groups of most energy stay,
so a choice is a number for each layer: those that keep most energy within the budget. A price of
time turns that into one small problem a layer, whose best number is found by looking at all of
them; the price is bisected until the budget is kept, and what it leaves is filled by energy per
second. Where a layer's latency is convex the result is the best one up to one group a layer; else
it may lose more (what one layer alone asks for at once is tried beside).
It is the Z-step of ALCS (arXiv 2109.00170) as we read its abstract, and what gradual pruning uses.

Single weights may be millions a layer. Of such a layer a thousand numbers are looked at first,
evenly spread, and then nearer ones about the best, until they are next to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.sparse.latency_tables import LatencyTable

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
_HALVINGS = 60
_AT_MOST = 1024  # numbers of a layer that are looked at in one pass
_NEARER = 8  # times, from pass to pass


def project(
    energies: Mapping[int, Floats], table: LatencyTable, budget: float, least: Mapping[int, int]
) -> dict[int, int]:
    """Chooses how many groups each layer keeps.

    Args:
        energies: The energy of each group of each layer, in any order.
        table: What the network takes.
        budget: The most that it may take, in seconds.
        least: The fewest groups that each layer may keep.

    Returns:
        The number of groups that each layer keeps.

    Raises:
        UsageError: For a budget below what the network takes with the fewest groups.
    """
    # Groups beyond a curve are those that were zero when it was measured.
    there = {layer: table.layers[layer][0][-1] for layer in energies}
    regained = {
        layer: np.concatenate([[0.0], np.cumsum(np.sort(of)[::-1][: there[layer]])])
        for layer, of in energies.items()
    }
    fewest = table.latency(least)
    if fewest > budget:
        raise UsageError(
            f"the budget is {budget / table.whole:.1%} of what the network takes by the table, and "
            f"with the fewest groups it takes {fewest / table.whole:.1%}: the layers that are not "
            f"pruned take {table.rest / table.whole:.1%}; allow more"
        )
    spans = {layer: (least[layer], len(of) - 1) for layer, of in regained.items()}
    best = dict(least)
    while True:
        choices = {}
        for layer, of in regained.items():
            numbers = _numbers(*spans[layer], table.layers[layer][0])
            choices[layer] = _Choices(numbers, of[numbers], table.seconds(layer, numbers))
        found = _chosen(choices, table.rest, budget)
        best = max(best, found, key=lambda kept: _energy(regained, kept))
        if all(one.every for one in choices.values()):
            return best
        spans = {layer: _nearer(*span, found[layer]) for layer, span in spans.items()}


def _numbers(low: int, high: int, knots: tuple[int, ...]) -> Numbers:
    """All numbers of a span, or evenly spread ones and the table's."""
    if high - low < _AT_MOST:
        return np.arange(low, high + 1)
    evenly = np.linspace(low, high, _AT_MOST).round().astype(np.int64)
    inner = [n for n in knots if low <= n <= high]
    return np.union1d(evenly, np.array(inner, np.int64))


def _nearer(low: int, high: int, found: int) -> tuple[int, int]:
    """A narrower span about what was found in one of which not all numbers were looked at."""
    if high - low < _AT_MOST:
        return low, high
    width = max((high - low) // _NEARER, _AT_MOST - 1) // 2
    return max(low, found - width), min(high, found + width)


@dataclass(frozen=True)
class _Choices:
    """Numbers of groups that a layer may keep, rising, the energy of so many and their seconds."""

    numbers: Numbers
    energy: Floats
    seconds: Floats

    @property
    def every(self) -> bool:
        """Whether none is left out between the first and the last."""
        return len(self.numbers) == int(self.numbers[-1] - self.numbers[0]) + 1


def _energy(regained: Mapping[int, Floats], kept: Mapping[int, int]) -> float:
    return sum(float(of[kept[layer]]) for layer, of in regained.items())


def _chosen(choices: Mapping[int, _Choices], rest: float, budget: float) -> dict[int, int]:
    """The numbers that keep most energy within the budget; the first ones of all layers do."""

    def best(price: float) -> dict[int, int]:
        return {
            layer: int((one.energy - price * one.seconds).argmax())
            for layer, one in choices.items()
        }

    def takes(places: Mapping[int, int]) -> float:
        return rest + sum(float(one.seconds[places[layer]]) for layer, one in choices.items())

    def filled(places: Mapping[int, int]) -> dict[int, int]:
        return _filled(dict(places), choices, budget - takes(places))

    def numbers(places: Mapping[int, int]) -> dict[int, int]:
        return {layer: int(one.numbers[places[layer]]) for layer, one in choices.items()}

    if takes(every := {layer: len(one.numbers) - 1 for layer, one in choices.items()}) <= budget:
        return numbers(every)
    first = dict.fromkeys(choices, 0)
    # A price so high that no energy is worth it, and one so low that all of it is.
    low, high = 0.0, 1.0
    while takes(best(high)) > budget:
        low, high = high, high * 4
        if high > 1e30:  # the fewest groups take the same as some more
            return numbers(filled(first))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if takes(best(middle)) <= budget else (middle, high)
    kept = best(high)
    found = [filled(kept)]
    # What is worth it at a price a little lower costs too much only by what some layer takes at
    # once, which a curve that is not convex may ask for: each of them alone, and then the rest.
    for layer, place in best(low).items():
        one = {**first, layer: place}
        if place > kept[layer] and takes(one) <= budget:
            found.append(filled(one))
    return numbers(
        max(found, key=lambda p: sum(float(c.energy[p[layer]]) for layer, c in choices.items()))
    )


def _filled(places: dict[int, int], choices: Mapping[int, _Choices], left: float) -> dict[int, int]:
    """The choice with more groups, as long as time is left: always those of one layer that bring
    most energy for their time, as many of them as one step of its curve asks for."""

    def step(layer: int) -> tuple[float, int, float] | None:
        """The energy for its time, the number and the time of a layer's best step."""
        one, n = choices[layer], places[layer]
        dear = one.seconds[n + 1 :] - one.seconds[n]
        fits = int(np.searchsorted(dear, left, side="right"))  # the curve never falls
        if fits == 0:
            return None
        gains = one.energy[n + 1 : n + 1 + fits] - one.energy[n]
        if gains[-1] == 0:  # they are zero already
            return None
        rates = gains / np.maximum(dear[:fits], 1e-15)
        more = int(rates.argmax())
        return float(rates[more]), more + 1, float(dear[more])

    steps = {layer: step(layer) for layer in choices}
    while there := {layer: one for layer, one in steps.items() if one is not None}:
        taken = max(there, key=lambda layer: there[layer][0])
        places[taken] += there[taken][1]
        left -= there[taken][2]
        for layer, one in there.items():
            if layer == taken or one[2] > left:  # with less time the others' stay the best
                steps[layer] = step(layer)
    return places


def kept_groups(energies: Floats, number: int) -> npt.NDArray[np.bool_]:
    """Returns which groups stay where so many do: those of most energy, of equals the first."""
    flat = energies.reshape(-1)
    if number == 0:
        return np.zeros(energies.shape, np.bool_)
    least = np.partition(flat, flat.size - number)[flat.size - number]
    stays: npt.NDArray[np.bool_] = flat > least
    equal = np.flatnonzero(flat == least)
    stays[equal[: number - np.count_nonzero(stays)]] = True
    return stays.reshape(energies.shape)
