"""The setting ``topology`` of a search: how many inputs a node may have.

No torch here, so that a file of settings can be checked without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from latbench.errors import UsageError, quoted
from latbench.spaces.forest import Forest
from latbench.spaces.variables import Some
from latbench.text import plural

ANY = "any"
_RANGE = re.compile(r"([1-9]\d{0,2})(?:-([1-9]\d{0,2}))?", re.ASCII)


def topology_text(value: object) -> str | None:
    """Returns the text of a number of inputs: ``any``, ``2`` or ``1-3``, also given as 2 or [1, 3].

    Raises UsageError for anything else; None stays None.
    """
    if value is None or value == ANY:
        return None if value is None else ANY
    text = str(value).strip()
    if isinstance(value, Sequence) and not isinstance(value, str):
        text = "-".join(map(str, value)) if len(value) == 2 else ""
    match = None if isinstance(value, bool) else _RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise UsageError(
            f"topology must be 'any', a number of inputs such as 2, or a range such as '1-3' or "
            f"[1, 3], got {quoted(str(value))}"
        )
    return match[1] if match[1] == match[2] else text


class _AsTopologyText:
    """A note to pydantic on a setting's annotation: what is given becomes its ``topology_text``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # here, because pydantic costs 50 ms

        return core_schema.no_info_plain_validator_function(topology_text)


TopologyText = Annotated[str | None, _AsTopologyText()]


def in_degrees(v: Some, topology: str) -> tuple[int, int]:
    """Returns the least and the largest number of inputs that a node may have.

    A node of fewer inputs than ``topology`` says takes all of them, as spaces have it. Raises
    UsageError for a number that the space does not allow.
    """
    if topology == ANY:
        return v.least, v.most
    n, (first, _, last) = len(v.options), topology.partition("-")
    least, most = min(int(first), n), min(int(last or first), n)
    if least < v.least or most > v.most:
        takes = f"{v.least} to {v.most}" if v.least < v.most else str(v.least)
        asked = plural(least if least < v.least else most, "input")
        raise UsageError(
            f"topology = {topology} asks for {asked} of {v.name!r}, which takes {takes} in this "
            "space; ask for what the space allows, or let the space allow more"
        )
    return least, most


def listed_sets(v: Some, topology: str, invalid: bool) -> tuple[list[int], list[bool]]:
    """Returns the sets over which a node's odds are, as the bits of their members, and which of
    them are valid.

    Args:
        v: The variable.
        topology: How many inputs it may have.
        invalid: Whether the invalid sets are listed as well.

    Returns:
        The sets, and whether each is valid.

    Raises:
        UsageError: For a number of inputs that the space does not allow, or too many sets.
    """
    least, most = in_degrees(v, topology)
    valid = set(replace(v, least=least, most=most).sets)
    try:
        listed = replace(v, least=0, most=len(v.options)).sets if invalid else sorted(valid)
    except UsageError as error:
        raise UsageError(
            f'{error}, the invalid ones included; set topology_invalid = "left out"'
        ) from None
    return listed, [s in valid for s in listed]


def check_topology(forest: Forest, topology: str, invalid: bool) -> None:
    """Raises UsageError where nodes of a space cannot have so many inputs, or choose none.

    Args:
        forest: The space's variables.
        topology: How many inputs a node may have.
        invalid: Whether the odds are over the invalid sets as well.
    """
    somes = [v for v in forest.variables if isinstance(v, Some)]
    if not somes:
        raise UsageError(
            f"the setting topology needs a space in which nodes choose their inputs, and in "
            f"{forest.space!r} none does; leave it out, or search one in which they do"
        )
    most = max(len(v.options) for v in somes)
    if topology != ANY and int(topology.rpartition("-")[2]) > most:
        raise UsageError(
            f"topology = {topology} asks for more inputs than any node of {forest.space!r} has; "
            f"the widest has {most}"
        )
    for v in somes:
        listed_sets(v, topology, invalid)
