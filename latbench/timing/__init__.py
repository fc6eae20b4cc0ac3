"""The taking of timings and what they say: protocol, noise, verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.timing.protocol import Protocol

__all__ = ["Protocol"]


def __getattr__(name: str) -> Any:
    # numpy is imported when something is timed, not when the command line starts.
    if name == "Protocol":
        from latbench.timing.protocol import Protocol

        return Protocol
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
