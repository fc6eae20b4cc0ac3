"""The answers to what is asked of a measured network: how long it takes, its tail, its costs, and
whether it is faster than another one.

**The interval** of a latency is the 95 % interval of the mean of its timings. **Faster or not** is
decided by the test of ``latbench.comparison.significance``, here for two networks of one side: the
noise of a timing is what the set's retests show, or the row's own interval where this is wider, and
of those called faster one in a hundred is expected to be so by chance. ``Store.noise`` alone, the
rule of thumb that limits are judged by, would call one of two equal networks faster in 16 to 21 of
100 cases (2 to 10 retested networks, normal noise).

Networks that were timed in one occasion, or within a quarter of an hour, stand on the set's pairs
of timings inside an occasion. Any others stand on those between occasions. Where there is no such
pair, nothing is decided. Two sets have anchors of their own, whose scatter comes on top.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from latbench.comparison.significance import freedom_of, timing_variance
from latbench.comparison.variance import Change, Shift, Variance
from latbench.networks.network import Network
from latbench.store import SetSummary, Store
from latbench.store.occasions import SetNoise, Timings
from latbench.store.repeats import BETWEEN_S
from latbench.store.statistics import runs_of
from latbench.text import NBSP, percent, rounded_percent
from latbench.timing.metric import LATENCY, METRICS
from latbench.timing.percentiles import PERCENTILES, Percentile, percentile

ALL_PAIRS_OF = 4  # networks; of more, only neighbours in the order of their latencies


@dataclass(frozen=True, eq=False)
class Answer:
    """The figures that are known of one network in a measurement set.

    ``text`` is how the store knows it, ``name`` how it is called. ``latency_s`` is the mean of its
    ``timings``, ``noise`` the set's. ``percentiles`` are of its ``runs`` (their number), None where
    these are too few. ``costs`` are the other metrics by their names, None where one was not
    measured. ``images`` is how many inputs one run computes: those of a batch, for each request
    that the backend runs at a time. A network that failed has an ``error``, and no figures.
    """

    name: str
    text: str
    network: Network
    found: SetSummary
    latency_s: float | None
    timings: Timings = field(repr=False)
    noise: SetNoise = field(repr=False)
    runs: int
    percentiles: dict[str, Percentile | None]
    costs: dict[str, float | None]
    images: int
    error: str | None = None

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """Returns the ends of the latency's 95 % interval, seconds; None without a latency."""
        if self.latency_s is None:
            return None
        half = math.exp(float(_variance(self, crosses=False).half_width()))
        return self.latency_s / half, self.latency_s * half

    @property
    def images_per_s(self) -> float | None:
        """Returns the throughput: the images of a run over its latency."""
        return None if self.latency_s is None else self.images / self.latency_s


def _variance(a: Answer, crosses: bool) -> Variance:
    """That of the mean of a network's timings, against others that cross occasions or do not."""
    pairs = a.noise.apart if crosses else a.noise.inside
    one = timing_variance(a.timings.half_width, a.noise.half_widths, pairs)
    return Variance((one / a.timings.repeats,), (freedom_of(pairs),))


