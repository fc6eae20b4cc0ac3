"""When the noise of a measurement set is too much, and what to do then: one sentence."""

from __future__ import annotations

from latbench.numerals import percent

# Above this, most predictors of docs/predictors.md err less than the measurements they are judged
# by. A row whose interval is wider on either side counts as noisy.
WIDE = 0.05
# Of a first timing and a retest, that a noise floor should be the mean of.
MIN_PAIRS = 5


def concern(noise_floor: float | None, noisy: int = 0, rows: int = 0) -> str | None:
    """What is to be said of a noise floor (a fraction), and of so many noisy ones among its rows.

    None where the floor is good enough, or was not measured.
    """
    if noise_floor is None or noise_floor <= WIDE:
        return None
    scattered = f" ({noisy} of {rows} rows have an interval wider than ± 5 %)" if noisy else ""
    # Where each row agrees with itself, the device was another one at other times.
    again = " into another store" if rows and not noisy else " with --retry-noisy 5%"
    return (
        f"the noise floor is {percent(noise_floor)}{scattered}: two measurements of one network "
        "differ by so much, and no predictor can be judged more finely. Something else used the "
        f"device, or its speed changed; leave it alone and measure again{again}"
    )
