"""Forests of variables: numbering against brute force, walks, and what is no forest."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from own_spaces import Blocks

from latbench.errors import UsageError
from latbench.spaces import darts
from latbench.spaces.forest import Code, Forest, below
from latbench.spaces.variables import One, Some, Variable

AB, ABC = ("a", "b"), ("a", "b", "c")
SMALL: dict[str, list[Variable]] = {
    "a depth and its blocks": [
        One("depth", ("0", "1", "2"), kind="depth"),
        One("first", AB, given=("depth", ("1", "2"))),
        One("second", ABC, given=("depth", ("2",))),
        One("width", AB, kind="width"),
    ],
    "sets with operations": [
        Some("in", ABC, 1, 2),
        One("op", AB, given=("in", ("a",))),
        One("other", ABC, given=("in", ("c",))),
        One("more", AB, given=("other", ("b", "c"))),
    ],
    "sets under choices and sets": [
        One("kind", AB),
        Some("of a", ("x", "y"), 0, 2, given=("kind", ("a",))),
        Some("in x", ABC, 2, 3, given=("of a", ("x",))),
        One("in y", AB, given=("of a", ("y",))),
    ],
}
every_forest = pytest.mark.parametrize("name", SMALL)


def renamed(name: str) -> Forest:
    return Forest([_plain(v) for v in SMALL[name]], "small")


def _plain(v: Variable) -> Variable:
    import dataclasses

    given = None if v.given is None else (v.given[0].replace(" ", "_"), v.given[1])
    return dataclasses.replace(v, name=v.name.replace(" ", "_"), given=given)


def everything(forest: Forest) -> Iterator[Code]:
    """All codes, by trying every assignment of every variable."""
    domains = []
    for v in forest.variables:
        n = len(v.options)
        sets = [
            s for s in range(2**n) if isinstance(v, Some) and v.least <= s.bit_count() <= v.most
        ]
        domains.append([-1, *(range(n) if isinstance(v, One) else sets)])
    for code in itertools.product(*domains):
        if all(exists(forest, code, i) == (code[i] >= 0) for i in range(len(code))):
            yield code


def exists(forest: Forest, code: Code, i: int) -> bool:
    v, p = forest.variables[i], forest.parents[i]
    if v.given is None:
        return True
    parent = forest.variables[p]
    chosen = [parent.options.index(value) for value in v.given[1]]
    if code[p] < 0:
        return False
    return code[p] in chosen if isinstance(parent, One) else bool(code[p] >> chosen[0] & 1)


@every_forest
def test_numbers_are_a_bijection_with_every_valid_assignment(name: str) -> None:
    forest = renamed(name)
    codes = [forest.unrank(i) for i in range(forest.size)]
    assert sorted(codes) == sorted(everything(forest))
    assert [forest.rank(code) for code in codes] == list(range(forest.size))


@every_forest
def test_draws_are_uniform_and_changes_stay_in_the_space(name: str) -> None:
    forest, rng = renamed(name), np.random.default_rng(0)
    valid = set(everything(forest))
    drawn = Counter(forest.uniform(rng) for _ in range(200 * len(valid)))
    chi = sum((n - 200) ** 2 / 200 for n in drawn.values())
    assert set(drawn) == valid
    assert chi <= (len(valid) - 1) + 5 * (2 * (len(valid) - 1)) ** 0.5
    for a, b in zip(list(drawn), list(drawn)[1:], strict=False):
        assert forest.mutated(a, rng) in valid - {a}
        crossed = forest.crossed(a, b, rng)
        assert crossed in valid
        assert all(x in (y, z) for x, y, z in zip(crossed, a, b, strict=True) if x >= 0)


@every_forest
def test_a_code_is_given_a_variable_and_keeps_all_else_that_it_can(name: str) -> None:
    forest, rng = renamed(name), np.random.default_rng(0)
    valid = list(everything(forest))
    for code in valid:
        for i in range(len(forest.variables)):
            found = forest.having(i, code, rng)
            assert found in valid
            assert found[i] >= 0
            above, p = set[int](), i
            while (p := forest.parents[p]) >= 0:
                above.add(p)
            same = [k for k, x in enumerate(found) if x >= 0 and code[k] >= 0 and k not in above]
            assert all(found[k] == code[k] for k in same)
            assert found == code or code[i] < 0


def test_a_mutation_changes_one_value_and_keeps_the_operation_of_an_exchanged_input() -> None:
    space, rng = darts(), np.random.default_rng(1)
    start = space.parse("DARTS_V2")
    kinds = Counter[str]()
    for _ in range(400):
        other = space.mutate(start, rng)
        changed = [v for v in space.forest.variables if start[v.name] != other[v.name]]
        sets = [v for v in changed if isinstance(v, Some)]
        kinds["input" if sets else "operation"] += 1
        if sets:
            node = sets[0].name
            before, after = (Counter(_operations(a, node)) for a in (start, other))
            assert before == after
        else:
            assert len(changed) == 1
    # At equal odds, as Real et al. have it.
    assert 140 < kinds["input"] < 260


@pytest.mark.parametrize(
    "pair",
    [
        (One("of_a", ABC, given=("p", ("a",))), Some("of_b", ABC, 1, 1, given=("p", ("b",)))),
        (
            Some("of_a", ABC, 1, 1, given=("p", ("a",))),
            Some("of_b", ABC, 2, 2, given=("p", ("b",))),
        ),
        (Some("of_a", ABC, 1, 3, given=("p", ("a",))), One("of_b", ABC, given=("p", ("b",)))),
    ],
    ids=["one and some", "two bounds", "some and one"],
)
def test_a_mutation_hands_no_value_to_a_variable_that_only_has_the_same_options(
    pair: tuple[Variable, Variable],
) -> None:
    forest, rng = Forest([One("p", AB), *pair], "small"), np.random.default_rng(0)
    valid = set(everything(forest))
    for code in valid:
        for _ in range(20):
            assert forest.mutated(code, rng) in valid - {code}


def _operations(architecture: object, node: str) -> list[str]:
    return [architecture[f"{node}.{s}"] for s in architecture[node]]  # type: ignore[index]


def test_a_space_without_a_limit_is_numbered() -> None:
    space = Blocks()
    assert space.size > 10**25
    for i in range(50):
        a = space.sample(0, i)
        assert space.unrank(space.rank(a)) == a
        assert space.parse(str(a)) == a
    assert space.rank(space.unrank(space.size - 1)) == space.size - 1


def test_numbers_below_any_limit_are_uniform() -> None:
    rng = np.random.default_rng(0)
    assert Counter(below(rng, 3) for _ in range(3000)).keys() == {0, 1, 2}
    assert {below(rng, 1) for _ in range(10)} == {0}
    large = [below(rng, 3 * 2**70) for _ in range(2000)]
    assert 0.2 < np.mean([n < 2**70 for n in large]) < 0.47


NOT_A_FOREST: dict[str, tuple[list[Variable], str]] = {
    "twice": ([One("x", AB), One("x", AB)], "two variables are called 'x'"),
    "nothing": ([], "has no variable"),
    "later": ([One("x", AB, given=("y", ("a",))), One("y", AB)], "hangs on 'y', and no variable"),
    "no option": (
        [One("x", AB), One("y", AB, given=("x", ("q",)))],
        "hangs on x = 'q'; expected some .* 'x' has a, b",
    ),
    "two members": ([Some("x", ABC, 1, 2), One("y", AB, given=("x", AB))], "is no forest"),
    "alike": ([One("x", ("a", "a"))], "no two alike"),
    "too many": ([Some("x", AB, 1, 3)], "takes 1 to 3 of 2 members"),
    "none": ([One("x", ())], "one or more"),
    "a sign": ([One("x", ("a;b",))], "expected letters, digits"),
    "malformed": ([One("x", AB), One("y", AB, given=("x",))], "hangs on .'x',.; expected .name, "),  # type: ignore[arg-type]
    "a text": ([One("x", AB), One("y", AB, given=("x", "ab"))], "hangs on .'x', 'ab'.; expected"),  # type: ignore[arg-type]
    "an empty condition": ([One("x", AB), One("y", AB, given=())], "hangs on ..; expected .name"),  # type: ignore[arg-type]
    "an option twice": (
        [One("x", AB), One("y", AB, given=("x", ("a", "a")))],
        "hangs on x = 'a, a'; expected some of its options, each once",
    ),
    "absent": ([One("x", AB, absent="a")], "an option that is called as its absence is, 'a'"),
    "a sign for absent": ([One("x", AB, absent="a;b")], "expected letters, digits"),
    "a dash": ([Some("x", ("-", "a"), 0, 2)], "and not '-' alone"),
    "a dash as a name": ([One("-", AB)], "and not '-' alone"),
    "no member": ([Some("x", AB, 0, 0)], "takes 0 to 0 of 2 members; .* most of 1 or more"),
    "a fraction": ([Some("x", AB, 1.0, 2)], r"takes 1\.0 to 2 of 2 members"),  # type: ignore[arg-type]
    "members": ([Some("x", tuple(map(str, range(63))), 1, 2)], "expected at most 62"),
}


def test_an_option_may_be_called_as_its_variable() -> None:
    assert Forest([One("x", ("x", "y")), Some("s", ("s", "t"), 1, 1)], "mine").size == 4


@pytest.mark.parametrize("name", NOT_A_FOREST)
def test_what_is_no_forest_is_refused_in_one_sentence(name: str) -> None:
    variables, said = NOT_A_FOREST[name]
    with pytest.raises(UsageError, match=said) as error:
        Forest(variables, "mine")
    assert "'mine'" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_member_needs_a_variable_that_weighs_it() -> None:
    hanging = [One("n", AB, given=("s", ("a",))), One("m", AB, given=("s", ("a",)))]
    forest = Forest(
        [Some("s", AB, 1, 2), *hanging, One("p", AB), One("q", AB, given=("p", AB))], "t"
    )
    forest.check_weighed({"m"})
    with pytest.raises(UsageError, match=r"member 'a' of 's' is weighed by nothing; .* 'n' or 'm'"):
        forest.check_weighed({"p", "q"})


def test_the_sets_of_many_members_are_listed_by_themselves() -> None:
    """And not among all 2^40."""
    names = tuple(f"m{i}" for i in range(40))
    assert Some("s", names, 1, 1).sets == [1 << i for i in range(40)]
    sets = Some("s", names, 0, 2).sets
    assert sets == sorted(set(sets))
    assert len(sets) == 1 + 40 + 780
    assert {s.bit_count() for s in sets} == {0, 1, 2}
    with pytest.raises(UsageError, match="'s' can take 91,390 sets"):
        _ = Some("s", names, 4, 4).sets
