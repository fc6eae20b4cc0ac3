"""The changes between two sides in sentences, which say no more than the intervals bear."""

from __future__ import annotations

import time

import numpy as np

from latbench.comparison.significance import Comparison
from latbench.comparison.variance import FALSE_DISCOVERIES, Change
from latbench.report.sections.page_tables import floor_text
from latbench.store.sides import Side
from latbench.text import NBSP, flatten, number, plural, rounded_percent, short_percent, signed

WIDE = 0.1  # noise that hides a change of this size (a fraction) is called high
HOPELESS = 10.0  # a change by this much is none that anybody looks for
LISTED = 10  # so few shared architectures are pointed at, one by one


def change_text(change: Change) -> str:
    """Writes a change and its interval: ``+2.1 % (95 % interval +1.8 % to +2.4 %)``."""
    return (
        f"{signed(change.value)} (95{NBSP}% interval {signed(change.low)} to {signed(change.high)})"
    )


def sentences(comparison: Comparison) -> list[str]:
    """Returns the findings of one comparison, the most important first."""
    found = [_whole(comparison)]
    if comparison.shared:
        found.append(_rows(comparison))
    if comparison.visible is not None:
        found.append(_visible(comparison, comparison.visible))
    if parts := _parts(comparison):
        found.append(parts)
    found += cautions(comparison)
    return found


def _whole(c: Comparison) -> str:
    of = (
        f"over the {plural(c.shared, 'architecture')} that both sides have"
        if c.paired
        else "by the samples' mean latencies"
    )
    backend = f"{c.a.set.backend} on {c.b.set.device}" if c.b.set.device else c.a.set.backend
    if c.whole.vague:
        return f"{backend}: {_nothing_of_the_whole(c)}"
    if not c.whole.clear:
        return (
            f"{backend}: no change as a whole beyond the noise from A to B, "
            f"{change_text(c.whole)}, {of}."
        )
    how = "slower" if c.whole.value > 0 else "faster"
    if c.relative is not None and not c.relative.clear:
        return (
            f"{backend} was {how} as a whole on B than on A, {change_text(c.whole)}, {of}; "
            "relative to the canary no change is beyond the noise, so this may be the machine's "
            "speed and not the runtime. Timings alone cannot tell these apart."
        )
    return f"{backend} became {how} as a whole from A to B, {change_text(c.whole)}, {of}."


def _nothing_of_the_whole(c: Comparison) -> str:
    """Says that nothing can be said of the whole, why, and how far the interval reaches.

    It does so in words: per cents of such sizes are not read.
    """
    listed = ", each listed with its change" if 0 < c.shared <= LISTED else ""
    return (
        f"nothing can be said of the change as a whole. A ({len(c.a.ranks):,} measured) and B "
        f"({len(c.b.ranks):,}) share {plural(c.shared, 'architecture')}{listed}; by "
        f"{'these' if c.paired else 'the samples'} B could be anything from "
        f"{_times(1 / max(1 + c.whole.low, 1e-9))} faster to {_times(1 + c.whole.high)} slower "
        "than A."
    )


def _times(ratio: float) -> str:
    return f"{number(ratio, 2)} times" if ratio < 100 else "a hundred times or more"


def _rows(c: Comparison) -> str:
    n = c.shared
    if not c.judged:
        return (
            "Neither side timed an architecture twice, so the noise is unknown and no single "
            "architecture is called changed; measure with retests (they are the default)."
        )
    beyond = c.absolute.beyond
    slower = int((beyond & (c.absolute.change > 0)).sum())
    if not beyond.any():
        first = (
            f"None of the {n:,} shared architectures changed beyond the noise"
            if n > 1
            else "The shared architecture did not change beyond the noise"
        )
    else:
        first = (
            f"{int(beyond.sum()):,} of {n:,} shared architectures changed beyond the noise in "
            f"seconds: {slower:,} slower, {int(beyond.sum()) - slower:,} faster"
        )
    if not c.paired:
        return f"{first}."
    apart = int(c.against.beyond.sum())
    if apart:
        return f"{first}. {apart:,} changed otherwise than the mean of all."
    return f"{first}. None changed otherwise than the mean of all."


def _visible(c: Comparison, size: float) -> str:
    """What size of change the noise lets through, so that "none" is not taken for "no change"."""
    floors = f"{floor_text(c.a.noise_floor)} on A and {floor_text(c.b.noise_floor)} on B"
    if size <= WIDE:
        return (
            f"The noise floor is {floors}; a change of one architecture alone shows from about "
            f"{rounded_percent(size)} on."
        )
    seen = (
        f"only changes of one architecture alone beyond about {rounded_percent(size)} could be seen"
        if size < HOPELESS
        else "no change of one architecture alone could be seen"
    )
    own = [rounded_percent(float(np.median(side.half_width))) for side in (c.a, c.b)]
    return (
        f"The noise is high: the noise floor is {floors} ({len(c.a.pairs):,} and "
        f"{len(c.b.pairs):,} retests), a row's own 95{NBSP}% interval about ±{NBSP}{own[0]} and "
        f"±{NBSP}{own[1]}, so {seen}. Measure again on a quieter machine, or with more retests."
    )


