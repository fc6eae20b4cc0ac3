"""Odds of any forest: exact for hard choices, with a gradient that agrees with differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from own_spaces import Joined, Odd, one_hot_names, small_blocks
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.search.relaxations.tables import admissible, in_a_set, strongest
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.variables import One, Some

SPACES: list[AnySpace] = [
    darts(), darts(least_inputs=1, most_inputs=5), darts(least_inputs=3, most_inputs=3),
    nasbench201(), small_blocks(), Joined(),
]  # fmt: skip
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


@pytest.mark.parametrize(("n", "least", "most"), [(3, 1, 1), (4, 2, 2), (4, 1, 3), (3, 0, 3)])
def test_odds_to_be_in_a_set_by_enumeration(n: int, least: int, most: int) -> None:
    v = Some("s", tuple("abcd"[:n]), least, most)
    strength = torch.randn(n, generator=Generator().manual_seed(n))
    sets = [s for k in range(least, most + 1) for s in itertools.combinations(range(n), k)]
    weights = torch.stack([strength[list(s)].sum().exp() for s in sets])
    has = torch.tensor([[float(j in s) for j in range(n)] for s in sets])
    expected = (weights / weights.sum()) @ has
    torch.testing.assert_close(in_a_set(strength, admissible(v)), expected)


def test_the_strongest_members_within_bounds() -> None:
    strength = torch.tensor([[1.0, 3.0, -1.0, 2.0], [-1.0, -2.0, -3.0, -4.0], [1.0, 1.0, 1.0, 1.0]])
    assert strongest(strength, 2, 2).tolist() == [[0, 1, 0, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert strongest(strength, 1, 3).tolist() == [[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 0]]


def test_too_many_sets_are_refused() -> None:
    with pytest.raises(UsageError, match="'s' can take 77,520 sets"):
        admissible(Some("s", tuple(f"m{i}" for i in range(20)), 7, 7))


@every_space
def test_samples_are_encodings_of_the_space(space: AnySpace) -> None:
    made = DartsRelaxation(space, Generator().manual_seed(0))
    samples = made.sample(20, Generator().manual_seed(1)).detach().numpy()
    names = one_hot_names(space)
    for row in samples:
        on = {n for n, x in zip(names, row, strict=True) if x}
        assert np.isin(row, (0, 1)).all()
        found = [a for a in (_from_names(space, on),) if a is not None]
        assert len(found) == 1
        np.testing.assert_array_equal(space.one_hot(found[0]), row)  # type: ignore[arg-type]


def _from_names(space: AnySpace, on: set[str]) -> object:
    forest = space.forest

    def choose(i: int) -> int:
        v = forest.variables[i]
        if not isinstance(v, Some):
            (k,) = [k for k, o in enumerate(v.options) if f"{v.name}={o}" in on]
            return k
        told = (
            any(n.startswith(f"{forest.variables[c].name}=") for n in on for c in hanging)
            or f"{v.name}={o}" in on
            for o, hanging in zip(v.options, forest.children[i], strict=True)
        )
        return sum(1 << j for j, there in enumerate(told) if there)

    return space.of(forest.grow(choose))


@every_space
def test_joint_odds_of_an_architecture_are_its_encoding(space: AnySpace) -> None:
    made = DartsRelaxation(space, Generator())
    for i in range(10):
        a = space.sample(0, i)
        weights = torch.from_numpy(space.columns.weights([a.code])[0])
        joint = torch.nn.functional.pad(made.tables.joint(weights), (0, 1))[made.one_hot_places]
        np.testing.assert_array_equal(joint.numpy(), space.one_hot(a))


@pytest.mark.parametrize("scale", [0.01, 1.0])
@every_space
def test_the_gradient_agrees_with_finite_differences(space: AnySpace, scale: float) -> None:
    """Of the expectation of a random linear cost, with common random numbers, in 16 coordinates."""
    made = DartsRelaxation(space, Generator().manual_seed(0))
    made.alpha.data.mul_(1e3 * scale)
    stream = Generator().manual_seed(3)
    cost = torch.rand(len(space.columns.one_hot_places), generator=stream)

    def expected() -> Tensor:
        return (made.sample(1500, Generator().manual_seed(5)) @ cost).mean()

    expected().backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    coordinates = torch.randperm(len(made.alpha), generator=stream)[:16].tolist()
    differences = []
    for i in coordinates:
        values = []
        for step in (0.5, -0.5):
            made.alpha.data[i] += step
            with torch.no_grad():
                values.append(float(expected()))
            made.alpha.data[i] -= step
        differences.append(values[0] - values[1])
    found = torch.cosine_similarity(made.alpha.grad[coordinates], torch.tensor(differences), dim=0)
    assert found > 0.9


@pytest.mark.parametrize("made", [DartsRelaxation, GdasRelaxation])
@pytest.mark.parametrize("told_first", [True, False])
def test_two_sets_of_one_form_are_kept_apart_by_what_weighs_their_members(
    made: type[DartsRelaxation] | type[GdasRelaxation], told_first: bool
) -> None:
    """Those of one have variables that hang on them, and weigh 1; those of the other their odds."""
    told = [Some("told", ("a", "b", "c"), 1, 1)]
    told += [One(f"o{m}", ("p", "q"), given=("told", (m,))) for m in "abc"]  # type: ignore[misc]
    own = [Some("own", ("a", "b", "c"), 1, 1)]
    space = Odd(told + own if told_first else own + told, lambda b: b.input)
    relaxation, forest = made(space, Generator().manual_seed(0)), space.forest
    relaxation.alpha.data.normal_(generator=Generator().manual_seed(2))
    (weights,) = relaxation.subgraphs(Generator().manual_seed(1))

    def of(name: str) -> Tensor:
        start = forest.offsets[forest.index[name]]
        return weights[start : start + 3]

    torch.testing.assert_close(of("told"), torch.ones(3))
    torch.testing.assert_close(of("own").sum(), torch.tensor(1.0))
    (gradient,) = torch.autograd.grad(of("own")[0], relaxation.alpha)
    assert (gradient[relaxation.tables.own_logits] != 0).all()
