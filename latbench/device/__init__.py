"""A description of this machine, and of whether its clocks are held down.

It is recorded beside every measurement. ``machine_profile`` describes the machine in JSON values,
``ThrottleWatch`` says why it is slower than it could be. Nothing here raises: what the system does
not tell is left out.
"""

from __future__ import annotations

from latbench.device.cpu import cpu_name, usable_cores
from latbench.device.profile import host_name, machine_profile, versions
from latbench.device.throttle import ThrottleWatch

__all__ = [
    "ThrottleWatch",
    "cpu_name",
    "host_name",
    "machine_profile",
    "usable_cores",
    "versions",
]
