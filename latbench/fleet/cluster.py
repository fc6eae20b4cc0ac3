"""The few things that a fleet asks of Ray."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from latbench.errors import LatbenchError, UsageError

RESOURCE = "latbench_device"
CONNECT_TIMEOUT_S = 5.0


class DeviceLost(LatbenchError):
    """A device's process or node ended, or its backend failed; ``final`` when it would again."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True)
class ClusterNode:
    """A machine of the cluster and how many devices its operator declared."""

    id: str
    host: str
    devices: int
    gpus: int


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes; a closed port is known at once."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(
            f"{address!r} is not the address of a Ray cluster; expected HOST:PORT or 'auto', and "
            "latbench started on a node of the cluster"
        )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}); start one with `ray start --head`"
        ) from error


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connects to the cluster at ``address`` (HOST:PORT or ``auto``).

    Raises UsageError when Ray is not installed or there is no cluster to connect to.
    """
    try:
        import ray
    except ImportError:
        raise UsageError(
            "a fleet needs Ray, which is not installed; pip install 'latbench[ray]'"
        ) from None
    _check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UsageError(
            f"cannot join the Ray cluster at {address}: {_first_line(error)}; the driver must run "
            "on one of its nodes, with the same Ray and Python versions"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def nodes() -> list[ClusterNode]:
    """Returns the living nodes that have devices. See ``ray.nodes`` in Ray's documentation."""
    import ray

    found = []
    for node in ray.nodes():
        resources = node["Resources"]
        if node["Alive"] and resources.get(RESOURCE, 0) >= 1:
            host = node["NodeManagerHostname"] or node["NodeManagerAddress"]
            devices, gpus = int(resources[RESOURCE]), int(resources.get("GPU", 0))
            found.append(ClusterNode(node["NodeID"], host, devices, gpus))
    return found


def launch(node: ClusterNode) -> Any:
    """Starts an actor that holds one device of a node, and one GPU where every device has one."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from latbench.fleet.device_actor import DeviceActor

    options: dict[str, Any] = {
        "num_cpus": 0,
        "num_gpus": 1 if node.gpus >= node.devices else 0,
        "resources": {RESOURCE: 1},
        "max_restarts": 0,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
    }
    return ray.remote(**options)(DeviceActor).remote()


def kill(actor: Any) -> None:
    """Ends an actor, if it lives; its worker dies with it."""
    import ray

    with suppress(Exception):  # it is given up, whatever Ray says about it
        ray.kill(actor, no_restart=True)


def ready(waiting: Sequence[Any], timeout_s: float) -> list[Any]:
    """Returns the references and streams that have something, after ``timeout_s`` at most."""
    import ray

    found, _ = ray.wait(list(waiting), num_returns=1, timeout=timeout_s)
    if found:
        found, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
    return list(found)


def fetch(reference: Any) -> Any:
    """Fetches the value of a reference. Raises DeviceLost when its actor failed."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None) or error
        known = isinstance(cause, LatbenchError)
        raise DeviceLost(str(cause) if known else _first_line(cause), final=known) from error
    except ray.exceptions.RayError as error:
        raise DeviceLost(_first_line(error)) from error


def fetch_next(stream: Any) -> Any:
    """Fetches the next value of an actor's stream, None at its end. Raises DeviceLost as ``fetch``
    does."""
    import ray

    try:
        reference = next(stream)
    except StopIteration:
        return None
    except ray.exceptions.RayError as error:
        raise DeviceLost(_first_line(error)) from error
    return fetch(reference)
