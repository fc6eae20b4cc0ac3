"""Architecture texts: what is read, and that nothing else is ever more than a ParseError."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import spaces_and_architectures

from latbench.errors import LatbenchError, ParseError
from latbench.spaces import SPACES, AnySpace, darts, make_space
from latbench.spaces.cells.genotypes import PUBLISHED

PYTHON = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
CELL_SPACES = ("darts", "nasbench201")  # whose texts are of |operation~input|
HUGE_HEX = "0x" + "f" * 8000  # Python refuses to print it: ValueError, not ParseError

OFFICIAL = next(
    (
        path
        for parent in Path(__file__).resolve().parents
        if (path := parent / "shared/data/help_nb201.npz").is_file()
    ),
    None,
)


def refused(space: AnySpace, text: str) -> str:
    with pytest.raises(ParseError) as caught:
        space.parse(text)
    message = str(caught.value)
    assert isinstance(caught.value, LatbenchError)
    assert 10 < len(message) < 800
    return message


def parse_or_refuse(space: AnySpace, text: str) -> None:
    """Either the text is refused, or it is an architecture that survives the round trip."""
    try:
        architecture = space.parse(text)
    except ParseError:
        return
    assert space.parse(str(architecture)) == architecture


@pytest.mark.parametrize(
    "text",
    [
        PYTHON,
        PYTHON.replace("'", '"'),
        PYTHON.replace("range(2, 6)", "[2, 3, 4, 5]"),
        PYTHON.replace("range(2, 6)", "(2, 3, 4, 5)"),
        PYTHON.replace(" ", ""),
        PYTHON.replace(", ", " ,\n\t").replace("=", " = ").replace("[", "[ "),
        PYTHON.replace(")])", "),])").replace(")]", "),]"),
        f"\n {PYTHON} \n",
        "DARTS_V2",
    ],
)
def test_notations_of_the_darts_code(text: str) -> None:
    assert str(darts().parse(text)) == PUBLISHED["DARTS_V2"]


@pytest.mark.parametrize("name", CELL_SPACES)
def test_white_space_around_the_signs_is_let_pass(name: str) -> None:
    space = make_space(name)
    text = str(space.reference())
    for sign, spaced in (
        ("+", " + "),
        ("|", " |\n\t"),
        ("~", "\u00a0~ "),
        (";", " ; "),
        (":", ": "),
    ):
        assert space.parse(f"  {text.replace(sign, spaced)}\n") == space.reference()
    refused(space, text.replace("conv", "con v"))
    refused(space, text.replace("|+|", "| |"))


@pytest.mark.parametrize("name", SPACES)
def test_a_refused_text_can_be_recognised(name: str) -> None:
    space = make_space(name)
    text = str(make_space("nasbench201").reference()).replace("skip", "skp")
    message = refused(space, text)
    assert repr(text) in message or "'skp_connect' is not" in message
    message = refused(space, f"begin{text * 9}end")
    assert "'begin|nor_conv_3x3~0|+|" in message
    assert "…" in message
    assert "~2|end'" in message


def test_the_notation_of_the_gdas_code() -> None:
    """https://github.com/D-X-Y/AutoDL-Projects prints two pairs a node, and two fields more."""
    text = (
        "Genotype(normal=[(('skip_connect', 0), ('skip_connect', 1)), (('skip_connect', 0), "
        "('sep_conv_5x5', 2)), (('sep_conv_3x3', 3), ('skip_connect', 0)), (('sep_conv_5x5', 4), "
        "('sep_conv_3x3', 3))], normal_concat=[2, 3, 4, 5], reduce=[(('sep_conv_5x5', 0), "
        "('sep_conv_3x3', 1)), (('sep_conv_5x5', 2), ('sep_conv_5x5', 1)), (('dil_conv_5x5', 2), "
        "('sep_conv_3x3', 1)), (('sep_conv_5x5', 0), ('sep_conv_5x5', 1))], "
        "reduce_concat=[2, 3, 4, 5], connectN=None, connects=None)"
    )
    assert str(darts().parse(text)) == PUBLISHED["GDAS"]


