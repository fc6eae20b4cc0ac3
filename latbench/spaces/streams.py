"""Streams of random numbers, one a purpose: what a seed is used for decides what it gives.

numpy fills a short seed up with zeros, so ``default_rng([seed, 0])`` is ``default_rng(seed)``, and
lists of numbers cannot keep streams apart. A spawn key can: it comes after the filling. What only
orders or resamples the rows of one data set takes ``default_rng(seed)``, which is none of these.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from latbench.errors import UsageError

_WORD = 0xFFFFFFFF


class Purpose(IntEnum):
    """The purposes of random streams. A number here is never given to another purpose."""

    SAMPLE = 1  # the architecture at an index of a seed's sample
    EVOLUTION = 2  # tournaments and mutations
    COMMITTEE = 3  # resamples of the ensemble of active sampling, by its rows
    SEARCH = 4  # a search's first parameters, and its epochs
    TRAINING = 5  # a training's epochs


def first_sampler(seed: int, index: int) -> np.random.Generator:
    """Returns the random numbers of the ``index``-th sample of the stream ``seed``, as sampler 1
    has them, with which stored samples are repeated. Raises UsageError for a negative number."""
    if seed < 0 or index < 0:
        raise UsageError(f"a seed and an index must be 0 or more, got {seed} and {index}")
    # numpy fills up with zeros: (seed, 0) is default_rng(seed), and a seed from 2^32 meets others'.
    return np.random.default_rng([seed, index])


def stream(purpose: Purpose, seed: int, *place: int) -> np.random.SeedSequence:
    """Returns the stream of a purpose, a seed and a place in it (an index, an epoch).

    No two are equal: it is ``SeedSequence(seed, spawn_key=(purpose, *words))`` with two words of 32
    bits for each number of the place. Raises UsageError for a number that does not fit.
    """
    if not 0 <= seed < 2**128 or not all(0 <= number < 2**64 for number in place):
        raise UsageError(
            "a seed must be 0 or more and below 2^128, an index 0 or more and below 2^64; got "
            f"{' and '.join(map(str, (seed, *place)))}"
        )
    words = [int(seed) >> shift & _WORD for shift in (0, 32, 64, 96)] + [int(purpose)]
    for number in place:
        words += [int(number) & _WORD, int(number) >> 32]
    # Laid out here, as an array, because numpy takes 10 us more to do so with a spawn key
    # (2026-11-29).
    return np.random.SeedSequence(np.array(words, np.uint32))
