"""Networks of a supernet, of small spaces that were once built wrongly or refused."""

from __future__ import annotations

from functools import partial

import pytest
from own_spaces import Odd, conv

from latbench.networks.blocks import RELU, conv_bn, zero
from latbench.networks.ops import BatchNorm, Concat, Conv
from latbench.networks.supernet_ops import Mask, Sum
from latbench.spaces.assembly import Assembler
from latbench.spaces.derived import specialise
from latbench.spaces.open_number import of_each
from latbench.spaces.variables import One, Some

AB, ABC = ("a", "b"), ("a", "b", "c")


def width(name: str, *values: int) -> One:
    return One(name, tuple(map(str, values)), kind="width")


def rounded(w: int) -> int:
    """To a multiple of 8, as many networks have it."""
    return max(8, int(0.75 * w + 4) // 8 * 8)


def members(b: Assembler, x: int, names: str = "abc") -> dict[str, int]:
    return {name: conv_bn(b, x, 4, k) for name, k in zip(names, (1, 3, 5), strict=False)}


def nested_zero(b: Assembler) -> int:
    """Options that are a choice themselves, one of whose options is nothing."""
    x = conv(4, b, b.input)
    inner = {"zero": zero, "conv": partial(conv, 4)}
    return b.total(
        [
            b.one(
                f"o{i}",
                {"in": lambda b, x, i=i: b.one(f"i{i}", inner, x), "conv": partial(conv, 4)},  # type: ignore[misc]
                x,
            )
            for i in range(2)
        ]
    )


def many_numbers(b: Assembler) -> int:
    """An option with 5^7 combinations of numbers inside, of which no layer has more than two."""

    def step(b: Assembler, x: int) -> int:
        for i in range(7):
            x = conv(4, b, conv(b.number(f"e{i}"), b, x))
        return x

    return b.one("o", {"a": step, "b": partial(conv, 4)}, conv(4, b, b.input))


def depthwise(b: Assembler) -> int:
    x = conv(b.number("w"), b, b.input)
    c = b.shape(x)[1]
    return conv(4, b, b.add(BatchNorm(), b.add(Conv(c, 3, padding=1, groups=c), x)))


def one_segment(b: Assembler) -> int:
    """Of depths and of options, behind which the parts of a concatenation still are known."""
    both = [conv(b.number(n), b, b.input) for n in ("w", "v")]
    x = b.one("o", {"a": lambda b, x: x, "b": lambda b, x: b.add(RELU, x)}, b.add(Concat(), *both))
    return conv(4, b, b.first("d", [lambda b, x: b.add(RELU, x)], x))


def parts(b: Assembler) -> int:
    """Two totals of one set: of two of three members, of which at least one is there."""
    kept = b.some("in", members(b, b.input))
    return b.add(Concat(), *(b.total([kept[m] for m in of if m in kept]) for of in ("ab", "bc")))


ODD: dict[str, Odd] = {
    "of each": Odd(
        [width("w", 8, 12, 24)],
        lambda b: conv(of_each(rounded, b.number("w")), b, conv(b.number("w"), b, b.input)),
    ),
    "of each of two": Odd(
        [width("w", 8, 12), width("v", 2, 3)],
        lambda b: conv(of_each(max, b.number("w"), b.number("v") * 5), b, b.input),
    ),
    "channels on either side of the batch": Odd(
        [width("w", 8, 24)], lambda b: conv(4, b, b.input), lambda n: (16, n("w"), 6, 6)
    ),
    "a resolution on either side of the batch": Odd(
        [One("r", ("6", "24"), kind="resolution")], lambda b: conv(4, b, b.input),
        lambda n: (16, 16, n("r"), n("r")),
    ),
    "nested zero": Odd(
        [
            v for i in range(2) for v in
            (One(f"o{i}", ("in", "conv")), One(f"i{i}", ("zero", "conv"), given=(f"o{i}", ("in",))))
        ],
        nested_zero,
    ),
    "many numbers": Odd(
        [One("o", AB), *(
            One(f"e{i}", tuple("23456"), kind="width", given=("o", ("a",))) for i in range(7)
        )],
        many_numbers,
    ),
    "depthwise of one channel or four": Odd([width("w", 1, 4)], depthwise),
    "one segment": Odd(
        [width("w", 2, 4), width("v", 3, 5), One("o", AB), One("d", ("0", "1"), kind="depth")],
        one_segment,
    ),
    "members in another order": Odd(
        [Some("in", ABC, 1, 3)],
        lambda b: b.total(list(b.some("in", members(b, b.input, "cab")).values())),
    ),
    "parts of a set": Odd([Some("in", ABC, 2, 2)], parts),
    "a set of one": Odd(
        [Some("in", ("a",), 1, 1)],
        lambda b: b.add(RELU, b.total(list(b.some("in", members(b, b.input, "a")).values()))),
    ),
    "a set beside what is there": Odd(
        [Some("in", ABC, 0, 2)],
        lambda b: b.total([conv(4, b, b.input), *b.some("in", members(b, b.input)).values()]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_supernet_of_an_odd_space_has_its_networks(name: str) -> None:
    space = ODD[name]
    supernet, kinds = space.supernet(search=False), set(space.layer_kinds())
    for a in map(space.unrank, range(min(space.size, 40))):
        network = space.build(a)
        assert specialise(supernet, space, a).network == network
        assert set(network.kinds()) <= kinds


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("nested zero", [(0, 1, 2)]), ("parts of a set", [(1, 2), (1, 2)]),
        ("a set beside what is there", [(1, 2, 3)]), ("members in another order", [(1, 2, 3)]),
    ],
)  # fmt: skip
def test_a_sum_knows_how_many_terms_may_be_left(name: str, terms: list[tuple[int, ...]]) -> None:
    sums = [la.op for la in ODD[name].supernet(search=False).layers if isinstance(la.op, Sum)]
    assert [op.terms for op in sums] == terms


def test_the_parts_of_a_concatenation_are_known_behind_options_and_depths() -> None:
    """A mask of all channels as one part would keep the first ones of the wrong tensor."""
    layers = ODD["one segment"].supernet(search=False).layers
    (mask,) = [la.op for la in layers if isinstance(la.op, Mask)]
    assert [repr(part) for part in mask.segments] == ["<2 or 4 by w>", "<3 or 5 by v>"]
