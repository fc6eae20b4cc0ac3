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

from latbench.spaces.streams import Purpose, stream

T = TypeVar("T")


# 1: no purpose, so that epoch e + 1 of a training had the images in the order of epoch e of a
# search with its seed. 2 (2026-11-29): ``latbench.spaces.streams``. A checkpoint goes on with its
# own.
STREAMS = 2


def generator(purpose: Purpose, seed: int, *place: int, version: int = STREAMS) -> Generator:
    """Makes a CPU generator for one place (an epoch, a stream) of a run.

    Torch's has 2^32 streams (2.13 takes the lower half of what it is given; 2026-11-29), so two
    places in a run of thousands may have the same one by chance, one time in a thousand.

    Args:
        purpose: What the stream is for.
        seed: The seed of the run.
        *place: The place's numbers.
        version: The version of the streams, that of the checkpoint.

    Returns:
        The generator.
    """
    entropy = np.random.SeedSequence([seed, *place]) if version == 1 else None
    state = (entropy or stream(purpose, seed, *place)).generate_state(1, np.uint64)
    return Generator().manual_seed(int(state[0]) >> 1)  # torch takes 63 bits from every platform


def seeded(seed: int, build: Callable[[], T]) -> T:
    """Returns what ``build`` makes when torch's global CPU generator starts at ``seed``.

    Layers draw their initial weights from that generator; it is put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would reseed the accelerators' generators as well.
        torch.default_generator.manual_seed(seed)
        return build()
