"""The check of a space against the settings of a search, before anything is made or written.

No torch here, so that a file of settings can be checked without it.
"""

from __future__ import annotations

import dataclasses

from latbench.errors import UsageError
from latbench.networks.network import Network
from latbench.networks.supernet_ops import Mixed
from latbench.search.config import SearchConfig
from latbench.search.methods import Method, parse_method
from latbench.search.relaxations.in_degrees import check_topology
from latbench.spaces import AnySpace
from latbench.spaces.open_number import OpenNumber, at
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
    if all(getattr(space.config, name) == value for name, value in sized.items()):
        return space
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
    supernet = proxy(space, config).supernet()
    for v in space.forest.variables:
        if isinstance(v, Some):
            _ = v.sets  # refuses more than a search can weigh
    if method.order and config.target is not None and config.alpha_learning_rate == 0:
        raise UsageError(
            f"a target needs an alpha_learning_rate above 0, got the target {config.target} and 0"
        )
    if config.topology is not None:
        if method.order == 0:
            raise UsageError(
                f"the method {method.name!r} has no architecture parameters, and so no topology "
                "variables; leave the setting topology out"
            )
        check_topology(space.forest, config.topology, config.topology_invalid == "kept")
    if config.dropblock:
        _check_dropblock(supernet, config)
    method.check(space, config)
    return method


def _check_dropblock(supernet: Network, config: SearchConfig) -> None:
    """Raises UsageError where no operation is a skip connection, and for blocks that do not fit
    where they are not clipped."""
    sides = _skipped(supernet)
    if not sides:
        raise UsageError(
            "dropblock leaves blocks out of what skip connections pass on, and no variable of this "
            "space has an option that passes its input on; set dropblock to 0"
        )
    if not config.dropblock_clip and config.dropblock_size > min(sides):
        raise UsageError(
            f"dropblock_size = {config.dropblock_size} is larger than the smallest map that a skip "
            f"connection passes on, of {min(sides)} pixels a side; set it lower, or leave "
            "dropblock_clip on"
        )


def _skipped(network: Network) -> list[int]:
    """The smallest sides of all maps that an option passes on."""
    found = []
    for layer in network.layers:
        if isinstance(layer.op, Mixed):
            if layer.op.skips:
                shape = network.input_shapes(layer)[0][2:]
                found.append(min((_least(n) for n in shape), default=1))
            for one in layer.op.alternatives:
                found += _skipped(one)
    return found


def _least(n: int) -> int:
    return min(n.table.values()) if isinstance(n, OpenNumber) else at(n, None)
