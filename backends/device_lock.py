"""One user of a device at a time, over all threads and processes of this machine.

TensorRT chooses kernels by timing them, so a build beside a measurement spoils both: the
measurement's numbers, and the choice that is built into the engine.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: threads of this process only
    fcntl = None  # type: ignore[assignment]

_threads: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def lock_path(device: str) -> Path:
    """The file that stands for ``device`` (a PCI bus id); it stays empty."""
    safe = "".join(c if c.isalnum() or c == "." else "-" for c in device)
    return Path(tempfile.gettempdir()) / f"latbench-device-{safe}.lock"


@contextmanager
def exclusive(device: str) -> Iterator[None]:
    """Waits until nobody else is inside for the same ``device``. Must not be nested.

    A process that dies inside is out. Costs about 20 microseconds when the device is free.
    """
    with _threads[device]:
        if fcntl is None:
            yield
            return
        # Opened each time: what a fork inherits would share its parent's lock.
        handle = _open(lock_path(device))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)  # which unlocks


def _open(path: Path) -> int:
    """A handle to lock. Reading is enough, and all that another user's file in /tmp allows."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CREAT, 0o644)
