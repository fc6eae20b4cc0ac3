"""The metrics that can be measured of an architecture, predicted, and put into a search's penalty.

A dataset, a predictor, a penalty and a search are about one metric. Values are kept in the metric's
unit (seconds, bytes, joules) and shown in one that people read (ms, MiB, mJ); a key of JSON output
names the unit of its values. See ``docs/metrics.md``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from latbench.errors import UsageError, unknown
from latbench.text import NBSP, NOT_MEASURED, known, number


@dataclass(frozen=True)
class Metric:
    """A figure of an architecture on a backend; less is better.

    ``name`` stands in options, files and cards, ``label`` in sentences. ``unit`` is that of every
    value; tables and messages show ``scale`` times as many ``shown_unit``. ``key`` names a value in
    JSON, ``predicted_key`` a prediction beside other figures. ``less``, ``more`` and ``equal`` say
    how a network compares with another one, ``{}`` is the share.
    """

    name: str
    label: str
    key: str
    predicted_key: str
    unit: str
    shown_unit: str
    scale: float
    less: str
    more: str
    equal: str

    @property
    def counted(self) -> bool:
        """Returns whether it is counted of a network, and measured nowhere."""
        return self.name in COUNTED

    @property
    def title(self) -> str:
        """Returns the label at the beginning of a heading or of an axis."""
        return self.label[0].upper() + self.label[1:]

    def figure(self, value: float | None, digits: int = 3) -> str:
        """Writes a value in the unit that is shown, without that unit; a dash for None.

        >>> LATENCY.figure(0.01234), SIZE.figure(1500)
        ('12.3', '0.00143')
        """
        return number(None if value is None else self.scale * value, digits)

    def show(self, value: float | None, digits: int = 4) -> str:
        """Writes a value for people, with its unit; a dash for None. Below one MiB it is in KiB or
        bytes.

        >>> LATENCY.show(0.01234), MEMORY.show(150 * 2**20), ENERGY.show(None)
        ('12.34 ms', '150.0 MiB', '–')
        >>> SIZE.show(632), SIZE.show(64_000)
        ('632 B', '62.50 KiB')
        """
        if self.unit == "bytes" and value is not None and 0 < value < 2**20:
            small = value < 2**10
            return f"{value:.0f} B" if small else f"{number(value / 2**10, digits)} KiB"
        text = self.figure(value, digits)
        return text if value is None or not math.isfinite(value) else f"{text} {self.shown_unit}"


def _bytes(name: str, label: str, key: str, less: str, more: str, equal: str) -> Metric:
    return Metric(
        name, label, key, "predicted_bytes", "bytes", "MiB", 2.0**-20, less, more, equal
    )  # fmt: skip


# Where each is measured: latbench.timing.protocol for the first,
# latbench.campaign.memory_and_energy for the others.
LATENCY = Metric(
    "latency", "latency", "latency_s", "predicted_s", "s", "ms", 1e3,
    "{} faster", "{} slower", "equally fast",
)  # fmt: skip
MEMORY = _bytes(
    "memory", "peak host memory", "memory_bytes",
    "that takes {} less memory", "that takes {} more memory", "that takes as much memory",
)  # fmt: skip
DEVICE_MEMORY = _bytes(
    "device-memory", "peak device memory", "device_memory_bytes",
    "that takes {} less device memory", "that takes {} more device memory",
    "that takes as much device memory",
)  # fmt: skip
SIZE = _bytes("size", "model size", "model_bytes", "{} smaller", "{} larger", "equally large")
ENERGY = Metric(
    "energy", "energy an inference", "energy_j", "predicted_j", "J", "mJ", 1e3,
    "that takes {} less energy", "that takes {} more energy", "that takes as much energy",
)  # fmt: skip
MACS = Metric(
    "macs", "multiply-accumulates", "macs", "predicted_macs", "MACs", "M", 1e-6,
    "with {} fewer multiply-accumulates", "with {} more multiply-accumulates",
    "with as many multiply-accumulates",
)  # fmt: skip
PARAMETERS = Metric(
    "parameters", "parameters", "parameters", "predicted_parameters", "parameters", "M", 1e-6,
    "with {} fewer parameters", "with {} more parameters", "with as many parameters",
)  # fmt: skip
# What people may write a value in; SI prefixes and, for bytes, binary ones.
_UNITS: dict[str, dict[str, float]] = {
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9},
    "bytes": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20,
              "GiB": 2.0**30},
    "J": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6},
    "MACs": {"MACs": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "parameters": {"parameters": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
}  # fmt: skip
METRICS: dict[str, Metric] = {m.name: m for m in (LATENCY, MEMORY, DEVICE_MEMORY, SIZE, ENERGY)}
# What is counted of a network and measured nowhere, see latbench.predictors.counted.
COUNTED: dict[str, Metric] = {m.name: m for m in (MACS, PARAMETERS)}


def shown(metric: Metric, value: float | None) -> str:
    """Writes a value with its unit for a page, where it does not break; "not measured" for None."""
    return metric.show(value, 3).replace(" ", NBSP) if known(value) else NOT_MEASURED


def parse_metric(name: str) -> Metric:
    """Returns the metric of a name, measured or counted. Raises UsageError listing the known
    ones."""
    known = METRICS | COUNTED
    if name not in known:
        raise UsageError(unknown("metric", name, known))
    return known[name]


def measured_metric(name: str) -> Metric:
    """Returns the metric of a name, which can be measured. Raises UsageError listing those that
    can."""
    if name in COUNTED:
        raise UsageError(
            f"the {COUNTED[name].label} of a network are counted, not measured; "
            f"`latbench count {name}` makes a model of them for a search"
        )
    return parse_metric(name)


def parse_amount(metric: Metric, text: str, reference: float) -> float:
    """Parses a value in the metric's unit from a text with a unit, or from a share of
    ``reference``.

    Raises UsageError when it is none, or not above 0.

    >>> parse_amount(LATENCY, "5 ms", 1.0), parse_amount(SIZE, "1.5MB", 1.0)
    (0.005, 1500000.0)
    >>> parse_amount(LATENCY, "80%", 0.01)
    0.008
    """
    units = {**_UNITS[metric.unit], "%": reference / 100}
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(\S*)\s*", text)
    if found is None or found[2] not in units or not 0 < float(found[1]) < math.inf:
        raise UsageError(
            f"{text!r} is no amount of {metric.label}; expected a number above 0 with one of the "
            f"units {', '.join(units)}, e.g. '5{metric.shown_unit}'"
        )
    return float(found[1]) * units[found[2]]