def _parts(c: Comparison) -> str:
    """The canary's share of the change, and what cannot be told from it."""
    if c.canary is None or c.relative is None:
        return (
            "The sides have different canaries, so drift of the machine between them does not "
            "divide out: seconds are compared, each side's canary times its own figures."
        )
    text = (
        "The canary, a fixed network timed beside every architecture to show the machine's own "
        f"speed: {change_text(c.canary)}"
    )
    if c.relative.vague:
        return f"{text}."
    text += (
        f"; relative to the canary: {change_text(c.relative)}. "
        f"No change was seen where an interval holds 0{NBSP}%. The canary's own time is a little "
        "different in every session: these two intervals allow for that, while in the change in "
        "seconds it cancels out."
    )
    if c.relative.clear:
        return (
            f"{text} The change relative to the canary is not the machine's speed, which would "
            "have changed both alike."
        )
    return text


def cautions(c: Comparison) -> list[str]:
    """Returns what a reader has to know before believing a comparison, in sentences."""
    found = []
    if not c.paired and not c.whole.vague:
        found.append(
            f"The sides share {plural(c.shared, 'architecture')}; only their distributions are "
            "compared, which means something if both were sampled in the same way."
        )
    if not c.judged:
        found.append(
            "Nothing was timed twice: what a session of the canary differs by is unknown, and not "
            "in the intervals of the canary and relative to it."
        )
    elif not (len(c.a.pairs) and len(c.b.pairs)):
        which = "A" if len(c.b.pairs) else "B"
        found.append(f"Side {which} has no retests; its noise is taken to be the other side's.")
    if c.judged and c.a.floors.between is None and c.b.floors.between is None:
        found.append(
            "The sides are judged by the noise inside a campaign: what the same network differs by "
            "on another day was measured on neither, and may be more. `latbench recheck STORE` "
            "measures it."
        )
    if c.a.set.protocol.version != c.b.set.protocol.version:
        found.append(
            "The sides were measured with different protocols, whose latencies are different "
            "figures (docs/measuring.md); this is a comparison of protocols."
        )
    if c.a.set.device != c.b.set.device:
        found.append(
            f"The devices differ: {c.a.set.device} and {c.b.set.device}; this is a comparison of "
            "devices."
        )
    return found


def verdict(change: float, beyond: bool, judged: bool, against: bool = False) -> str:
    """Returns one architecture's verdict in words.

    Args:
        change: The relative change from A to B, a fraction; above 0 is slower.
        beyond: Whether the change is beyond the noise.
        judged: Whether the noise is known.
        against: Whether the change is against the mean of all, or on its own.

    Returns:
        The verdict, such as ``slower than the mean``.
    """
    if not judged:
        return "noise unknown"
    if not beyond:
        return "as the mean" if against else "within noise"
    word = "slower" if change > 0 else "faster"
    return f"{word} than the mean" if against else word


def order(c: Comparison) -> list[int]:
    """Returns the order of the shared architectures, as their positions in the comparison.

    Those beyond the noise come first, and then the larger changes.
    """
    size = np.abs(np.log1p(c.absolute.change))
    return [int(i) for i in np.lexsort((-size, ~c.absolute.beyond))]


def when(side: Side) -> str:
    """Writes the time from the first to the last timing, in this machine's time zone."""
    first, last = (
        time.strftime("%Y-%m-%d %H:%M", time.localtime(t)) for t in (side.first, side.last)
    )
    return first if first == last else f"{first} to {last}"


def conditions(side: Side) -> dict[str, str]:
    """Returns a side's conditions as flat texts; how much was measured is not among them."""
    s = side.set
    own = {"backend": s.backend, "version": s.version, "device": s.device, "canary": s.canary}
    return {
        **own,
        **flatten(s.options, "option "),
        **flatten(vars(s.protocol), "protocol "),
        **flatten(s.machine, "machine "),
    }


def differing(comparison: Comparison) -> dict[str, tuple[str | None, str | None]]:
    """Returns the conditions that are not the same on both sides, as the texts of A and B.

    A text is None where a side does not have the condition.
    """
    a, b = conditions(comparison.a), conditions(comparison.b)
    return {k: (a.get(k), b.get(k)) for k in {**a, **b} if a.get(k) != b.get(k)}


RULE = (
    "How this was judged. An architecture's latency is its figure in units of the canary times the "
    "side's anchor, the canary's median time there.",
    "The noise of a timing is what first timings and retests of the side differ by, which contains "
    "the scatter inside a session and that between sessions; where a row's own 95 % interval is "
    "wider, it counts instead. The uncertainty of both anchors, from ten stretches of each side in "
    "time, comes on top.",
    "An architecture changed beyond the noise when a t-test with the retests' degrees of freedom "
    "says so after Benjamini and Hochberg's correction: about "
    f"{short_percent(FALSE_DISCOVERIES)} of those called changed are expected to be so by chance. "
    "The intervals in the table are those of each architecture alone.",
    "The verdict against the mean asks whether an architecture changed otherwise than all of them "
    "did; the machine's speed and the anchors do not touch it.",
    "A campaign times everything beside one session of the canary. What that session happens to be "
    "faster or slower by moves the canary's figure and all relative ones, in opposite directions; "
    "their intervals allow for it; in seconds, the product of the two, it cancels out.",
    "The machine's speed can differ between two dates by more than it does within a side (other "
    "tenants, heat, clocks). Only the figures relative to the canary are free of this, and they do "
    "not show what became slower or faster together with the canary.",
)
