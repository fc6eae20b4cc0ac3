"""When garbage is collected where latencies are timed: between blocks of networks, and only there.

A collection inside a timed run would be measured, so Python's collector is off, and what a block
has loaded is frozen: the short collections before visits need not walk it. A closed session that is
part of a reference cycle thus lives on until its block ends, and not longer.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held() -> Iterator[None]:
    """Inside, nothing is collected unless it is asked for; afterwards all that has gathered is."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        sweep()
        if enabled:
            gc.enable()


def keep() -> None:
    """After something was loaded: what there is now lives until the next ``sweep``."""
    gc.freeze()


def tidy() -> None:
    """Before a visit: collects what was made since the last time."""
    gc.collect(0)


def sweep() -> None:
    """When a block has ended: collects everything that nothing refers to any more, closed sessions
    in cycles among it. It takes about 0.1 s beside torch."""
    gc.unfreeze()
    gc.collect()
