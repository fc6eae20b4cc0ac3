"""The canaries are different kinds of work, and say when the machine was another one."""

from __future__ import annotations

from collections import Counter

from latbench.campaign.canaries import CANARIES, UNIT, canary_key, turn
from latbench.networks.network import FLOAT32_BYTES, Network

CACHE_BYTES = 2**20  # of a core's own


def largest_tensor(network: Network) -> int:
    sizes = [layer.shape for layer in network.layers]
    return max(FLOAT32_BYTES * c * h * w for _, c, h, w in (s for s in sizes if len(s) == 4))


def test_each_feels_another_part_of_the_machine() -> None:
    made = {name: make() for name, make in CANARIES.items()}
    weights = {name: FLOAT32_BYTES * n.parameters for name, n in made.items()}
    assert weights["compute"] + 3 * largest_tensor(made["compute"]) < CACHE_BYTES
    assert weights["weights"] > 8 * CACHE_BYTES
    assert made["activations"].bytes_moved > 16 * CACHE_BYTES > 16 * weights["activations"]
    assert made["layers"].macs < made["compute"].macs / 100
    assert len(made["layers"].layers) > 100


def test_every_other_turn_is_the_units() -> None:
    turns = Counter(map(turn, range(60)))
    assert turns.pop(UNIT) == 30
    assert turns == {name: 10 for name in CANARIES if name != UNIT}


def test_other_canaries_would_be_other_units() -> None:
    """Changing a network changes the key, and every set that is measured from then on."""
    assert canary_key() == "compute (1c988bd4)"
