"""Streams of random numbers: no two purposes, seeds or places have the same one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.sampling.choosing import _resampling
from latbench.search.baselines.searches import evolution
from latbench.search.rng import generator as torch_generator
from latbench.search.search_state import Streams
from latbench.spaces import AnySpace, nasbench201
from latbench.spaces.streams import Purpose, stream

SEEDS = (0, 1, 2, 2**32, 2**32 + 1, 2**40)
PLACES = (0, 1, 2, 3, 2**32, 2**32 + 1)


def first(of: np.random.Generator | np.random.SeedSequence) -> int:
    """The first number that a stream gives."""
    rng = of if isinstance(of, np.random.Generator) else np.random.default_rng(of)
    return int(rng.integers(2**63))


def of_evolution(seed: int) -> int:
    """The stream that a run of it really draws from."""
    seen: list[Any] = []

    def mutation(space: AnySpace, parent: Any, rng: np.random.Generator) -> Any:
        seen.append(rng.bit_generator.seed_seq)
        return space.mutate(parent, rng)

    evolution(
        nasbench201(), lambda many: np.ones(len(many)), lambda a: 0.0, limit=1.0, budget=3,
        seed=seed, population=2, mutation=mutation,
    )  # fmt: skip
    return first(seen[0])


def test_first_draws_of_all_purposes_are_different() -> None:
    drawn = [first(np.random.default_rng(seed)) for seed in SEEDS]  # the rows of a data set
    drawn += [of_evolution(seed) for seed in SEEDS]
    for seed, place in itertools.product(SEEDS, PLACES):
        drawn.append(first(nasbench201().generator(seed, place)))
        drawn.append(first(_resampling(seed, place, sampler=2)))
    assert len(set(drawn)) == len(drawn) == 84


def test_a_search_and_a_training_see_the_images_in_different_orders() -> None:
    def states(seed: int) -> Iterator[int]:
        yield torch_generator(Purpose.SEARCH, seed, 0).initial_seed()
        for epoch in range(30):
            for found in Streams.of(seed, epoch):
                yield found.initial_seed()
            for place in ((epoch,), (epoch, 1)):
                yield torch_generator(Purpose.TRAINING, seed, *place).initial_seed()

    drawn = [state for seed in SEEDS for state in states(seed)]
    assert len(set(drawn)) == len(drawn)


def test_a_checkpoint_of_before_goes_on_with_its_streams() -> None:
    old = Streams.of(5, 7, version=1)
    for place, found in enumerate(old):
        state = np.random.SeedSequence([5, 8, place]).generate_state(1, np.uint64)
        assert found.initial_seed() == int(state[0]) >> 1


@pytest.mark.parametrize("seed", [0, 5, 2**32 + 3, 2**100 + 7])
@pytest.mark.parametrize("place", [(), (0,), (7, 2**33 + 1)])
def test_a_stream_is_numpys_of_a_spawn_key(seed: int, place: tuple[int, ...]) -> None:
    words = [word for number in place for word in (number & 0xFFFFFFFF, number >> 32)]
    key = (int(Purpose.EVOLUTION), *words)
    expected = np.random.SeedSequence(seed, spawn_key=key).generate_state(8)
    found = stream(Purpose.EVOLUTION, seed, *place).generate_state(8)
    np.testing.assert_array_equal(found, expected)


def test_purposes_keep_their_numbers() -> None:
    assert {p.name: int(p) for p in Purpose} == {
        "SAMPLE": 1, "EVOLUTION": 2, "COMMITTEE": 3, "SEARCH": 4, "TRAINING": 5,
    }  # fmt: skip


@pytest.mark.parametrize("numbers", [(-1,), (0, -1), (2**128,), (0, 2**64)])
def test_numbers_that_do_not_fit_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        stream(Purpose.SAMPLE, *numbers)
