"""A space with pools as a file: a TOML table that every command takes as ``--space FILE.toml``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from latbench.errors import UsageError
from latbench.spaces import AnySpace
from latbench.text import JOINED


def with_pools(space: AnySpace, pools: Mapping[str, Sequence[str]]) -> AnySpace:
    """Returns a space whose layers choose among their pools alone.

    Raises UsageError for a space that has no setting ``pools`` or cannot be named by a file, and
    for variables that are no layers with pools.
    """
    if "pools" not in {field.name for field in dataclasses.fields(space.config)}:
        raise UsageError(
            f"the space {space.name!r} has no setting 'pools', so that its operators can be timed "
            "but not chosen; take a space that has"
        )
    if ":" in str(space.identity()["name"]):
        raise UsageError(
            f"a file may not name the space {space.identity()['name']!r}, which is a module's; "
            "register it by an entry point"
        )
    if without := [v.name for v in space.forest.variables if v.name not in pools]:
        raise UsageError(
            f"the variables {', '.join(without)} of the space {space.name!r} choose no operators; "
            "take a space of operators alone"
        )
    texts = tuple(JOINED.join(pools[v.name]) for v in space.forest.variables)
    made: AnySpace = type(space)(dataclasses.replace(space.config, pools=texts))  # type: ignore[call-arg]
    return made


def union(
    every: Sequence[Mapping[str, Sequence[str]]], space: AnySpace,
    but: Collection[tuple[str, str]] = (),
) -> dict[str, list[str]]:  # fmt: skip
    """Returns of each layer the operators that are in any of several pools, in their order.

    Args:
        every: The pools.
        space: Their space.
        but: What is left out: layers and operators, such as those that one backend cannot run.

    Returns:
        The operators by layer; none where all are left out.
    """
    return {
        v.name: [
            o for o in v.options
            if (v.name, o) not in but and any(o in pools[v.name] for pools in every)
        ]
        for v in space.forest.variables
    }  # fmt: skip


def space_text(space: AnySpace, about: str) -> str:
    """Returns the file's text: the table ``[space]`` of an experiment, below a comment."""
    lines = [f"# {line}" for line in about.splitlines()]
    lines += ["[space]", f"name = {_toml(space.identity()['name'])}"]
    lines += [f"{key} = {_toml(value)}" for key, value in space.config.settings().items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A setting as TOML has it, which is as JSON has it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
