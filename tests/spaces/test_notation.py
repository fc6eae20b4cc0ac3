"""The text of architectures whose space has no notation of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_spaces import small_blocks

from latbench.errors import ParseError
from latbench.spaces.forest import Forest
from latbench.spaces.notation import code_of, text_of
from latbench.spaces.variables import One, Some

FOREST = Forest(
    [
        One("depth", ("1", "2"), kind="depth"), One("x.0", ("a-b", "c.d")),
        One("x.1", ("a-b", "c.d"), given=("depth", ("2",))),
        Some("in", ("p", "q", "r"), 0, 2),
    ],
    "mine",
)  # fmt: skip


@given(st.integers(0, FOREST.size - 1))
def test_the_text_gives_the_code_back(rank: int) -> None:
    code = FOREST.unrank(rank)
    text = text_of(FOREST, code)
    assert code_of(FOREST, text) == code
    assert code_of(FOREST, ";".join(reversed(text.split(";")))) == code
    assert code_of(FOREST, text.replace(";", " ; \n").replace("=", " = ")) == code


def test_it_reads_like_settings() -> None:
    assert text_of(FOREST, (1, 0, 1, 0b101)) == "depth=2;x.0=a-b;x.1=c.d;in=p+r"
    assert text_of(FOREST, (0, 0, -1, 0)) == "depth=1;x.0=a-b;in=-"
    assert str(small_blocks().reference()).startswith("resolution=24;0.width=4;0.depth=1;0.0=k5e3")


WRONG = {
    "": "'' is no value of an architecture of 'mine'",
    "depth": "'depth' is no value",
    "deph=1": "no variable 'deph'; did you mean 'depth'",
    "depth=1;depth=1": "gives 'depth' twice",
    "depth=3": "depth is '3'; expected one of 1, 2",
    "depth=2;x.0=a-b;in=p": "gives no 'x.1'; expected one of a-b, c.d",
    "depth=1;x.0=a-b;x.1=a-b;in=p": "'x.1' does not exist in this architecture",
    "depth=1;x.0=a-b;in=p+q+r": "expected 0 to 2 different ones of p, q, r",
    "depth=1;x.0=a-b;in=p+p": "0 to 2 different ones",
    "depth=1;x.0=a-b;in=z": "0 to 2 different ones",
    "x" * 100_001: "at most 100,000 characters",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda t: t[:20])
def test_what_is_wrong_is_named(text: str) -> None:
    with pytest.raises(ParseError, match=WRONG[text].replace("+", r"\+")) as error:
        code_of(FOREST, text)
    assert len(str(error.value)) < 400
