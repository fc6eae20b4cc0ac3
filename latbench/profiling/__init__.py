"""The profile of one network, layer by layer: what each kernel of a runtime takes.

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
