"""The check of a space against the settings of a search, before anything is made or written.

No torch here, so that a file of settings can be checked without it.
"""

from __future__ import annotations

import dataclasses

from latbench.errors import UsageError
from latbench.search.config import SearchConfig
from latbench.search.methods import Method, parse_method
from latbench.spaces import AnySpace
from latbench.spaces.variables import Some


def proxy(space: AnySpace, config: SearchConfig) -> AnySpace:
    """Returns the space at the size of a search's supernet: ``config``'s channels and cells, where
    the space has such settings, and a batch of 1.

    Raises UsageError where the space cannot have that size, or where another size has other
    variables, so that what is searched would not be what is derived.
    """
    known = {f.name for f in dataclasses.fields(space.config) if type(f.default) is int}
    wanted = {"channels": config.channels, "cells": config.cells, "batch": 1}
    sized = {name: value for name, value in wanted.items() if name in known}
    found: AnySpace = type(space)(dataclasses.replace(space.config, **sized))  # type: ignore[call-arg]
    shapes = [
        [(v.name, len(v.options), v.kind) for v in s.forest.variables] for s in (found, space)
    ]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"{found} has other variables than {space}, so that the one cannot be searched for the "
            "other; let no variable but widths depend on channels and cells"
        )
    return found


def check_searchable(space: AnySpace, config: SearchConfig, source: str | None = None) -> Method:
    """Returns the method of a search of ``space``.

    ``source`` is the file that the settings were read from, None when a user gave them: a file may
    not import a module, see latbench.plugins. Raises UsageError when the space has no supernet, or
    the method cannot search it or not with these settings; ParseError for such a file.
    """
    method = parse_method(str(config.method), source)
    proxy(space, config).supernet()
    for v in space.forest.variables:
        if isinstance(v, Some):
            _ = v.sets  # refuses more than a search can weigh
    if method.order and config.target is not None and config.alpha_learning_rate == 0:
        raise UsageError(
            f"a target needs an alpha_learning_rate above 0, got the target {config.target} and 0"
        )
    method.check(space, config)
    return method
