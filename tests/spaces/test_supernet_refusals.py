"""What a supernet could not weigh, or would run the largest for, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from own_spaces import Odd, conv

from latbench.errors import UsageError
from latbench.networks.blocks import RELU, conv_bn
from latbench.networks.ops import Concat, Conv, Flatten, Linear
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.open_number import of_each
from latbench.spaces.variables import One, Some, Variable

AB, ABC = ("a", "b"), ("a", "b", "c")
W, V = One("w", ("4", "8"), kind="width"), One("v", ("3", "5"), kind="width")
OP, SET = One("o", AB), Some("in", ABC, 1, 2)


def kept(b: Assembler) -> dict[str, int]:
    """The members of ``SET``."""
    return b.some("in", {m: conv_bn(b, b.input, 4, k) for m, k in zip(ABC, (1, 3, 5), strict=True)})


def joined(b: Assembler) -> int:
    return b.add(Concat(), *(conv(b.number(n), b, b.input) for n in ("w", "v")))


def wide(f: Callable[[Any], Any], b: Assembler) -> int:
    return conv(f(b.number("w")), b, b.input)


def repeated(b: Assembler) -> int:
    x = b.input
    for _ in range(b.number("w")):
        x = conv(4, b, x)
    return x


def twice(b: Assembler) -> int:
    return b.total([*kept(b).values(), *kept(b).values()])


def same(b: Assembler, x: int) -> int:
    return conv(4, b, x)


SAME: dict[str, Step] = {"a": same, "b": same}
BY_ELSE = r"<4 or 8 by w> is computed with by something else than .* of_each\(function, number"
APART = r"the options of 'o' give tensors whose open channels lie differently \(.*w.*\)"
REACHES_NONE = r"the number 'w' reaches no layer but as its largest value, as in range\(\)"
NO_TERM = "a total may have no term at all; give it one that is always there"
REFUSED: dict[str, tuple[list[Variable], Callable[[Assembler], int], str]] = {
    "a convolution on a member": (
        [SET], lambda b: b.total([conv(4, b, x) for x in kept(b).values()]),
        "Conv reads the member 'a' of 'in', which may not be kept; add members by total",
    ),
    "an activation on what hangs on a member": (
        [SET, One("oa", AB, given=("in", ("a",)))],
        lambda b: b.add(RELU, b.one("oa", SAME, kept(b)["a"])),
        "Activation reads the member 'a' of 'in'",
    ),
    "a depth on a member, read alone": (
        [SET, One("d", ("0", "1"), kind="depth", given=("in", ("a",)))],
        lambda b: b.add(RELU, b.first("d", [same], kept(b)["a"])),
        "Activation reads the member 'a' of 'in'",
    ),
    "members in a concatenation": (
        [SET], lambda b: b.add(Concat(), *kept(b).values()), "Concat reads the member 'a' of 'in'",
    ),
    "two variables in a row on a member": (
        [SET, *(One(name, AB, given=("in", ("a",))) for name in ("first", "second"))],
        lambda b: b.one("second", SAME, b.one("first", SAME, kept(b)["a"])),
        "reads the member 'a' of 'in'",
    ),
    "a set of what a member is": (
        [SET, Some("inner", AB, given=("in", ("a",)))],
        lambda b: b.total(list(b.some("inner", dict.fromkeys(AB, kept(b)["a"])).values())),
        "reads the member 'a' of 'in'",
    ),
    "a member twice": ([SET], twice, "a total has a member of 'in' twice"),
    "a total of a set of none": (
        [Some("in", ABC, 0, 2)], lambda b: b.total(list(kept(b).values())), NO_TERM,
    ),
    "a total of some of a set": (
        [SET], lambda b: b.total([kept(b)["a"], kept(b)["b"]]), NO_TERM,
    ),
    "a total of nothing": (
        [OP], lambda b: b.total([]), "a total (has|may have) no term( at all)?; give it one",
    ),
    "members that are weighed by nothing": (
        [SET, One("wa", ("4", "8"), kind="width", given=("in", ("a",)))],
        lambda b: b.total([conv(4, b, conv(b.number("wa"), b, b.input)), *kept(b).values()]),
        "the member 'a' of 'in' is weighed by nothing; ask for 'wa' by one",
    ),
    "a width / 4": ([W], partial(wide, lambda w: int(w / 4)), BY_ELSE),
    "a width * 0.5": ([W], partial(wide, lambda w: int(w * 0.5)), BY_ELSE),
    # Python's own float takes the largest here, unasked.
    "0.5 * a width": ([W], partial(wide, lambda w: int(0.5 * w)), REACHES_NONE),
    "a width ** 2": ([W], partial(wide, lambda w: w**2), BY_ELSE),
    "a width >> 1": ([W], partial(wide, lambda w: w >> 1), BY_ELSE),
    "a float of each": (
        [W], partial(wide, lambda w: of_each(lambda n: n / 2, w)),
        r"the function gave 2.0 for .* expected a whole number",
    ),
    "a number in range": (
        [W], repeated, REACHES_NONE,
    ),
    "an int of a number": (
        [W], partial(wide, int), REACHES_NONE,
    ),
    "a kernel": (
        [One("k", ("3", "5"), kind="kernel")],
        lambda b: b.add(Conv(4, b.number("k"), padding=2), b.input),
        "the kernel of Conv depends on k, and a supernet would run the largest for all",
    ),
    "a number of groups": (
        [One("g", ("1", "2"), kind="groups")],
        lambda b: b.add(Conv(4, 3, groups=b.number("g")), conv(4, b, b.input)),
        "the groups of Conv depends on g",
    ),
    "two channels of each": (
        [W],
        lambda b: conv(4, b, b.add(
            Conv(b.number("w") * 2, 3, groups=b.number("w")), conv(b.number("w"), b, b.input)
        )),
        "the groups of Conv depends on w",
    ),
    "a skip beside a convolution": (
        [W, V, OP],
        lambda b: conv(4, b, b.one(
            "o", {"a": lambda b, x: x, "b": lambda b, x: conv(b.shape(x)[1], b, x)}, joined(b)
        )),
        APART,
    ),
    "a depth of 0 beside a convolution": (
        [W, V, One("o", ("0", "1"), kind="depth")],
        lambda b: conv(4, b, b.first(
            "o", [lambda b, x: conv(b.shape(x)[1], b, x)], joined(b)
        )),
        APART,
    ),
    "no index": (
        [OP], lambda b: b.one("o", {"a": same, "b": lambda b, x: None}, b.input),  # type: ignore[dict-item,return-value]
        "a step returned None; expected the index of its last layer",
    ),
    "an index of no layer": (
        [OP], lambda b: b.one("o", {"a": same, "b": lambda b, x: 99}, b.input),
        "there is no layer 99",
    ),
    "no index of a depth": (
        [One("d", ("0", "1"), kind="depth")],
        lambda b: b.first("d", [lambda b, x: None], b.input),  # type: ignore[list-item,return-value]
        "a step returned None; expected the index of its last layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_supernet_cannot_be_is_refused_in_one_sentence(name: str) -> None:
    variables, assemble, said = REFUSED[name]
    space = Odd(variables, assemble)
    for ask in (space.supernet, space.layer_kinds):
        with pytest.raises(UsageError, match=said) as error:
            ask()
        assert "\n" not in str(error.value)
        assert str(error.value).count("space 'odd'") <= 1


@pytest.mark.parametrize(
    "name", ["no index", "an index of no layer", "no index of a depth", "a total of nothing"]
)
def test_a_network_alone_refuses_it_as_well(name: str) -> None:
    variables, assemble, said = REFUSED[name]
    space = Odd(variables, assemble)
    with pytest.raises(UsageError, match=said):
        space.build(space.unrank(space.size - 1))


def test_pixels_of_an_open_resolution_are_no_features() -> None:
    def flat(b: Assembler) -> int:
        return b.add(Linear(4), b.add(Flatten(), b.input))

    class Flat(Odd):
        def assemble(self, b: Assembler) -> int:
            return flat(b)

    size = One("r", ("6", "8"), kind="resolution")
    space = Flat([size], flat, lambda n: (1, 3, n("r"), n("r")))
    with pytest.raises(UsageError, match="features that depends on r by more than channels"):
        space.supernet()
