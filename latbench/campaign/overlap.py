"""Loading the next block while one is timed: two workers that take turns.

Loading takes a core for about a tenth of a second a network. Beside timing it needs a core of its
own, and it must not touch the device that is timed. ``benchmarks/campaign.py`` has the figures with
and without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from latbench.backends.base import Backend
from latbench.campaign.measurer import BlockMeasurer, Prepared
from latbench.campaign.plan import Task
from latbench.device import cpu_name, usable_cores
from latbench.store import Measurement


def has_room(backend: Backend) -> bool:
    """Whether this machine has cores left for loading while ``backend`` times.

    One for the campaign and the system and one for loading, beside those that the backend computes
    on; hyper-threads are half of the cores that the system counts. On an accelerator, loading would
    use the device that is timed.
    """
    if backend.cuda_device() is not None or backend.device_name() != cpu_name():
        return False
    threads: Any = getattr(backend, "threads", 1)
    return isinstance(threads, int) and usable_cores() >= 2 * (threads + 2)


def measure_blocks(
    measurers: Sequence[BlockMeasurer], blocks: Iterable[Sequence[Task]]
) -> Iterator[Measurement]:
    """The rows of all blocks, in order. With two measurers one prepares while the other times.

    To end it early, close the measurers, too: they may be loading.
    """
    numbered = enumerate(blocks)
    if len(measurers) == 1:
        for number, block in numbered:
            yield from measurers[0].measure(block, number)
        return
    pool = ThreadPoolExecutor(1)
    try:
        ahead = _next(pool, measurers, numbered)
        while ahead is not None:
            number, block, prepared = ahead
            loaded = prepared.result()
            ahead = _next(pool, measurers, numbered)
            yield from measurers[number % 2].measure(block, number, loaded)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _next(
    pool: ThreadPoolExecutor,
    measurers: Sequence[BlockMeasurer],
    numbered: Iterator[tuple[int, Sequence[Task]]],
) -> tuple[int, Sequence[Task], Future[Prepared]] | None:
    found = next(numbered, None)
    if found is None:
        return None
    number, block = found
    return number, block, pool.submit(measurers[number % 2].prepare, block)
