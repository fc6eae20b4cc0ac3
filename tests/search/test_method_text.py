"""The text of a search method: read, written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
from latbench.search.method_text import method_text, split_method, write_method
from latbench.validation import checked

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)
)


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("gdas", "gdas", {}),
        (" darts-2nd( ) ", "darts-2nd", {}),
        ("gdas(temperature=5, final_temperature = 1e-2,)", "gdas",
         {"temperature": 5, "final_temperature": 0.01}),
        ("a.b:C(x=true, y=False, z=none.so, w=None)", "a.b:C",
         {"x": True, "y": False, "z": "none.so", "w": None}),
        ("m(a='x, (y)', b=\"q\\\"=1\", c='7')", "m", {"a": "x, (y)", "b": 'q"=1', "c": "7"}),
    ],
)  # fmt: skip
def test_a_text_is_a_name_and_settings(text: str, name: str, settings: dict[str, Any]) -> None:
    assert split_method(text) == (name, settings)
    assert split_method(write_method(name, settings)) == (name, settings)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=4))
def test_what_is_written_is_read(settings: dict[str, Any]) -> None:
    name, found = split_method(write_method("m.n:O", settings))
    assert (name, found) == ("m.n:O", settings)
    assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in settings.items()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is not a search method; expected 'name' or 'name.key=value, ....'"),
        ("gdas(", "'gdas.' is not a search method"),
        ("gdas temperature=5", "is not a search method"),
        ("gdas(5)", "'5' in 'gdas.5.' is not a method's setting; expected 'key=value'"),
        ("gdas(a=1 b=2, c)", "'c' in .* is not a method's setting"),
        ("gdas(a=)", "'a=' in"),
        ("gdas(a=1, a=2)", "has the setting 'a' twice"),
    ],
)
def test_what_is_no_text_of_a_method_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        split_method(text)
    assert "\n" not in str(error.value)


def test_a_value_that_has_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a number, true or false, a text or none, got '\[1\]'"):
        write_method("m", {"a": [1]})


def test_settings_keep_the_text() -> None:
    table = {"name": "gdas", "temperature": 5}
    assert method_text(table) == "gdas(temperature=5)"
    for value in ("gdas(temperature=5)", table):
        config = checked(SearchConfig, {"method": value}, "e.toml")
        assert config.method == "gdas(temperature=5)"
    with pytest.raises(
        UsageError, match=r"e.toml: method = 'gdas\(5\)': '5' in 'gdas\(5\)' is not"
    ):
        checked(SearchConfig, {"method": "gdas(5)"}, "e.toml")
    for wrong in (3, {"temperature": 5}, {"name": 3}):
        with pytest.raises(UsageError, match="method must be a text such as"):
            checked(SearchConfig, {"method": wrong}, "e.toml")
