"""Spaces of pools as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.operators.space_file import space_text, union, with_pools
from latbench.spaces import make_space, parse_space

SPACE = make_space(
    "operators", {"widths": (8, 16, 24), "blocks": (2,), "resolution": 18, "classes": 10}
)
A = {"1.1": ("sep3", "mb3e6"), "1.2": ("sep3",)}
B = {"1.1": ("shuffle3", "mb3e6"), "1.2": ("sep5",)}


def test_a_file_is_its_space(tmp_path: Path) -> None:
    made = with_pools(SPACE, A)
    assert [v.options for v in made.forest.variables] == [("sep3", "mb3e6"), ("sep3",)]
    path = tmp_path / "a.toml"
    path.write_text(space_text(made, "two\nlines"))
    assert parse_space(str(path)) == made
    assert parse_space(str(made)) == made


def test_a_union_has_what_any_has_in_the_spaces_order() -> None:
    assert union([A, B], SPACE) == {"1.1": ["sep3", "mb3e6", "shuffle3"], "1.2": ["sep3", "sep5"]}
    without = union([A, B], SPACE, {("1.1", "mb3e6"), ("1.2", "sep3"), ("1.2", "sep5")})
    assert without == {"1.1": ["sep3", "shuffle3"], "1.2": []}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[space", "is not valid TOML"),
        ("[space]\nwidth = 1.0\n", r"has no table \[space\] with a 'name'"),
        ("space = 3\n", r"has no table \[space\]"),
        ('[space]\nname = "operators"\npools = ["sep9"]\n', "'sep9' is no operator"),
        ('[space]\nname = "operators"\npools = ["sep3+sep3"]\n', "has an operator twice"),
        ('[space]\nname = "operators"\npools = ["sep3", "sep5"]\n', "for each of the 20, got 2"),
        ('[space]\nname = "operators"\nwidths = [8, 8, 16, 24, 32, 64]\n', "than the one before"),
        ('[space]\nname = "os:path"\n', "os:path"),
    ],
)  # fmt: skip
def test_files_that_are_no_space_are_refused(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=why):
        parse_space(str(path))


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot read the space of nowhere\.toml"):
        parse_space("nowhere.toml")


def test_a_space_without_pools_keeps_none() -> None:
    with pytest.raises(UsageError, match="'proxyless' has no setting 'pools'"):
        with_pools(make_space("proxyless"), {})
