"""One campaign on every device of a Ray cluster: see docs/fleet.md. Needs the extra ``ray``."""

from latbench.fleet.fleet import FleetOutcome, run_fleet

__all__ = ["FleetOutcome", "run_fleet"]
