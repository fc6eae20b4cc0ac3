"""Pools of operators: what is kept, what fills, what differs beyond the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_spaces import small_blocks

from latbench.errors import UsageError
from latbench.operators.candidates import Candidate, candidates, models_of
from latbench.operators.pools import Rules, Timed, differ, liking, pools, score
from latbench.spaces import make_space
from latbench.spaces.chains.operators_space import OPERATORS

SPACE = make_space(
    "operators", {"widths": (8, 16, 24), "blocks": (2,), "resolution": 18, "classes": 10}
)
ALL = candidates(SPACE)
FAMILY = {one.operator: one.family for one in ALL}
NAMES = [one.operator for one in ALL if one.layer == "1.1"]


def timed(
    of: Mapping[str, float], floor: float | None = 0.0, name: str = "a",
    failed: Mapping[str, str] = MappingProxyType({}),
) -> Timed:  # fmt: skip
    """Latencies that are the same at every layer; an operator that is not named takes 1 s."""
    seconds = {
        (one.layer, one.operator): of.get(one.operator, 1.0)
        for one in ALL if one.operator not in failed
    }  # fmt: skip
    gone = {(layer, o): why for layer in ("1.1", "1.2") for o, why in failed.items()}
    return Timed(name, seconds, floor, gone)


def unlike(a: Timed, b: Timed, found: Sequence[Candidate] = ALL) -> dict[str, bool | None]:
    """Whether the pools of two backends differ."""
    return differ(*(liking(found, one, Rules()) for one in (a, b)))


def test_every_operator_is_a_candidate_at_every_layer() -> None:
    assert len(ALL) == 2 * 32
    assert len(set(NAMES)) == 32
    whole = SPACE.build(SPACE.parse("1.1=mb3e3;1.2=sep5se"))
    parts = [
        one for one in ALL if (one.layer, one.operator) in (("1.1", "mb3e3"), ("1.2", "sep5se"))
    ]
    inside = sum(one.network.parameters for one in parts)
    assert 0 < inside < whole.parameters
    assert {one.network.input_shape for one in ALL if one.layer == "1.1"} == {(1, 8, 9, 9)}
    assert len(models_of(ALL)) == 64  # the layers have different inputs


def test_a_space_without_operators_has_no_candidates() -> None:
    with pytest.raises(UsageError, match="'nats-size' chooses no operators"):
        candidates(make_space("nats-size"))
    with pytest.raises(UsageError, match=r"depends on .*: name a space of one width"):
        candidates(small_blocks())


@given(
    seconds=st.dictionaries(st.sampled_from(NAMES), st.floats(1e-6, 1e3), max_size=32),
    keep=st.integers(1, 32), per_family=st.integers(1, 32),
    beta=st.floats(0, 3),
)  # fmt: skip
def test_a_pool_has_the_fastest_and_as_many_as_asked_for(
    seconds: dict[str, float], keep: int, per_family: int, beta: float
) -> None:
    one = timed(seconds)
    for layer, pool in pools(ALL, one, Rules(keep, per_family, beta)).items():
        assert len(pool) == len(set(pool)) == keep
        assert list(pool) == sorted(pool, key=NAMES.index)
        fastest = min(one.seconds[layer, o] for o in NAMES)
        assert min(one.seconds[layer, o] for o in pool) == fastest
        families = [FAMILY[o] for o in pool]
        if keep <= 3 * per_family and per_family <= 6:  # there are enough of each family
            assert max(map(families.count, families)) <= per_family


def test_with_one_of_a_family_each_family_has_its_best() -> None:
    one = timed({})
    (pool, _) = pools(ALL, one, Rules(3, 1, 0.0)).values()
    for operator in pool[1:]:  # the first is the fastest, which has a place whatever its score
        family = [c for c in ALL if c.layer == "1.1" and c.family == FAMILY[operator]]
        assert operator == max(family, key=lambda c: score(c, 1.0, 0.0)).operator
    assert [FAMILY[o] for o in pool] == ["sep", "mb", "shuffle"]


def test_what_a_backend_cannot_run_is_in_no_pool() -> None:
    gone = {name: "no such kernel" for name in NAMES if name.startswith("shuffle")}
    assert not any(
        o.startswith("shuffle")
        for pool in pools(ALL, timed({}, failed=gone), Rules()).values()
        for o in pool
    )
    everything = Timed("b", {}, 0.0, {("1.1", NAMES[0]): "out of memory"})
    with pytest.raises(UsageError, match=r"b runs no operator of the layer '1\.1': out of memory"):
        pools(ALL, everything, Rules())


def test_pools_differ_beyond_the_noise_only() -> None:
    base = {name: 1.0 + k / 100 for k, name in enumerate(NAMES)}
    slow = {name: 1000 * s if name.startswith("mb") else s for name, s in base.items()}
    a, floor = timed(base, floor=0.001), 0.001
    assert unlike(a, timed(slow, floor)) == {"1.1": True, "1.2": True}  # of one name
    assert unlike(a, timed(base, floor)) == {"1.1": False, "1.2": False}
    assert not any(unlike(timed(base, 10.0), timed(slow, 10.0)).values())
    gone = {name: "no such kernel" for name in NAMES if name.startswith("mb")}
    assert unlike(a, timed(base, floor, failed=gone))["1.1"]
    assert unlike(a, timed(base, None)) == {"1.1": None, "1.2": None}


@pytest.mark.parametrize("price", [0.0, 0.5, 1.0])
def test_a_retest_hardly_ever_differs(price: float) -> None:
    """Of the same latencies with the noise of a timing, in spaces from all alike to as large as
    their capacity."""
    layer = [one for one in ALL if one.layer == "1.1"]
    true = {one.operator: math.exp(price * score(one, 1.0, 0.0)) for one in layer}
    rng, deviation = np.random.default_rng(0), 0.02
    floor = deviation * 2 / math.sqrt(math.pi)

    def again() -> Timed:
        noise = np.exp(deviation * rng.standard_normal(len(true)))
        values = dict(zip(true, noise * list(true.values()), strict=True))
        return Timed("a", {("1.1", o): float(v) for o, v in values.items()}, floor, {})

    found = [unlike(again(), again(), layer)["1.1"] for _ in range(10)]
    assert sum(map(bool, found)) <= 2


@pytest.mark.parametrize(
    "wrong", [{"keep": 0}, {"per_family": 0}, {"beta": -1.0}, {"beta": math.nan}]
)
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Rules(**wrong)  # type: ignore[arg-type]


def test_families_are_those_that_a_space_says_or_the_letters_of_a_name() -> None:
    assert {name: one.family for name, one in OPERATORS.items()} == FAMILY
    own = small_blocks()
    assert [own.family(o) for o in ("conv3x3", "skip", "3x3")] == ["conv", "skip", "3x3"]
