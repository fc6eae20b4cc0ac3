"""The profile of one network: where its time goes, layer by layer, as a runtime tells it.

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
