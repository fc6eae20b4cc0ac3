"""The answers to what is asked of a measured network: how long it takes, its tail, its costs, and
whether it is faster than another one.

**The interval** of a latency is as wide as two measurements of the network may lie apart
(``Store.noise``): the largest of the set's noise floor, the difference of its own timings and the
95 % interval of their mean.

**Faster or not** is decided by the rule of ``latbench.timing.verdicts``. Networks that were timed
in one campaign, or within a quarter of an hour, stand on that noise. Any others stand on the floor
between occasions (``latbench.timing.noise.floor_for``), and where that was not measured, nothing is
decided.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from latbench.networks.network import Network
from latbench.store import SetSummary, Store
from latbench.store.occasions import moments
from latbench.store.repeats import BETWEEN_S
from latbench.store.statistics import runs_of
from latbench.text import NBSP, percent, rounded_percent
from latbench.timing.metric import LATENCY, METRICS
from latbench.timing.noise import floor_for
from latbench.timing.percentiles import PERCENTILES, Percentile, percentile
from latbench.timing.verdicts import Difference, difference

ALL_PAIRS_OF = 4  # networks; of more, only neighbours in the order of their latencies


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known of one network in a measurement set.

    ``text`` is how the store knows it, ``name`` how it is called. ``latency_s`` is the mean of its
    timings and ``noise`` how far two of them may lie apart (a fraction). ``percentiles`` are of its
    ``runs`` (their number), None where these are too few. ``costs`` are the other metrics by their
    names, None where one was not measured. ``images`` is how many inputs one run computes: those of
    a batch, for each request that the backend runs at a time. ``moments`` are occasion and time of
    each timing. A network that failed has an ``error``, and no figures.
    """

    name: str
    text: str
    network: Network
    found: SetSummary
    latency_s: float | None
    noise: float | None
    runs: int
    percentiles: dict[str, Percentile | None]
    costs: dict[str, float | None]
    images: int
    moments: tuple[tuple[int, float], ...] = field(repr=False)
    error: str | None = None

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """Returns the ends of the latency's interval, seconds; None where it is not known."""
        if self.latency_s is None or self.noise is None:
            return None
        return self.latency_s / (1 + self.noise), self.latency_s * (1 + self.noise)

    @property
    def images_per_s(self) -> float | None:
        """Returns the throughput: the images of a run over its latency."""
        return None if self.latency_s is None else self.images / self.latency_s


def answer(
    store: Store, found: SetSummary, name: str, text: str, network: Network, requests: int = 1
) -> Answer:
    """Reads what a store knows of a network.

    Args:
        store: The open store.
        found: The set that it was measured into.
        name: What the network is called.
        text: Its text in the store: that of an architecture or of a model.
        network: The network itself.
        requests: How many inferences a run of the set's backend holds (``Backend.requests``).

    Returns:
        The answer; without figures where the network was not measured, with the reason where it
        failed.
    """
    runs = runs_of(store, found.id, text)
    values = {name: store.value(found.id, text, name) for name in METRICS}
    latency_s = values.pop(LATENCY.name)
    error = store.failures(found.id).get(text) if latency_s is None else None
    return Answer(
        name=name,
        text=text,
        network=network,
        found=found,
        latency_s=latency_s,
        noise=None if latency_s is None else store.noise(found.id, text),
        runs=len(runs),
        percentiles={name: percentile(runs, name) for name in PERCENTILES},
        costs=values,
        images=network.input_shape[0] * requests,
        moments=tuple(moments(store, found.id, text)),
        error=error,
    )


@dataclass(frozen=True, eq=False)
class Pair:
    """Two measured networks, the faster one first, and whether that can be told.

    ``crosses`` says that they were measured at different occasions.
    """

    faster: Answer
    slower: Answer
    difference: Difference
    crosses: bool

    @property
    def told(self) -> bool:
        """Returns whether the one is faster beyond the noise, as far as that is known."""
        return self.difference.noise is not None and not self.difference.within_noise

    @property
    def sentence(self) -> str:
        """Returns the verdict in words."""
        a, b, change = self.faster.name, self.slower.name, abs(self.difference.change)
        if self.told:
            return f"{a} is {LATENCY.less.format(rounded_percent(change))} than {b}"
        start = f"which of {a} and {b} is faster cannot be told: "
        if self.difference.noise is None and self.crosses:
            return start + (
                "they were measured at different times, and what figures differ by between these "
                "was not measured; `latbench recheck` measures it"
            )
        if self.difference.noise is None:
            return start + "the noise of their set is not known; measure with --retest"
        return start + (
            f"they differ by {percent(change)}, and two measurements of one network by up to "
            f"{percent(self.difference.noise)}"
        ).replace(" %", f"{NBSP}%")


def _latency(answer: Answer) -> float:
    return answer.latency_s or math.inf


def seconds_an_image(answer: Answer) -> float:
    """Returns the seconds of a run for each of its images."""
    return _latency(answer) / answer.images


def pair(one: Answer, other: Answer, cost: Callable[[Answer], float] = _latency) -> Pair:
    """Judges which of two measured networks is faster, by the latency of a run unless another
    ``cost`` in seconds is given."""
    a, b = sorted((one, other), key=cost)
    crosses = not _near(a, b)
    noises = [a.noise, b.noise]
    if crosses:
        floors = [floor_for(answer.found.floors, True) for answer in (a, b)]
        noises = [*noises, *floors] if None not in floors else []
    return Pair(a, b, difference(cost(a), cost(b), noises), crosses)


def _near(a: Answer, b: Answer) -> bool:
    """Whether some timings of both were made at one occasion, or shortly one after the other."""
    same = a.found.id == b.found.id
    return any(
        (same and occasion == other) or abs(at - then) < BETWEEN_S
        for occasion, at in a.moments
        for other, then in b.moments
    )


def pairs(answers: Sequence[Answer]) -> list[Pair]:
    """Judges measured networks by twos, the fastest first: all of a few, and neighbours of more."""
    known = [a for a in answers if a.latency_s is not None]
    known.sort(key=_latency)
    found = itertools.combinations(known, 2) if len(known) <= ALL_PAIRS_OF else (
        itertools.pairwise(known)
    )  # fmt: skip
    return [pair(a, b) for a, b in found]