def test_every_published_genotype_by_name_and_by_text() -> None:
    space = darts()
    for name, text in PUBLISHED.items():
        assert str(space.parse(name)) == text
        assert space.parse(name) == space.parse(text)
    assert len(set(PUBLISHED.values())) == len(PUBLISHED)


def test_the_order_of_a_nodes_edges_does_not_matter() -> None:
    text = PUBLISHED["DARTS_V1"]
    swapped = "+".join(
        re.sub(r"\|(\w+~\d)\|(\w+~\d)\|", r"|\2|\1|", node) for node in text.split("+")
    )
    assert swapped != text
    assert str(darts().parse(swapped)) == text


def test_how_many_inputs_a_node_may_have() -> None:
    one, three = "|max_pool_3x3~0|", "|max_pool_3x3~0|skip_connect~1|sep_conv_3x3~2|"
    wide = darts(least_inputs=1, most_inputs=3)
    text = f"normal:{one}+{three}+{one}+{three};reduce:" + "+".join([one] * 4)
    assert str(wide.parse(text)) == text
    assert wide.parse("DARTS_V2") == darts().parse("DARTS_V2")
    assert "node 0 reads 1 inputs; expected two inputs" in refused(darts(), text)
    four = text.replace(f"{three};", f"{three}dil_conv_3x3~3|;")
    assert "node 3 reads 4 inputs; expected 1 to 3 inputs" in refused(wide, four)
    # Node 0 has two inputs, and cannot keep three.
    third = darts(least_inputs=3, most_inputs=3)
    assert [v.most for v in third.forest.variables if v.kind == "input"] == [2, 3, 3, 3] * 2  # type: ignore[union-attr]
    for space in (wide, third):
        for i in range(20):
            a = space.sample(0, i)
            assert space.parse(str(a)) == a
            assert space.unrank(space.rank(a)) == a


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("('dil_conv_3x3', 2)", "('dil_conv_7x7', 2)", "'dil_conv_7x7' is no operation of DARTS"),
        ("('dil_conv_3x3', 2)", "('none', 2)", "'none' is no operation of DARTS"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "node 3 cannot read input 5"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)", "node 3 reads input 0 twice"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)", "is not one"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)", "is not one"),
        ("('dil_conv_3x3', 2)", f"('dil_conv_3x3', {HUGE_HEX})", "is not one"),
        ("('dil_conv_3x3', 2)", f"('dil_conv_3x3', {'9' * 5000})", "is not one"),
        (", ('dil_conv_3x3', 2)", "", "its normal cell has 7 edges and not 8"),
        ("range(2, 6)", "range(3, 6)", "normal_concat is range(3, 6) and not 2 to 5"),
        ("normal_concat=range(2, 6), ", "", "is not one"),
        ("('dil_conv_3x3', 2)", "__import__('os')", "is not one"),
        ("reduce=", "reduced=", "is not one"),
    ],
)
def test_wrong_genotypes_say_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in PYTHON
    assert message in refused(make_space("darts"), PYTHON.replace(old, new))


@pytest.mark.parametrize("name", SPACES)
def test_digits_of_other_scripts_are_refused(name: str) -> None:
    space = make_space(name)
    text = str(space.reference())
    first = next(int(c) for c in text if c.isdigit())
    for zero in "٠０०":
        refused(space, text.replace(str(first), chr(ord(zero) + first)))
    refused(make_space("darts"), PYTHON.replace("0", "٠"))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\0",
        "\ud800",
        "normal:;reduce:",
        "|" * 100_000,
        "|none~0" * 20_000,
        "(" * 100_000,
        "a" * 100_000,
        "Genotype(" + "(" * 9_000,
        "Genotype(" * 1_000,
        "Genotype(" + "-" * 9_000 + "1)",
        "Genotype(" + "1+" * 4_000 + "1)",
        "Genotype(x" + " " * 9_900 + "x",
        "Genotype(normal=[" + "('a',0)," * 1_200,
        "Genotype(normal=[" + "((((" * 2_000,
        "Genotype(\0)",
        "Genotype(\ud800)",
        f"Genotype(normal={HUGE_HEX}, reduce={HUGE_HEX})",
        "normal:" + "+" * 9_000 + ";reduce:" + "+",
        "normal:" + "|a~0|a~1|+" * 900 + ";reduce:x",
        "normal:|sep_conv_3x3~" + "9" * 9_000 + "|;reduce:x",
    ],
)
def test_hostile_texts_are_refused(name: str, text: str) -> None:
    refused(make_space(name), text)


