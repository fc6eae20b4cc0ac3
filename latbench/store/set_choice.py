"""Measurement sets told apart in a message: what each has that the others have not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from latbench.store.records import SetSummary


def listing(sets: Sequence[SetSummary]) -> str:
    """Returns a clause for each set: number, backend, how it differs from other sets of that
    backend, the device where there are several, rows."""
    devices = len({s.set.device for s in sets})
    return ", ".join(f"set {s.id} ({', '.join(_clause(s, sets, devices > 1))})" for s in sets)


def _clause(summary: SetSummary, sets: Sequence[SetSummary], with_device: bool) -> list[str]:
    own = _conditions(summary)
    peers = [_conditions(s) for s in sets if s.set.backend == summary.set.backend]
    # An option that another version of the backend does not have differs, too.
    names = dict.fromkeys(name for conditions in peers for name in conditions)
    differing = [n for n in names if any(p.get(n, ...) != own.get(n, ...) for p in peers)]
    told = [f"{name}={own[name]}" for name in differing if name in own]
    device = [f"on {summary.set.device}"] if with_device else []
    return [" ".join([summary.set.backend, *told]), *device, f"{summary.ok:,} rows"]


def _conditions(summary: SetSummary) -> dict[str, Any]:
    """Everything but backend and device that keeps two sets apart, the backend's options first."""
    protocol = {f"protocol.{name}": value for name, value in asdict(summary.set.protocol).items()}
    own = summary.set
    return {**own.options, "version": own.version, **protocol, "canary": own.canary}


def how_to_choose(sets: Sequence[SetSummary]) -> str:
    """Returns the option that tells one set from the others, for a terminal and for Python."""
    if len({s.set.backend for s in sets}) < 2:
        return "add --set ID (in Python set_id=ID)"
    return "add --backend NAME or --set ID (in Python backend=NAME or set_id=ID)"
