"""Open numbers: an int to whoever computes shapes, and all of its values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.networks.ops import Conv, Pool
from latbench.spaces.open_number import (
    OpenNumber,
    Table,
    at,
    of_each,
    open_names,
    open_number,
    open_shape,
    settled,
)  # fmt: skip

A = OpenNumber(["a"], {(0,): 8, (1,): 12})
B = OpenNumber(["b"], {(0,): 2, (1,): 3, (2,): 4})
numbers = st.integers(1, 9)


@given(
    st.lists(numbers, min_size=2, max_size=3), st.lists(numbers, min_size=2, max_size=3), numbers
)
def test_arithmetic_keeps_every_value(x: list[int], y: list[int], n: int) -> None:
    a = OpenNumber(["a"], {(i,): v for i, v in enumerate(x)})
    b = OpenNumber(["b"], {(i,): v for i, v in enumerate(y)})
    functions: list[Callable[[Any, Any], Any]] = [
        lambda p, q: p + q, lambda p, q: p * q, lambda p, q: p - q, lambda p, q: p // q,
        lambda p, q: p % q, lambda p, q: n * p + q // n - (-q), lambda p, q: (n + p) * (n - q) % n,
    ]  # fmt: skip
    for f in functions:
        found = f(a, b)
        for i, v in enumerate(x):
            for j, w in enumerate(y):
                assert at(found, {"a": i, "b": j}) == f(v, w)


OTHERWISE: list[Callable[[Any], Any]] = [
    lambda w: w / 4, lambda w: 4 / w, lambda w: w**2, lambda w: 2**w, lambda w: w * 0.5,
    lambda w: w + 0.5, lambda w: w // 2.0, lambda w: w >> 1, lambda w: 1 << w, lambda w: w & 7,
    lambda w: 1 | w, lambda w: w ^ 1, lambda w: ~w, lambda w: divmod(w, 8), lambda w: abs(w),
    lambda w: round(w), lambda w: float(w), lambda w: math.ceil(w), lambda w: math.floor(w),
]  # fmt: skip


@pytest.mark.parametrize("ask", OTHERWISE)
def test_what_would_take_the_largest_alone_is_refused(ask: Callable[[Any], Any]) -> None:
    with pytest.raises(
        UsageError, match=r"<8 or 12 by a> is computed with by .* of_each\("
    ) as error:
        ask(A)
    assert "\n" not in str(error.value)


def test_any_function_is_asked_of_each_value() -> None:
    found = of_each(lambda a, b, c: round(a * 0.75 + b**c), A, B, 2)
    for i, a in enumerate((8, 12)):
        for j, b in enumerate((2, 3, 4)):
            assert at(found, {"a": i, "b": j}) == round(a * 0.75 + b**2)
    assert of_each(lambda a: a // 100, A) == 0
    assert of_each(lambda n: n + 1, 3) == 4
    with pytest.raises(UsageError, match=r"the function gave 4\.0 for .*; expected a whole number"):
        of_each(lambda a: a / 2, A)


def test_a_number_has_one_form_whatever_the_order_of_its_variables() -> None:
    """Equal shapes are told by it, and layer kinds kept in sets."""
    table: Table = {(i, j): 10 * i + j for i in range(2) for j in range(3)}
    one, other = open_number(["b", "a"], table), A * 0 + 10 * open_number(["b"], {(0,): 0, (1,): 1})
    other = other + open_number(["a"], {(j,): j for j in range(3)})
    assert isinstance(one, OpenNumber)
    assert isinstance(other, OpenNumber)
    assert list(one.table.items()) == list(other.table.items())
    assert hash(one) == hash(other)


def test_floats_are_compared_as_numbers() -> None:
    assert A < 12.5
    with pytest.raises(UsageError, match="depends on the variables a"):
        assert A < 8.5
    with pytest.raises(UsageError, match="depends on the variables a"):
        assert A == 12.0


def test_it_is_the_largest_where_an_int_is_needed() -> None:
    assert int(A) == 12
    assert list(range(A)) == list(range(12))
    assert at(A, None) == 12
    assert open_names((Conv(A, 3), ((1, B, 4, 4),))) == ("a", "b")
    assert at(Conv(A, 3), {"a": 0}) == Conv(8, 3)


def test_a_question_that_all_values_answer_alike_is_answered() -> None:
    assert A > 4
    assert A >= 8
    assert not A < 8
    assert A != B * 100
    assert OpenNumber(["a"], {(0,): 8, (1,): 12}) == A
    assert bool(A)
    assert A % 4 == 0
    assert A != "8"


@pytest.mark.parametrize(
    "ask", [lambda: A > 8, lambda: A == 12, lambda: A < B * 4, lambda: bool(A - 8)]
)
def test_a_question_that_depends_on_a_variable_is_refused(ask: object) -> None:
    with pytest.raises(UsageError, match=r"depends on the variables .*a"):
        ask()  # type: ignore[operator]


def test_shapes_are_asked_of_the_layer_kind_for_every_value() -> None:
    shape = open_shape(Pool("max", 3, 2, 1), ((1, A, B * 5, 7),))
    assert at(shape, {"a": 0, "b": 1}) == Pool("max", 3, 2, 1).output_shape((1, 8, 15, 7))
    assert shape[3] == 4
    assert not isinstance(shape[3], OpenNumber)
    with pytest.raises(UsageError, match="does not fit"):
        open_shape(Conv(4, 3), ((1, 3, B, B),))


def test_layers_are_settled_under_every_combination() -> None:
    kinds = list(settled((Conv(A, 1), ((1, B, 4, 4),)), {"a": 2, "b": 3}))
    assert len(set(kinds)) == 6
    many = OpenNumber(["c"], {(i,): i for i in range(200)})
    more = OpenNumber(["d"], {(i,): i for i in range(200)})
    with pytest.raises(UsageError, match="40,000 combinations; expected at most 20,000"):
        many * more
