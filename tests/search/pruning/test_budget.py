"""The choice of widths against all choices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.search.pruning.budget import Costs, keep_budget, kept_units, losses

Floats = npt.NDArray[np.float64]


def problem(seed: int, together: bool) -> tuple[list[Floats], Costs]:
    """Two or three groups of three or four options; costs that add up, or are of neighbours."""
    rng = np.random.default_rng(seed)
    options = [losses(rng.exponential(size=8), (2, 4, 6, 8)[-n:]) for n in rng.integers(3, 5, 3)]
    options = options[: rng.integers(2, 4)]
    own = [np.cumsum(rng.exponential(size=len(of)) + 0.1) for of in options]

    def costs(codes: Sequence[tuple[int, ...]]) -> Floats:
        each = [[of[k] for of, k in zip(own, code, strict=True)] for code in codes]
        if together:
            return np.array([sum(a * b for a, b in itertools.pairwise([1.0, *x])) for x in each])
        return np.array([sum(x) for x in each])

    return options, costs


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.booleans())
def test_it_keeps_the_budget_and_no_step_gains(seed: int, share: float, together: bool) -> None:
    options, costs = problem(seed, together)
    every = list(itertools.product(*(range(len(of)) for of in options)))
    found = costs(every)
    budget = float(found.min() + share * (found.max() - found.min()))
    choice = keep_budget(options, costs, budget)
    assert choice.cost <= budget
    assert choice.cost == costs([choice.code])[0]
    lost = np.array([sum(of[k] for of, k in zip(options, code, strict=True)) for code in every])
    assert choice.loss == pytest.approx(lost[every.index(choice.code)])
    for g, k in enumerate(choice.code):
        if k + 1 < len(options[g]):
            wider = (*choice.code[:g], k + 1, *choice.code[g + 1 :])
            gain = options[g][k] - options[g][k + 1]
            assert costs([wider])[0] > budget or gain <= 1e-12


@pytest.mark.parametrize("together", [False, True])
def test_it_loses_hardly_more_than_the_best_of_all_choices(together: bool) -> None:
    """From the widest network alone, 0.2 to 0.3 % of the range."""
    gaps, rng = list[float](), np.random.default_rng(0)
    for seed in range(400):
        options, costs = problem(seed, together)
        every = list(itertools.product(*(range(len(of)) for of in options)))
        found = costs(every)
        lost = np.array([sum(of[k] for of, k in zip(options, c, strict=True)) for c in every])
        budget = float(found.min() + rng.random() * (found.max() - found.min()))
        best = lost[found <= budget].min()
        gaps.append((keep_budget(options, costs, budget).loss - best) / (lost.max() - lost.min()))
    assert min(gaps) > -1e-12
    assert np.mean(gaps) < 0.002


def test_a_budget_that_asks_for_nothing_keeps_everything() -> None:
    options, costs = problem(0, False)
    whole = tuple(len(of) - 1 for of in options)
    assert keep_budget(options, costs, float(costs([whole])[0])).code == whole


def test_a_budget_below_the_narrowest_is_refused_with_its_share() -> None:
    options, costs = problem(1, True)
    narrow, whole = costs([tuple(0 for _ in options), tuple(len(of) - 1 for of in options)])
    with pytest.raises(UsageError, match=f"at their least it costs {narrow / whole:.1%}"):
        keep_budget(options, costs, 0.99 * float(narrow))


def test_steps_on_one_level_are_gone_down() -> None:
    """The first group costs the same at two widths, and nothing else can be narrower."""
    levels = np.array([1.0, 2.0, 2.0])
    found = keep_budget(
        [losses(np.ones(3), (1, 2, 3)), np.zeros(1)],
        lambda codes: levels[[code[0] for code in codes]], 1.5,
    )  # fmt: skip
    assert found.code == (0, 0)


def test_the_most_important_units_stay() -> None:
    importance = {"a": np.array([3.0, 1.0, 2.0]), "b": np.array([1.0, 1.0])}
    kept = kept_units(importance, {"a": 2, "b": 1})
    assert {name: of.tolist() for name, of in kept.items()} == {
        "a": [True, False, True], "b": [True, False],
    }  # fmt: skip
    assert losses(importance["a"], (1, 2, 3)).tolist() == [3.0, 1.0, 0.0]
