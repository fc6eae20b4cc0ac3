"""The projection onto a latency budget: which groups of weights stay, so that most energy does.

The latency of a network is a constant and, for each layer, a piece-wise linear function of how many
groups are kept (``latbench.sparse.latency_tables``). Of each layer the groups of most energy stay,
so a choice is a number for each layer: those that keep most energy within the budget. A price of
time turns that into one small problem a layer, whose best number is found by looking at all of
them; the price is bisected until the budget is kept, and what it leaves is filled by energy per
second. Where a layer's latency is convex the result is the best one up to one group a layer; else
it may lose more (what one layer alone asks for at once is tried beside).
It is the Z-step of ALCS (arXiv 2109.00170) as we read its abstract, and what gradual pruning uses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.sparse.latency_tables import LatencyTable

Floats = npt.NDArray[np.float64]
_HALVINGS = 60


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
    curves = {layer: table.curve(layer) for layer in energies}
    # Groups beyond a curve are those that were zero when it was measured.
    falling = {layer: np.sort(of)[::-1][: len(curves[layer]) - 1] for layer, of in energies.items()}
    regained = {layer: np.concatenate([[0.0], np.cumsum(of)]) for layer, of in falling.items()}
    fewest = table.latency(least)
    if fewest > budget:
        raise UsageError(
            f"the budget is {budget / table.whole:.1%} of what the network takes by the table, and "
            f"with the fewest groups it takes {fewest / table.whole:.1%}: the layers that are not "
            f"pruned take {table.rest / table.whole:.1%}; allow more"
        )

    def best(price: float) -> dict[int, int]:
        return {
            layer: least[layer]
            + int((regained[layer] - price * curves[layer])[least[layer] :].argmax())
            for layer in energies
        }

    def takes(kept: Mapping[int, int]) -> float:
        return table.rest + sum(float(curves[layer][kept[layer]]) for layer in energies)

    if takes(all_of := {layer: len(of) for layer, of in falling.items()}) <= budget:
        return all_of
    # A price so high that no energy is worth it, and one so low that all of it is.
    low, high = 0.0, 1.0
    while takes(best(high)) > budget:
        low, high = high, high * 4
        if high > 1e30:  # the fewest groups take the same as some more
            return _filled(dict(least), falling, curves, budget - takes(least))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if takes(best(middle)) <= budget else (middle, high)
    kept = best(high)
    found = [_filled(dict(kept), falling, curves, budget - takes(kept))]
    # What is worth it at a price a little lower costs too much only by what some layer takes at
    # once, which a curve that is not convex may ask for: each of them alone, and then the rest.
    for layer, number in best(low).items():
        one = {**least, layer: number}
        if number > kept[layer] and takes(one) <= budget:
            found.append(_filled(one, falling, curves, budget - takes(one)))
    return max(found, key=lambda k: sum(float(regained[layer][k[layer]]) for layer in energies))


def _filled(
    kept: dict[int, int], falling: Mapping[int, Floats], curves: Mapping[int, Floats], left: float
) -> dict[int, int]:
    """The choice with more groups, as long as time is left: always those of one layer that bring
    most energy for their time, as many of them as one step of its curve asks for."""
    while True:
        found: tuple[float, int, int, float] | None = None
        for layer, n in kept.items():
            dear = curves[layer][n + 1 :] - curves[layer][n]
            fits = int(np.searchsorted(dear, left, side="right"))  # the curve never falls
            if fits == 0:
                continue
            gains = np.cumsum(falling[layer][n : n + fits])
            if gains[-1] == 0:  # they are zero already
                continue
            rates = gains / np.maximum(dear[:fits], 1e-15)
            more = int(rates.argmax()) + 1
            if found is None or rates[more - 1] > found[0]:
                found = (float(rates[more - 1]), layer, more, float(dear[more - 1]))
        if found is None:
            return kept
        kept[found[1]] += found[2]
        left -= found[3]


def kept_groups(energies: Floats, number: int) -> npt.NDArray[np.bool_]:
    """Returns which groups stay where so many do: those of most energy, of equals the first."""
    stays = np.zeros(energies.size, np.bool_)
    stays[np.argsort(-energies.reshape(-1), kind="stable")[:number]] = True
    return stays.reshape(energies.shape)