@pytest.mark.parametrize("name", SPACES)
def test_whole_texts_with_something_behind_are_refused(name: str) -> None:
    space = make_space(name)
    for more in ("x", "|", "+", ";", "\0", "|none~0|", " " * 9_000 + "x"):
        refused(space, str(space.reference()) + more)


def test_no_code_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for call in (
        f"open({str(trace)!r}, 'w')",
        f"__import__('pathlib').Path({str(trace)!r}).touch()",
    ):
        for text in (call, f"Genotype({call})", PYTHON.replace("range(2, 6)", call, 1)):
            refused(make_space("darts"), text)
    assert not trace.exists()


@pytest.mark.parametrize("name", SPACES)
@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=200) | st.text("Genotype(normal=[',])|~+;0123:_convx", max_size=300))
def test_random_texts_are_read_or_refused(name: str, text: str) -> None:
    parse_or_refuse(make_space(name), text)
    parse_or_refuse(make_space(name), f"Genotype({text})")
    parse_or_refuse(make_space(name), f"normal:{text};reduce:{text}")


@settings(deadline=None, max_examples=200)
@given(spaces_and_architectures(), st.data())
def test_mutated_texts_are_read_or_refused(pair: tuple[AnySpace, Any], data: st.DataObject) -> None:
    space, architecture = pair
    text = data.draw(st.sampled_from([str(architecture), PYTHON]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 9)))
    middle = data.draw(
        st.text(max_size=4) | st.sampled_from(["0", "1", "9", "|", "~", "none", "("])
    )
    parse_or_refuse(space, text[:start] + middle + text[end:])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("+|sep_conv_3x3~1|skip_connect~0|", "", "has 3 nodes"),
        ("skip_connect~0", "none~0", "'none' is not"),
        ("skip_connect~0", "skip_connect~9", "cannot read input 9"),
        ("skip_connect~0", "skip_connect~-1", "is '|"),
        ("skip_connect~0", "sep_conv_3x3~1", "reads input 1 twice"),
    ],
)
def test_cells_outside_the_space_cannot_be_made(old: str, new: str, message: str) -> None:
    text = PUBLISHED["DARTS_V2"].replace(
        "|skip_connect~0|sep_conv_3x3~1|", "|sep_conv_3x3~1|skip_connect~0|"
    )
    assert old in text
    assert message in refused(make_space("darts"), text.replace(old, new, 1))


def test_all_cells_of_nasbench201() -> None:
    space = make_space("nasbench201")
    cells = [space.unrank(rank) for rank in range(space.size)]
    texts = {str(cell) for cell in cells}
    assert len(texts) == len(cells) == space.size == 15_625
    assert all(space.parse(str(cell)) == cell for cell in cells)
    assert len({space.one_hot(cell).tobytes() for cell in cells}) == space.size


@pytest.mark.skipif(OFFICIAL is None, reason="needs shared/data/help_nb201.npz")
def test_the_benchmarks_own_strings_are_ours() -> None:
    assert OFFICIAL is not None
    space = make_space("nasbench201")
    texts = np.load(OFFICIAL, allow_pickle=False)["arch"].tolist()
    assert len(set(texts)) == space.size
    assert all(str(space.parse(text)) == text for text in texts)
