"""The meaning of a measurement set's noise: how small an error it lets a predictor have, and when
it is too much."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from latbench.text import number, percent

# Above this, most predictors of docs/predictors.md err less than the measurements they are judged
# by. A row whose interval is wider on either side counts as noisy.
WIDE = 0.05
# A block in which the canary's fastest run is slower than usual by more than this was disturbed:
# the fastest runs in it are not those of the machine's fast state. It repeated to 0.3 % quiet and
# beside processes on the other core, and took 10 % longer while 5 to 8 % of the processor was
# stolen. The canaries that use the shared cache differ by 5 to 25 % from block to block without
# that the floor shows it (2026-11-29, 2 virtual cores), so they are kept, and nothing is decided
# by them.
MOVED = 0.03
# A larger share of disturbed rows than this is reported, and is not measured again: no rest of
# the campaign is quiet.
MOST_DISTURBED = 0.2
# The fewest pairs of a first timing and a retest that a noise floor should be the mean of.
MIN_PAIRS = 5

NO_LOWER = "more rows could not be seen to lower it"
# An error beside what can be reached: no larger, larger by what may be chance, or clearly larger.
Standing = Literal["reached", "indistinguishable", "above"]


@dataclass(frozen=True)
class Floors:
    """The noise floors of a measurement set (fractions), None where one was not measured."""

    inside: float | None
    between: float | None


def floor_for(floors: Floors, crosses: bool) -> float | None:
    """Returns the noise floor that a decision stands on, None where it was not measured.

    What is compared inside one campaign stands on the floor inside: a predictor on the rows that it
    is cross-validated on, a network beside its limit where both were measured in one occasion. What
    ``crosses`` campaigns, days or stores stands on the floor between: two stores side by side, a
    prediction for later, a gate of CI; or on the floor inside, where that is the larger one, since
    nothing repeats better on another day than on the same.
    """
    if not crosses:
        return floors.inside
    if floors.between is None:
        return None
    return max(floors.between, floors.inside or 0.0)


def reachable_error(noise_floor: float | None) -> float | None:
    """Returns the mean relative error (MAPE, a fraction) that a perfect predictor has.

    It is that on single timings of this noise floor: the floor over the square root of 2. None
    where the floor is not known, or 0.

    Let two timings of a network be its true latency times 1 + e and 1 + f, with small independent e
    and f of the same distribution. The noise floor is the mean of ``|e - f|``, and a predictor of
    the true latency is off by ``|e|`` from the first of them. For normal errors of standard
    deviation s, the mean of ``|e|`` is ``s * sqrt(2 / pi)``, and e - f is normal with
    ``s * sqrt(2)``, so that the floor is ``sqrt(2)`` times as large. Networks may differ in s,
    since the ratio does not. For any other distribution around 0 the ratio is between 1 and 2
    (Jensen's and the triangle inequality); for the long-tailed one of Laplace it is 1.5.

    A data set's values are first timings; retests are not averaged into them (``Store.dataset``),
    so this holds for each of them. Were a share r of the values means of two timings, the error
    would be smaller by a share of ``0.29 * r``, 4 % where 15 % are retested. What a row's own
    interval says is not used: it does not hold the differences between sessions.
    """
    if noise_floor is None or not 0 < noise_floor < math.inf:
        return None
    return noise_floor / math.sqrt(2)


def standing(mape: tuple[float, float, float], noise_floor: float | None) -> Standing | None:
    """Returns how an error stands beside what can be reached on measurements of a noise floor.

    ``mape`` is the mean relative error with its 95 % interval (value, low, high), all fractions.
    "reached" is an error no larger than ``reachable_error``, "indistinguishable" one whose interval
    reaches down to it, "above" any other. The result is None where what can be reached is not
    known.
    """
    value, low, _ = mape
    reachable = reachable_error(noise_floor)
    if reachable is None:
        return None
    if value <= reachable:
        return "reached"
    return "indistinguishable" if low <= reachable else "above"


def at_reachable(mape: tuple[float, float, float], noise_floor: float | None) -> bool:
    """Returns whether an error is reached or indistinguishable, see ``standing``.

    Then no more rows and no other predictor could be seen to lower it.
    """
    return standing(mape, noise_floor) in ("reached", "indistinguishable")


def noise_line(floors: Floors) -> str:
    """Returns the line about the noise below a table of errors."""
    inside, between = (floor_for(floors, crosses) for crosses in (False, True))
    line, reachable = percent(inside), reachable_error(inside)
    if reachable is not None:
        line += f" (a perfect predictor would err by {percent(reachable)})"
    later = "not measured" if between is None else percent(between)
    return f"noise floor of the measurements: {line}; of a prediction for another day: {later}"


def beside_reachable(
    mape: tuple[float, float, float],
    noise_floor: float | None,
    write: Callable[[float], str] = percent,
) -> str:
    """Describes how an error stands beside what can be reached, in words that follow the error."""
    found, reachable = standing(mape, noise_floor), reachable_error(noise_floor)
    if noise_floor is None or reachable is None:
        return "with no noise floor to compare it with"
    at = (
        f"what a perfect predictor reaches, {write(reachable)} at a noise floor of "
        f"{write(noise_floor)}"
    )
    if found == "above":
        return f"{number(mape[0] / reachable, 2)} times {at}"
    return f"no more than {at}" if found == "reached" else f"not distinguishable from {at}"


def concern(noise_floor: float | None, noisy: int = 0, rows: int = 0) -> str | None:
    """Returns a warning about a noise floor (a fraction) and the noisy ones among its rows.

    It is None where the floor is good enough, or was not measured.
    """
    if noise_floor is None or noise_floor <= WIDE:
        return None
    scattered = f" ({noisy} of {rows} rows have an interval wider than ± 5 %)" if noisy else ""
    # Where each row agrees with itself, the device was another one at other times.
    again = " into another store" if rows and not noisy else " with --retry-noisy 5%"
    reachable = percent(reachable_error(noise_floor))
    return (
        f"the noise floor is {percent(noise_floor)}{scattered}: two measurements of one network "
        f"differ by so much, and a perfect predictor would err by {reachable} on them. Something "
        "else used the device, or its speed changed; leave it alone and measure "
        f"again{again}"
    )