def answer(
    store: Store, found: SetSummary, noise: SetNoise, name: str, text: str, network: Network,
    requests: int = 1,
) -> Answer:  # fmt: skip
    """Reads what a store knows of a network.

    Args:
        store: The open store.
        found: The set that it was measured into.
        noise: The set's noise.
        name: What the network is called.
        text: Its text in the store: that of an architecture or of a model.
        network: The network itself.
        requests: How many inferences a run of the set's backend holds (``Backend.requests``).

    Returns:
        The answer; without figures where the network was not measured, with the reason where it
        failed.
    """
    runs = runs_of(store, found.id, text)
    timings = Timings.read(store, found.id, text)
    latency_s = timings.relative * found.anchor_s if timings.repeats and found.anchor_s else None
    return Answer(
        name=name,
        text=text,
        network=network,
        found=found,
        latency_s=latency_s,
        timings=timings,
        noise=noise,
        runs=len(runs),
        percentiles={name: percentile(runs, name) for name in PERCENTILES},
        costs={name: store.value(found.id, text, name) for name in METRICS if name != LATENCY.name},
        images=network.input_shape[0] * requests,
        error=store.failures(found.id).get(text) if latency_s is None else None,
    )


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair of measured networks, the faster one first, and whether that can be told.

    ``change`` is how much less the faster one takes (a negative fraction) with its 95 % interval,
    ``told`` whether that is beyond the noise, and ``visible`` how large a share less it would have
    to be to be told if it were the only one; infinite where the noise is not known. ``crosses``
    says that they were measured at different occasions.
    """

    faster: Answer
    slower: Answer
    change: Change
    told: bool
    visible: float
    crosses: bool

    @property
    def sentence(self) -> str:
        """Returns the verdict in words."""
        a, b, change = self.faster.name, self.slower.name, abs(self.change.value)
        if self.told:
            return f"{a} is {LATENCY.less.format(rounded_percent(change))} than {b}"
        return f"which of {a} and {b} is faster cannot be told: {self.why}"

    @property
    def why(self) -> str:
        """Returns why nothing can be told."""
        if math.isfinite(self.visible):
            return (
                f"they differ by {percent(abs(self.change.value))}, and from "
                f"{percent(self.visible)} on it could be told"
            ).replace(" %", f"{NBSP}%")
        if self.crosses:
            return (
                "they were measured at different times, and what figures differ by between these "
                "was not measured; `latbench recheck` measures it"
            )
        return "nothing was timed twice, so that the noise is not known; measure with --retest"


def _latency(answer: Answer) -> float:
    return answer.latency_s or math.inf


def seconds_an_image(answer: Answer) -> float:
    """Returns the seconds of a run for each of its images."""
    return _latency(answer) / answer.images


def judge(
    couples: Sequence[tuple[Answer, Answer]], cost: Callable[[Answer], float] = _latency
) -> list[Pair]:
    """Judges which of two measured networks is faster, for all couples together.

    Args:
        couples: The networks, which have latencies.
        cost: What is compared, in seconds; the latency of a run by default.

    Returns:
        The pair of each couple.
    """
    ordered = [sorted(couple, key=cost) for couple in couples]
    crosses = [not _near(a, b) for a, b in ordered]
    found = [_of_both(a, b, apart) for (a, b), apart in zip(ordered, crosses, strict=True)]
    together = Variance(
        (np.array([float(v.total) for v, _ in found]),),
        (np.array([float(v.degrees) for v, _ in found]),),
    )
    changes = np.array([math.log(cost(a) / cost(b)) for a, b in ordered])
    judged = np.array([known for _, known in found], bool)
    verdicts = Shift(changes, together).verdicts(judged)
    return [
        Pair(
            faster=a,
            slower=b,
            change=Change(*(float(x[i]) for x in (verdicts.change, verdicts.low, verdicts.high))),
            told=bool(verdicts.beyond[i]),
            # Of the slower one, as the change is.
            visible=1 - 1 / (1 + float(verdicts.visible[i])) if found[i][1] else math.inf,
            crosses=crosses[i],
        )
        for i, (a, b) in enumerate(ordered)
    ]


def _of_both(a: Answer, b: Answer, crosses: bool) -> tuple[Variance, bool]:
    """The variance of the difference of two networks, and whether the noise of both is known."""
    one, other = (_variance(answer, crosses) for answer in (a, b))
    known = all(len(x.noise.apart if crosses else x.noise.inside) for x in (a, b))
    if a.found.id == b.found.id:  # which have their noise from the same pairs
        return Variance((one.parts[0] + other.parts[0],), one.freedom), known
    return one + other + _anchor_variance(a) + _anchor_variance(b), known


def _anchor_variance(a: Answer) -> Variance:
    times = np.log(a.noise.canary_s)
    variance = float(np.var(times, ddof=1)) / len(times) if len(times) > 1 else 0.0
    return Variance((np.asarray(variance),), (float(max(1, len(times) - 1)),))


def _near(a: Answer, b: Answer) -> bool:
    """Whether some timings of both were made at one occasion, or shortly one after the other."""
    same = a.found.id == b.found.id
    return any(
        (same and occasion == other) or abs(at - then) < BETWEEN_S
        for occasion, at in a.timings.moments
        for other, then in b.timings.moments
    )


def pairs(answers: Sequence[Answer]) -> list[Pair]:
    """Judges measured networks by twos, the fastest first: all of a few, and neighbours of more."""
    known = sorted((a for a in answers if a.latency_s is not None), key=_latency)
    few = len(known) <= ALL_PAIRS_OF
    return judge(list(itertools.combinations(known, 2) if few else itertools.pairwise(known)))
