"""How many inputs a node may have in a search: what is meant, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from own_spaces import small_blocks

from latbench.errors import UsageError
from latbench.search import SearchConfig
from latbench.search.relaxations.in_degrees import listed_sets, topology_text
from latbench.search.searchability import check_searchable
from latbench.spaces import darts, nasbench201
from latbench.spaces.variables import Some

ANY = darts(channels=4, cells=3, resolution=8, in_channels=1, least_inputs=1, most_inputs=5)
PAIRS = darts(channels=4, cells=3, resolution=8, in_channels=1)
CONFIG = SearchConfig(epochs=2, batch=16, channels=4, cells=3, topology="any")


def test_too_many_sets_name_what_to_set() -> None:
    wide = Some("wide", tuple(map(str, range(15))), 1, 2)
    assert len(listed_sets(wide, "any", invalid=False)[0]) == 15 + 105
    with pytest.raises(UsageError, match='invalid ones included; set topology_invalid = "left out'):
        listed_sets(wide, "any", invalid=True)


@pytest.mark.parametrize(
    ("space", "given", "says"),
    [
        (nasbench201(), {}, "needs a space in which nodes choose their inputs"),
        (ANY, {"topology": "6"}, "more inputs than any node of 'darts' has; the widest has 5"),
        (ANY, {"topology": [2, 9]}, "more inputs than any node of 'darts' has; the widest has 5"),
        (PAIRS, {"topology": "3"}, "asks for 3\xa0inputs of 'normal.1', which takes 2 in"),
        (PAIRS, {"topology": "1-2"}, "asks for 1\xa0input of 'normal.0', which takes 2"),
        (ANY, {"method": "single-path"}, "has no architecture parameters, and so no topology"),
        (small_blocks(), {}, "needs a space in which nodes choose their inputs"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(space: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        check_searchable(space, replace(CONFIG, **given))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ("any", "any"), (2, "2"), ("2", "2"), ([1, 3], "1-3"), ((1, 3), "1-3"),
     ("1-3", "1-3"), ([2, 2], "2"), ("2-2", "2")],
)  # fmt: skip
def test_numbers_of_inputs(value: Any, text: str | None) -> None:
    assert topology_text(value) == text
    assert SearchConfig(topology=value).topology == text


@pytest.mark.parametrize("value", [0, -1, True, "all", [3, 1], [1], [1, 2, 3], "3-1", 2.5, "", {}])
def test_what_is_no_number_of_inputs_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="topology must be 'any', a number of inputs such as 2"):
        SearchConfig(topology=value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"topology_warmup_epochs": 2}, "topology_warmup_epochs = 2 must be below epochs = 2: the"),
        ({"topology_final_temperature": 1e-30}, "topology_final_temperature must be at least 1e-0"),
        ({"topology": None, "topology_margin": 2.0}, "topology_margin = 2.0 does nothing without"),
        ({"dropblock_size": 3}, "dropblock_size = 3 does nothing without dropblock; set dropblock"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(CONFIG, **given)
