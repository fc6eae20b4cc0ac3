from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, spaces

from latbench.errors import LatbenchError, UsageError
from latbench.search.baselines.searches import BaselineOutcome, evolution, random_search
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.architecture import Architecture

SPACES = [nasbench201(), darts()]
SEARCHES: list[Callable[..., BaselineOutcome]] = [random_search, evolution]


def separable(space: AnySpace, seed: int) -> Callable[[Any], float]:
    """A score that is a sum over the encoding's entries."""
    parts = np.random.default_rng(seed).normal(size=len(space.one_hot(space.reference())))
    return lambda architecture: float(space.one_hot(architecture) @ parts)


def linear_cost(space: AnySpace) -> Callable[[Sequence[Any]], npt.NDArray[np.float64]]:
    """Positive, and its median over the space's samples about 1."""
    parts = np.random.default_rng(99).uniform(size=len(space.one_hot(space.reference())))
    middle = float(np.median([space.one_hot(space.sample(0, i)) @ parts for i in range(200)]))
    return lambda many: np.array([float(space.one_hot(a) @ parts) / middle for a in many])


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_mutant_is_another_architecture_of_the_space_one_choice_away(data: st.DataObject) -> None:
    space = data.draw(spaces())
    parent = data.draw(architectures(space))
    mutant = space.mutate(parent, np.random.default_rng(data.draw(st.integers(0, 2**32))))
    assert mutant != parent
    assert space.parse(str(mutant)) == mutant
    assert space.unrank(space.rank(mutant)) == mutant
    # Of the choices that both have, one differs: another depth has other blocks, and no other one.
    before, after = parent.values(), mutant.values()
    assert sum(before[name] != after[name] for name in before.keys() & after.keys()) == 1
    if before.keys() == after.keys() or space.name == "darts":
        # An edge that moves or changes its operation leaves one entry and enters another.
        assert np.abs(space.one_hot(mutant) - space.one_hot(parent)).sum() == 2


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_mutations_reach_every_entry_of_the_encoding(space: AnySpace) -> None:
    rng = np.random.default_rng(0)
    architecture, reached = space.reference(), np.zeros(len(space.one_hot(space.reference())))
    for _ in range(4000):
        architecture = space.mutate(architecture, rng)
        reached += space.one_hot(architecture)
    unreachable = 28 if space.name == "darts" else 0  # the supernet's 'none', never kept
    assert int((reached == 0).sum()) == unreachable


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("space", SPACES, ids=str)
@given(limit=st.floats(0.8, 1.3), budget=st.integers(1, 70), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=8)
def test_budget_and_limit_are_kept_and_the_seed_decides(
    search: Callable[..., BaselineOutcome], space: AnySpace, limit: float, budget: int, seed: int
) -> None:
    cost, score = linear_cost(space), separable(space, 3)
    scored: list[Any] = []

    def counted(architecture: Any) -> float:
        scored.append(architecture)
        return score(architecture)

    found = search(space, cost, counted, limit=limit, budget=budget, seed=seed)
    assert [t.architecture for t in found.history] == scored
    # Of two architectures of one network, the second costs nothing.
    assert len(set(map(space.canonical, scored))) == len(scored) == budget
    assert all(t.cost <= limit for t in found.history)
    assert [t.cost for t in found.history] == pytest.approx(list(cost(scored)))
    assert [t.score for t in found.history] == [score(a) for a in scored]
    assert found.best.score == max(t.score for t in found.history)
    assert search(space, cost, score, limit=limit, budget=budget, seed=seed) == found


def test_a_child_of_a_scored_network_has_its_score_and_goes_on_as_it_is_written() -> None:
    space = nasbench201()
    canonical = space.canonical_ranks(np.arange(space.size))
    twins = [space.unrank(rank) for rank in np.flatnonzero(canonical == 0).tolist()]
    scored: list[Any] = []
    parents: list[Any] = []

    def mutation(_: AnySpace, parent: Any, rng: np.random.Generator) -> Any:
        parents.append(parent)
        return twins[len(parents) % len(twins)]

    def score(architecture: Any) -> float:
        scored.append(architecture)
        return 9.0 if space.canonical(architecture) == twins[0] else 0.0

    found = evolution(
        space, lambda many: np.ones(len(many)), score, limit=1.0, budget=7, population=5, sample=20,
        mutation=mutation,
    )  # fmt: skip
    assert len(found.history) == len(scored) == 6  # no seventh network comes
    assert space.canonical(found.best.architecture) == twins[0]
    assert len(set(parents)) > 1


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_evolution_beats_random_search_on_a_separable_score(space: AnySpace) -> None:
    cost = linear_cost(space)
    wins = 0
    for seed in range(5):
        score = separable(space, seed)
        evolved, random = (
            search(space, cost, score, limit=1.0, budget=150, seed=seed).best.score
            for search in (evolution, random_search)
        )
        wins += evolved > random or (space.name == "nasbench201" and evolved == random)
    assert wins == 5


