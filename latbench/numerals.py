"""Numbers as text, without exponents and with as many digits as mean something."""

from __future__ import annotations

import math

ABSENT = "–"


def percent(fraction: float | None) -> str:
    """A fraction as per cent with two decimals; a dash when absent.

    >>> percent(0.0123), percent(None)
    ('1.23 %', '–')
    """
    return ABSENT if fraction is None else f"{100 * fraction:.2f} %"


def rough(value: float) -> str:
    """A speed or another figure that varies from run to run: two significant digits.

    >>> rough(14_332_192), rough(161_372), rough(98.7)
    ('14 million', '160,000', '99')
    """
    rounded = float(f"{value:.1e}")
    return f"{number(rounded / 1e6, 2)} million" if rounded >= 1e6 else f"{rounded:,.0f}"


def number(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits without an exponent; a dash when absent.

    >>> number(1234.6), number(0.01234), number(12.0)
    ('1,235', '0.0123', '12.0')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    # Rounded first, so that 9.996 becomes 10.0 and not 10.00.
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -6 <= exponent <= 12:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"
