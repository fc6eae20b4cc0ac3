"""Loading the next block while one is timed: two workers that take turns.

Loading takes a core for about a tenth of a second a network. It is not the default: even on a core
of its own it disturbed the timing beside it, and two workers have two canaries, whose own latencies
differ a little. ``benchmarks/campaign.py`` has the figures with and without, for any backend. On an
accelerator it would use the device that is timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from latbench.campaign.measurer import BlockMeasurer, Prepared
from latbench.campaign.plan import Task
from latbench.store import Measurement


def measure_blocks(
    measurers: Sequence[BlockMeasurer], blocks: Iterable[Sequence[Task]], first: int = 0
) -> Iterator[Measurement]:
    """Measures all blocks, which are numbered from ``first`` on, and yields their rows in order.
    With two measurers one prepares while the other times.

    To end it early, close the measurers, too: they may be loading.
    """
    numbered = enumerate(blocks, first)
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
    return number, block, pool.submit(measurers[number % 2].prepare, block, number)
