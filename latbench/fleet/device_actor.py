"""The actor that runs on a device of the fleet, with the block measurer of a local campaign."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import psutil

from latbench.campaign.measurer import BlockMeasurer
from latbench.campaign.plan import Task
from latbench.campaign.spec import CampaignOptions, MeasurerSpec
from latbench.store import Measurement, MeasurementSet


def _drop_ray_threads() -> None:
    """Undoes Ray's OMP_NUM_THREADS, which would slow a runtime down; the operator's own stays.

    Ray sets it inside a running process, so the process's first environment does not have it.
    """
    if "OMP_NUM_THREADS" not in psutil.Process().environ():
        os.environ.pop("OMP_NUM_THREADS", None)


class DeviceActor:
    """A Ray actor that holds one device and measures blocks for the driver."""

    def start(self, spec: MeasurerSpec, options: CampaignOptions) -> MeasurementSet:
        """Starts the worker and times the canary; returns the set that this device's rows belong
        to.

        Raises BackendError when the backend cannot run here.
        """
        _drop_ray_threads()
        self._measurer = BlockMeasurer(spec, options)
        return self._measurer.set

    def measure(self, block: Sequence[Task], seed: int) -> Iterator[Measurement]:
        """Streams the rows of a block as they are finished."""
        yield from self._measurer.measure(block, seed)
