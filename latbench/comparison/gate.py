"""A gate: whether anything became slower by more than a limit, for a job that has to pass or fail.

**What is judged.** Each network that both sides have, and from three of them on all together, as
their mean. The change is that relative to the canary, from which the machine's speed divides out:
a baseline of yesterday, or of another machine of the same kind, may serve. Where the runtime's
version or its options differ, the canary runs on another runtime as well, and seconds are judged.

**Slower.** A network fails when its change is above the limit beyond the noise, by a one-sided test
against the limit itself. All tests of all comparisons of one report are held together by Holm's
procedure ("A simple sequentially rejective multiple test procedure", 1979), whatever they have in
common: the odds that any of them fails, while none is slower by more than the limit, are at most
``FAILS``. Where nothing changed at all they are far smaller.

**Too noisy.** A network passes when it is, with a confidence of ``SURE``, slower by less than twice
the limit. One that neither fails nor passes was too noisy to tell, and so is one whose comparison
says nothing of the code: of other devices or protocols, or without a second timing. So a network
that is slower by twice the limit passes in at most one of twenty cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latbench.comparison.significance import Comparison
from latbench.comparison.variance import Change, Shift, Shifts
from latbench.store.sides import MIN_ROWS, Floats, Side, name_of

FAILS = 0.01  # of reports in which nothing is slower by more than the limit
SURE = 0.95  # of a network that passes, that it is not slower by twice the limit

Outcome = Literal["slower", "passed", "untold"]


@dataclass(frozen=True)
class GateVerdict:
    """A verdict on a change: that of a ``network``, or of all of a backend's together (None).

    ``change`` has its own 95 % interval; ``most`` is by how much more it may be slower, with the
    confidence ``SURE`` (a fraction). ``base_s`` and ``new_s`` are the seconds of both sides, None
    of all together.
    """

    backend: str
    network: str | None
    change: Change
    most: float
    outcome: Outcome
    base_s: float | None = None
    new_s: float | None = None


@dataclass(frozen=True)
class Gate:
    """The verdict on some comparisons at a ``limit`` (a fraction): all that was ``judged``, and
    why something could not be told by its nature (``reasons``).

    ``missing`` are networks of the base that the new side lacks, ``added`` those that only the new
    side has: neither is judged.
    """

    limit: float
    judged: tuple[GateVerdict, ...]
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def having(self, outcome: Outcome) -> list[GateVerdict]:
        """Returns what was judged so."""
        return [j for j in self.judged if j.outcome == outcome]

    @property
    def outcome(self) -> Outcome:
        """Returns the verdict on all: slower where anything is, told where everything was."""
        if self.having("slower"):
            return "slower"
        return "untold" if self.having("untold") or self.missing else "passed"


def judge(
    comparisons: Sequence[Comparison], limit: float, missing: Iterable[str] = (),
    added: Iterable[str] = (),
) -> Gate:  # fmt: skip
    """Judges comparisons of a base and a new side.

    Args:
        comparisons: The comparisons, one a backend.
        limit: By how much more something has to be slower to fail, a fraction of the base's
            latency.
        missing: What else only the base has, such as the sets of another backend.
        added: What else only the new side has.

    Returns:
        The verdict on all.
    """
    tested = [(c, shift, names) for c in comparisons for shift, names in _tested(c)]
    p = [shift.above(float(np.log1p(limit))).reshape(-1) for _, shift, _ in tested]
    adjusted = iter(holm(np.concatenate([*p, np.zeros(0)])).tolist())
    judged = [v for c, shift, names in tested for v in _verdicts(c, shift, names, limit, adjusted)]
    sides = [(c.a, c.b) for c in comparisons]
    return Gate(
        limit,
        tuple(judged),
        tuple(dict.fromkeys(why for c in comparisons for why in _not_told(c))),
        (*(name for a, b in sides for name in _only(a, b)), *missing),
        (*(name for a, b in sides for name in _only(b, a)), *added),
    )


def _verdicts(
    c: Comparison, shift: Shift, names: list[str | None], limit: float, adjusted: Iterator[float]
) -> Iterator[GateVerdict]:
    """The verdicts on a comparison's changes, whose adjusted p-values come next."""
    told = not _not_told(c)
    most, half = (v.reshape(-1) for v in (shift.bound(SURE), shift.variance.half_width()))
    half = np.broadcast_to(half, most.shape)
    for i, (name, log) in enumerate(zip(names, shift.log.reshape(-1), strict=True)):
        p = next(adjusted)
        # All together are one more way to fail. They scatter, too, by networks that became faster.
        passed = name is None or most[i] <= np.log1p(2 * limit)
        outcome: Outcome = "passed" if passed else "untold"
        outcome = "untold" if not told else "slower" if p <= FAILS else outcome
        change = Change(*(_expm1(log + d) for d in (0.0, -half[i], half[i])))
        seconds = () if name is None else (float(c.a_s[i]), float(c.b_s[i]))
        yield GateVerdict(c.a.set.backend, name, change, _expm1(most[i]), outcome, *seconds)


def holm(p: Floats) -> Floats:
    """Returns p-values adjusted by Holm's procedure: those at most a level are rejected at it."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(steps, 1.0)
    return found


def beside_canary(c: Comparison) -> Shifts | None:
    """Returns the changes relative to the canary; None where that is no yardstick, since the
    canaries or what runs them differ."""
    same = (c.a.set.version, c.a.set.options) == (c.b.set.version, c.b.set.options)
    return c.beside_canary if same else None


def _tested(c: Comparison) -> list[tuple[Shift, list[str | None]]]:
    shifts = beside_canary(c) or c.seconds
    names: list[str | None] = [label(c.a, int(rank)) for rank in c.ranks]
    if not names:
        return []
    whole: list[tuple[Shift, list[str | None]]] = [(shifts.whole, [None])]
    return [(shifts.rows, names), *(whole if c.shared >= MIN_ROWS else [])]


def label(side: Side, rank: int) -> str:
    """Returns what a network is called: a model by its name, an architecture by its text."""
    text = side.text(rank)
    return name_of(text) if rank in side.models else text


def _only(a: Side, b: Side) -> list[str]:
    """The networks of one side that the other lacks."""
    return [label(a, int(rank)) for rank in np.setdiff1d(a.ranks, b.ranks, assume_unique=True)]


def _not_told(c: Comparison) -> list[str]:
    """Why a comparison says nothing of the code, in sentences."""
    found = []
    if c.a.set.device != c.b.set.device:
        found.append(
            f"The base was measured on {c.a.set.device}, the other side on {c.b.set.device}: a "
            "difference of devices is none of the code. Measure both on one."
        )
    if c.a.set.protocol.version != c.b.set.protocol.version:
        found.append(
            "The sides were measured with different protocols, whose latencies are different "
            "figures. Measure the base again."
        )
    if not c.judged:
        found.append(
            "Neither side timed a network twice, so that the noise is unknown. Measure with "
            "retests (`latbench measure --retest`), or again (`latbench recheck`)."
        )
    return found


def _expm1(value: float) -> float:
    """What one retest has to tell may be anything, which JSON and tables have no number for."""
    return float(np.expm1(min(value, 50.0)))
