"""``slow_tests.txt`` lists tests that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LISTED = [
    line
    for line in Path(__file__).with_name("slow_tests.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("name", sorted({line.partition("[")[0] for line in LISTED}))
def test_it_is_there(name: str) -> None:
    path, *_, function = name.split("::")
    text = (ROOT / path).read_text()
    # A conformance suite's checks are its base class's.
    assert f"def {function}(" in text or function == "test_contract"
