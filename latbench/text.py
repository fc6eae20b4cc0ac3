"""Numbers and tables as text: how measured values, shares and counts are written for people.

A number that is absent (None) or not finite is written as a dash or in words, never as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, TypeGuard

ABSENT = "–"
JOINED = "+"  # between names that are one text: backends, operators, members of a set
NBSP = "\u00a0"
NOT_MEASURED = "not measured"


def percent(fraction: float | None) -> str:
    """Writes a fraction as per cent with two decimals; a dash when absent.

    >>> percent(0.0123), percent(None)
    ('1.23 %', '–')
    """
    return ABSENT if fraction is None else f"{100 * fraction:.2f} %"


def rough(value: float) -> str:
    """Writes a speed or another figure that varies from run to run: two significant digits.

    >>> rough(14_332_192), rough(161_372), rough(98.7)
    ('14 million', '160,000', '99')
    """
    rounded = float(f"{value:.1e}")
    return f"{number(rounded / 1e6, 2)} million" if rounded >= 1e6 else f"{rounded:,.0f}"


def number(value: float | None, digits: int = 3) -> str:
    """Writes ``digits`` significant digits without an exponent; a dash when absent.

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


def known(value: float | None) -> TypeGuard[float]:
    """Returns whether there is a finite number."""
    return value is not None and math.isfinite(value)


def short_percent(fraction: float | None) -> str:
    """Writes a fraction as per cent: two digits below ten, one decimal above (97.8 %); dash if
    absent.

    >>> short_percent(0.0142), short_percent(0.978), short_percent(0.3)
    ('1.4\xa0%', '97.8\xa0%', '30.0\xa0%')
    """
    if fraction is None or not math.isfinite(fraction):
        return ABSENT
    value = 100 * fraction
    if value != 0 and abs(value) < 0.95:
        return f"{number(value, 2)}{NBSP}%"
    return f"{value:,.1f}{NBSP}%"


def rounded_percent(fraction: float) -> str:
    """Writes a difference for running text: whole per cent from ten on, else as
    ``short_percent``."""
    return f"{100 * fraction:.0f}{NBSP}%" if abs(fraction) >= 0.0995 else short_percent(fraction)


def signed(change: float | None) -> str:
    """Writes a relative difference as per cent with its sign; a dash when absent.

    >>> signed(0.021), signed(-0.3), signed(None)
    ('+2.1\\xa0%', '−30.0\\xa0%', '–')
    """
    if change is None or not math.isfinite(change):
        return ABSENT
    return ("+" if change > 0 else "−" if change < 0 else "") + short_percent(abs(change))


def count(value: int | None) -> str:
    """Writes a whole number with separators; a dash when absent."""
    return ABSENT if value is None else f"{value:,}"


def magnitude(value: int | None) -> str:
    """Writes a large count in thousands or millions: parameters, multiply-accumulates."""
    if value is None:
        return ABSENT
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(value) >= size:
            return f"{number(value / size)}{NBSP}{unit}"
    return f"{value:,}"


def long_count(value: int) -> str:
    """Writes a whole number with separators; a large one also as a power of ten, and one of more
    than 60 digits so alone.

    >>> long_count(15_625), long_count(4**20)
    ('15,625', '1,099,511,627,776 (1.1 × 10^12)')
    >>> long_count(9**100)
    '2.7 × 10^95'
    """
    if value < 10**9:
        return f"{value:,}"
    # The first digits are cut from the integer, which may be larger than any float.
    places = math.floor(math.log10(value)) - 2
    first = f"{value // 10**places:.1e}"  # log10 rounds, so that there may be two or four of them
    mantissa, _, exponent = first.partition("e")
    places += int(exponent)
    power = f"{mantissa} × 10^{places}"
    return power if places >= 60 else f"{value:,} ({power})"


def shorten(text: str, length: int) -> str:
    """Returns the text's beginning and an ellipsis when it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def plural(n: int, noun: str) -> str:
    """Writes a count with its noun, with separators: ``"1 run"``, ``"3 runs"``."""
    return f"{n:,}{NBSP}{noun}" + ("" if n == 1 else "s")


def listing(items: list[str]) -> str:
    """Joins words: ``"a"``, ``"a and b"``, ``"a, b and c"``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flattens nested settings to ``{"threads.intra": "4", ...}``, every value as text."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            flat[name] = ", ".join(str(v) for v in value)
        elif isinstance(value, float):
            flat[name] = f"{value:.6g}"
        else:
            flat[name] = ABSENT if value is None else str(value)
    return flat


def _row(cells: Iterable[object], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes a ``<table>``; every text is escaped.

    >>> html_table("a < b", ["n"], [[1]])
    '<table><caption>a &lt; b</caption><tr><th>n</th></tr><tr><td>1</td></tr></table>'
    """
    head = _row(columns, "th") if columns else ""
    body = "".join(_row(row, "td") for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{head}{body}</table>"


def html_facts(caption: str, values: Mapping[str, object]) -> str:
    """Writes a table of names and values, one a row."""
    return html_table(caption, (), values.items())
