"""``latbench device``: what would be recorded about this machine, and whether it is held down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from latbench.cli.common import JsonOption, print_json, show


def device(
    as_json: JsonOption = False,
    cuda_device: Annotated[
        int, typer.Option("--cuda-device", help="GPU whose clocks are looked at.")
    ] = 0,
) -> None:
    """Show this machine as every row records it, and why its clocks are held down, if they are."""
    from latbench.device import ThrottleWatch, machine_profile

    profile = machine_profile()
    watch = ThrottleWatch(cuda_device if profile.get("gpus") else None)
    _work()
    found = {"sources": list(watch.sources), "reasons": watch.reasons()}
    if as_json:
        print_json({**profile, "throttling": found})
        return
    rows = [*_flat(profile), {"property": "throttling", "value": _sentence(found)}]
    show(rows, as_json=False)


def _work(seconds: float = 0.1) -> None:
    """Keeps one core busy, so that its clock is that of work."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def _flat(profile: dict[str, Any], prefix: str = "") -> Iterator[dict[str, str]]:
    """Yields one row a value; nested names are joined by a dot."""
    for key, value in profile.items():
        name = f"{prefix}{key}"
        if isinstance(value, list):
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        else:
            yield {"property": name, "value": str(value)}


def _sentence(found: dict[str, list[str]]) -> str:
    if not found["sources"]:
        return "cannot be seen here: the system shows no counters, no clocks and no NVML"
    seen = ", ".join(found["sources"])
    return "; ".join(found["reasons"]) or f"none at this moment (watched: {seen})"


COMMANDS = (device,)
