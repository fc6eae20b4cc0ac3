"""Numbers as words: how measured values, shares and counts are written on the page.

A number that is absent (None) or not finite is written as "not measured" or a dash, never as 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from latbench.metric import Metric
from latbench.numerals import ABSENT, number

NBSP = "\u00a0"
NOT_MEASURED = "not measured"


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


def shown(metric: Metric, value: float | None) -> str:
    """A value with its unit, or "not measured"."""
    return metric.show(value, 3).replace(" ", NBSP) if known(value) else NOT_MEASURED


def percent(fraction: float | None) -> str:
    """A fraction as per cent: two digits below ten, one decimal above (97.8 %); dash if absent.

    >>> percent(0.0142), percent(0.978), percent(0.3)
    ('1.4\\xa0%', '97.8\\xa0%', '30.0\\xa0%')
    """
    if fraction is None or not math.isfinite(fraction):
        return ABSENT
    value = 100 * fraction
    if value != 0 and abs(value) < 0.95:
        return f"{number(value, 2)}{NBSP}%"
    return f"{value:,.1f}{NBSP}%"


def rounded_percent(fraction: float) -> str:
    """A difference for running text: whole per cent from ten on, else as ``percent``."""
    return f"{100 * fraction:.0f}{NBSP}%" if abs(fraction) >= 0.0995 else percent(fraction)


def count(value: int | None) -> str:
    """A whole number with separators; a dash when absent."""
    return ABSENT if value is None else f"{value:,}"


def magnitude(value: int | None) -> str:
    """A large count in thousands or millions: parameters, multiply-accumulates."""
    if value is None:
        return ABSENT
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(value) >= size:
            return f"{number(value / size)}{NBSP}{unit}"
    return f"{value:,}"


def shorten(text: str, length: int) -> str:
    """The text's beginning and an ellipsis when it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def plural(n: int, noun: str) -> str:
    """``"1 run"``, ``"3 runs"``, with separators."""
    return f"{n:,}{NBSP}{noun}" + ("" if n == 1 else "s")


def listing(items: list[str]) -> str:
    """``"a"``, ``"a and b"``, ``"a, b and c"``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``{"threads.intra": "4", ...}``, every value as text."""
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
