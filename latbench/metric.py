"""What can be measured of an architecture, predicted, and put into a search's penalty."""

from __future__ import annotations

from dataclasses import dataclass

from latbench.errors import UsageError


@dataclass(frozen=True)
class Metric:
    """A figure of an architecture on a backend; less is better.

    ``unit`` is that of every value; tables and messages show ``scale`` times as many
    ``shown_unit``. ``key`` names a value in JSON.
    """

    name: str
    label: str
    key: str
    unit: str
    shown_unit: str
    scale: float

    def show(self, value: float | None) -> str:
        """A value for people, with its unit; a dash for None."""
        return "–" if value is None else f"{self.scale * value:.3f} {self.shown_unit}"


_MIB = 2.0**-20
# Where each is measured: latbench.protocol for the first, latbench.campaign.costs for the others.
METRICS = {
    metric.name: metric
    for metric in (
        Metric("latency", "latency", "latency_s", "s", "ms", 1e3),
        Metric("memory", "peak host memory", "memory_bytes", "bytes", "MiB", _MIB),
        Metric("device-memory", "peak device memory", "device_memory_bytes", "bytes", "MiB", _MIB),
        Metric("size", "model size", "model_bytes", "bytes", "MiB", _MIB),
        Metric("energy", "energy an inference", "energy_j", "J", "mJ", 1e3),
    )
}
LATENCY = METRICS["latency"]


def parse_metric(name: str) -> Metric:
    """The metric of a name. Raises UsageError listing the known ones."""
    if name not in METRICS:
        raise UsageError(f"unknown metric {name!r}; expected one of {', '.join(METRICS)}")
    return METRICS[name]
