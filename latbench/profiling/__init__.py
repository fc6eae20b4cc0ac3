"""Where the time of one network goes, layer by layer: a runtime's own profile.

See ``docs/profile.md``.
"""

from latbench.profiling.network_profile import (
    KindTime,
    NetworkProfile,
    ProfiledKernel,
    ProfileRuns,
    profile_network,
)

__all__ = ["KindTime", "NetworkProfile", "ProfileRuns", "ProfiledKernel", "profile_network"]