def test_evolution_starts_from_the_random_search() -> None:
    space = darts()
    arguments: dict[str, Any] = {"limit": 1.0, "seed": 4}
    cost, score = linear_cost(space), separable(space, 0)
    random = random_search(space, cost, score, budget=50, **arguments)
    evolved = evolution(space, cost, score, budget=60, **arguments)
    assert evolved.history[:50] == random.history


def test_the_oldest_leaves_the_population() -> None:
    """The best of the first population has no children once it has died."""
    space = nasbench201()
    first = [space.sample(0, i) for i in range(5)]
    parents: list[Architecture] = []

    def mutation(_: AnySpace, parent: Architecture, rng: np.random.Generator) -> Architecture:
        parents.append(parent)
        return space.mutate(parent, rng)

    evolution(
        space, lambda many: np.ones(len(many)), lambda a: float(a == first[0]), limit=1.0,
        budget=40, population=5, sample=20, mutation=mutation,
    )  # fmt: skip
    # It is the oldest, so it is a parent in the first cycle alone.
    assert parents[:4] == [first[0]] * 4
    assert first[0] not in parents[4:]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_whole_small_space_ends_before_the_budget(search: Callable[..., BaselineOutcome]) -> None:
    space = nasbench201()

    def only_pools(many: Sequence[Architecture]) -> npt.NDArray[np.float64]:
        return np.array([1.0 + 6 - a.code.count(4) for a in many])

    found = search(space, only_pools, lambda a: 0.0, limit=2.0, budget=100)
    assert 1 <= len(found.history) <= 25  # one edge of six is free: 1 + 6 * 4 cells


@pytest.mark.parametrize("search", SEARCHES)
def test_what_makes_no_sense_is_refused(search: Callable[..., BaselineOutcome]) -> None:
    space = nasbench201()
    cost, score = linear_cost(space), separable(space, 0)
    with pytest.raises(UsageError, match="limit must be above 0, got 0"):
        search(space, cost, score, limit=0, budget=1)
    with pytest.raises(UsageError, match="limit must be above 0, got nan"):
        search(space, cost, score, limit=math.nan, budget=1)
    with pytest.raises(UsageError, match="budget must be 1"):
        search(space, cost, score, limit=1, budget=0)
    with pytest.raises(LatbenchError, match="raise the limit"):
        search(space, cost, score, limit=1e-9, budget=1)
    with pytest.raises(LatbenchError, match="not a number"):
        search(space, cost, lambda a: math.nan, limit=9, budget=1)
    with pytest.raises(UsageError, match="population and sample"):
        evolution(space, cost, score, limit=1, budget=1, sample=0)


def test_the_worst_score_is_no_obstacle() -> None:
    space = nasbench201()
    found = evolution(space, linear_cost(space), lambda a: -math.inf, limit=9, budget=60)
    assert len(found.history) == 60


def test_a_search_may_bring_its_own_mutation() -> None:
    space = nasbench201()
    still = evolution(
        space, linear_cost(space), separable(space, 0), limit=1.0, budget=30, population=20,
        mutation=lambda _, architecture, rng: architecture,
    )  # fmt: skip
    assert len(still.history) == 20  # no mutant is new, and it ends


def test_crossings_have_the_values_of_their_parents() -> None:
    """Without mutation every value is one that the first population had; with crossings alone."""
    space = nasbench201()
    scored: list[Any] = []

    def score(a: Any) -> float:
        scored.append(a)
        return -float(str(a).count("none"))

    evolution(space, lambda many: np.ones(len(many)), score, limit=1, budget=40, population=6,
              sample=2, crossover=1.0)  # fmt: skip
    first, bred = scored[:6], scored[6:]
    assert bred
    for k in range(6):
        assert {a.code[k] for a in bred} <= {a.code[k] for a in first}
    with pytest.raises(UsageError, match="crossover must be a share from 0 to 1, got 2"):
        evolution(space, lambda many: np.ones(len(many)), score, limit=1, budget=2, crossover=2)


def test_no_child_is_its_parent_where_most_variables_rest() -> None:
    """A mutant that is put back to its parent would push an older network out for nothing."""
    space = nasbench201()
    other = space.reference().code

    def only_the_last(a: Any) -> Any:
        return space.of((*other[:-1], a.code[-1]))

    asked: list[list[Any]] = []

    def cost(many: Sequence[Any]) -> npt.NDArray[np.float64]:
        asked.append(list(many))
        return np.ones(len(many))

    evolution(space, cost, lambda a: 0.0, limit=1, budget=20, population=1, sample=1,
              project=only_the_last)  # fmt: skip
    assert len(asked) > 20
    parent = asked[0][0]
    for batch in asked[1:]:
        assert parent not in batch
        parent = batch[0]
