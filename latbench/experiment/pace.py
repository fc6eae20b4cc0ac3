"""How long a search will take, said before its first epoch is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Pace:
    """Moves a bar of ``epochs`` epochs by its note alone, from the second step of the first epoch
    that is run to its end; from then on the bar knows the time of an epoch.

    The first step is left out: it is the one in which memory is taken and kernels are chosen.
    """

    def __init__(
        self, bar: Callable[[int, int, str], None], epochs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._bar, self._epochs, self._clock = bar, epochs, clock
        self._first: tuple[float, float] | None = None  # epochs done and seconds at the first step

    def __call__(self, done: float) -> None:
        """Takes the epochs done so far, a fraction."""
        now = self._clock()
        if self._first is None:
            self._first = done, now
            return
        start, begun = self._first
        whole = math.floor(start)
        if start < done < whole + 1:
            left_s = (now - begun) / (done - start) * (self._epochs - done)
            self._bar(whole, self._epochs, f"about {math.ceil(left_s / 60)} min left")
