"""One assembly, three readings: networks, the supernet and the list of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from own_spaces import Blocks, BlocksConfig, Joined, Odd, conv, mobile, small_blocks

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.networks.ops import Conv, Elementwise, Slice
from latbench.networks.supernet_ops import Mask, Mixed
from latbench.search import SearchConfig
from latbench.search.searchability import check_searchable, proxy
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.assembly import Assembler
from latbench.spaces.derived import specialise
from latbench.spaces.supernet import resolution_of, widths_of
from latbench.spaces.variables import One, Some, Variable

SPACES: list[AnySpace] = [
    darts(channels=4, cells=3), darts(channels=4, cells=4, stem="imagenet"),
    darts(channels=4, cells=3, least_inputs=1, most_inputs=5),
    darts(channels=4, cells=3, least_inputs=3, most_inputs=3),
    nasbench201(channels=4, cells=1), small_blocks(), Joined(),
    Blocks(BlocksConfig(stages=3)),
]  # fmt: skip
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


@every_space
def test_a_supernet_at_an_architecture_is_its_network(space: AnySpace) -> None:
    supernet = space.supernet(search=False)
    for i in range(30):
        a = space.sample(0, i)
        derived = specialise(supernet, space, a)
        assert derived.network == space.build(a)
        assert len(derived.places) == len(derived.network.layers)


@every_space
def test_every_layer_of_every_network_is_listed(space: AnySpace) -> None:
    kinds = set(space.layer_kinds())
    seen = set[Any]()
    for i in range(300):
        network = space.build(space.sample(1, i))
        seen |= {(la.op, network.input_shapes(la)) for la in network.layers if la.inputs}
    assert seen <= kinds
    assert len(space.layer_kinds()) == len(kinds)
    if space.size < 1000 or space.name in ("darts", "nasbench201"):
        assert seen == kinds


def test_masks_stand_before_what_mixes_open_channels() -> None:
    layers = Joined().supernet(search=False).layers
    masks = [layer for layer in layers if isinstance(layer.op, Mask)]
    assert [len(m.op.segments) for m in masks] == [2, 1]  # type: ignore[attr-defined]
    read = [layer for layer in layers if isinstance(layer.op, Conv)]
    assert [isinstance(layers[c.inputs[0]].op, Mask) for c in read] == [
        False, False, True, True, True, True,
    ]  # fmt: skip


def test_the_variables_that_channels_and_pixels_depend_on_are_told_by_the_layers() -> None:
    """Whatever kind they are of, those inside of an option as well, in the order of the layers."""
    assert widths_of(Joined().supernet()) == ("left", "right", "expansion")
    blocks = small_blocks().supernet()
    assert (resolution_of(blocks, "blocks"), widths_of(blocks)) == (
        "resolution", ("0.width", "1.width"),
    )  # fmt: skip

    def assemble(b: Assembler) -> int:
        inner = {k: lambda b, x: conv(4, b, conv(b.number("share"), b, x)) for k in ("a", "b")}
        return b.one("op", inner, conv(b.number("filters"), b, b.input))

    variables = [
        One("share", ("1", "2"), kind="ratio"), One("filters", ("4", "8"), kind="count"), OP,
    ]  # fmt: skip
    assert widths_of(Odd(variables, assemble).supernet()) == ("filters", "share")
    sides = [One("high", ("8", "16")), One("wide", ("8", "16"))]
    odd = Odd(sides, lambda b: b.input, lambda number: (1, 3, number("high"), number("wide")))
    with pytest.raises(UsageError, match="'odd': the input's shape depends on high, wide; expect"):
        resolution_of(odd.supernet(), odd.name)


def test_the_search_network_is_the_published_one() -> None:
    def norms(network: Network) -> Counter[tuple[bool, bool]]:
        found = Counter[tuple[bool, bool]]()
        for layer in network.layers:
            if isinstance(layer.op, Mixed):
                for inner in layer.op.alternatives:
                    found += norms(inner)
            elif type(layer.op).__name__ == "BatchNorm":
                found[layer.op.affine, layer.op.running] += 1  # type: ignore[attr-defined]
        return found

    assert set(norms(darts(cells=3).supernet())) == {(True, True), (False, True)}
    assert set(norms(nasbench201(cells=1).supernet())) == {(True, True), (False, False)}
    assert set(norms(nasbench201(cells=1).supernet(search=False))) == {(True, True)}


def test_a_space_builds_its_supernet_once_and_a_search_takes_it() -> None:
    """Those of the largest spaces take seconds."""
    space, calls = small_blocks(), list[Assembler]()
    assemble = space.assemble
    space.assemble = lambda b: calls.append(b) or assemble(b)  # type: ignore[method-assign,func-returns-value]
    assert space.supernet() is space.supernet()
    assert space.supernet() is not space.supernet(search=False)
    assert proxy(space, SearchConfig()) is space
    check_searchable(space, SearchConfig("dmasking"))
    space.layer_kinds()
    assert len(calls) == 2


def test_the_largest_supernets_are_small_to_hold() -> None:
    assert len(Blocks().layer_kinds()) > 500
    assert sum(isinstance(la.op, Mixed) for la in Blocks().supernet().layers) == 28


W = One("w", ("4", "8"), kind="width")
V = One("v", ("4", "8"), kind="width")
OP = One("op", ("a", "b"))
SAME = {"a": partial(conv, 4), "b": partial(conv, 4)}
WRONG: dict[str, tuple[list[Variable], Callable[[Assembler], int], str]] = {
    "never asked": ([W, OP], lambda b: conv(b.number("w"), b, b.input), "never asks .* 'op'"),
    "unknown": ([W], lambda b: conv(b.number("x"), b, b.input), "asks for 'x', and no variable"),
    "other options": (
        [OP], lambda b: b.one("op", {"a": conv, "c": conv}, b.input),  # type: ignore[dict-item]
        "'op' has the options a, b, and the assembly gives a, c",
    ),
    "asked twice": (
        [OP],
        lambda b: b.one("op", {"a": conv}, b.one("op", SAME, b.input)),  # type: ignore[dict-item]
        "the assembly gives a$",
    ),
    "other shapes": (
        [OP], lambda b: b.one("op", {"a": partial(conv, 4), "b": partial(conv, 6)}, b.input),
        r"the option op=b gives the shape \(1, 6, 32, 32\), and op=a \(1, 4, 32, 32\)",
    ),
    "no valid layer": (
        [OP],
        lambda b: b.one("op", SAME | {"b": lambda b, x: b.add(Conv(4, 99), x)}, b.input),
        "the option op=b builds no valid layer: a 99-wide window",
    ),
    "decides by a width": (
        [W], lambda b: conv(4 if b.number("w") < 6 else 5, b, b.input),
        "whether .* depends on .* w",
    ),
    "two widths in a sum": (
        [W, V],
        lambda b: b.add(
            Elementwise("add"), conv(b.number("w"), b, b.input), conv(b.number("v"), b, b.input)
        ),
        r"add of tensors whose open channels lie differently \(w, v\)",
    ),
    "a slice of a width": (
        [W], lambda b: b.add(Slice(1, 0, 2), conv(b.number("w"), b, b.input)), "Slice of channels",
    ),
    "groups of a width": (
        [W], lambda b: b.add(Conv(8, 1, groups=2), conv(b.number("w"), b, b.input)),
        "Conv of channels",
    ),
    "a depth as a number": (
        [One("d", ("1", "2"), kind="depth")], lambda b: conv(b.number("d"), b, b.input),
        "'d' is a depth; ask for it by",
    ),
    "too few steps": (
        [One("d", ("1", "2"), kind="depth")],
        lambda b: b.first("d", [partial(conv, 3)], b.input), "the option d=2 asks for 2 steps",
    ),
    "words as a number": (
        [OP], lambda b: conv(b.number("op"), b, b.input), "expected whole numbers",
    ),
    "a set as one": (
        [Some("s", ("a", "b"))], lambda b: b.one("s", SAME, b.input), "'s' is some of its members",
    ),
    "one as a set": (
        [OP], lambda b: b.some("op", {"a": 0, "b": 0})["a"], "'op' is one of its options",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_assembly_is_refused_in_one_sentence(name: str) -> None:
    variables, assemble, said = WRONG[name]
    space = Odd(variables, assemble)
    for ask in (space.supernet, space.layer_kinds):
        with pytest.raises(UsageError, match=said) as error:
            ask()
        assert "space 'odd'" in str(error.value)
        assert "\n" not in str(error.value)


def test_a_concrete_network_names_the_option_that_does_not_fit() -> None:
    variables, assemble, said = WRONG["no valid layer"]
    space = Odd(variables, assemble)
    with pytest.raises(UsageError, match=said):
        space.build(space.parse("op=b"))
    assert space.build(space.parse("op=a"))


def test_what_does_not_exist_may_not_be_asked_for() -> None:
    hanging = One("more", ("a", "b"), given=("op", ("a",)))
    space = Odd([OP, hanging], lambda b: b.one("more", SAME, b.one("op", SAME, b.input)))
    assert space.build(space.parse("op=a;more=b"))
    with pytest.raises(UsageError, match="asks for 'more', which does not exist in op=b"):
        space.build(space.parse("op=b"))


def test_blocks_keep_their_residual_where_they_are_wide() -> None:
    """``mobile`` computes 3 x width and width // 4 of a width that is open."""
    space = small_blocks()
    widths = {s[1] for op, (s, *_) in space.layer_kinds() if isinstance(op, Conv)}
    assert {3 * 4, 3 * 6, 3 * 8, 3 * 12} <= widths
    assert mobile.__doc__
