"""Randomness that is a function of a seed and a place, and leaves the caller's alone.

Every epoch has generators of its own, so a search that goes on from a checkpoint sees what the
uninterrupted one saw, and no generator's state has to be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Generator

T = TypeVar("T")


def generator(seed: int, *place: int) -> Generator:
    """A CPU generator for one place (an epoch, a stream) of the run ``seed``."""
    state = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)
    return Generator().manual_seed(int(state[0]) >> 1)  # torch takes 63 bits from every platform


def seeded(seed: int, build: Callable[[], T]) -> T:
    """What ``build`` makes when torch's global CPU generator starts at ``seed``.

    Layers draw their initial weights from that generator; it is put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would reseed the accelerators' generators as well.
        torch.default_generator.manual_seed(seed)
        return build()
