"""Every architecture has a number: what stores keep."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import spaces, spaces_and_architectures

from latbench.errors import UsageError
from latbench.spaces import SPACES, AnySpace, make_space

every_space = pytest.mark.parametrize("name", SPACES)

DARTS_V2_RANK = 312_674_424_429_523_488
DARTS_SAMPLE_RANK = 50_623_899_242_166_617
NASBENCH201_SAMPLE_RANK = 819


@settings(deadline=None)
@given(spaces_and_architectures())
def test_the_number_gives_the_architecture_back(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    rank = space.rank(architecture)
    assert 0 <= rank < space.size
    assert space.unrank(rank) == architecture


@settings(deadline=None)
@given(spaces(), st.data())
def test_the_architecture_gives_the_number_back(space: AnySpace, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, space.size - 1))
    assert space.rank(space.unrank(rank)) == rank


def test_a_small_space_is_numbered_without_gap() -> None:
    space = make_space("nasbench201")
    assert len({space.unrank(i) for i in range(space.size)}) == space.size


@every_space
def test_numbers_outside_the_space_are_refused(name: str) -> None:
    space = make_space(name)
    assert space.rank(space.unrank(space.size - 1)) == space.size - 1
    for rank in (-1, space.size):
        with pytest.raises(UsageError, match="numbers its architectures 0 to"):
            space.unrank(rank)


def test_the_numbers_never_change() -> None:
    """Stores keep them: a change here makes every store unreadable."""
    darts, nasbench201 = (make_space(name).with_sampler(1) for name in ("darts", "nasbench201"))
    assert darts.rank(darts.reference()) == DARTS_V2_RANK
    assert darts.rank(darts.sample(0, 0)) == DARTS_SAMPLE_RANK
    assert nasbench201.rank(nasbench201.sample(0, 0)) == NASBENCH201_SAMPLE_RANK
