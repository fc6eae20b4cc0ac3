"""Locks between threads and processes: one user of a place, and turns on a device.

A lock is a file. The system frees it when its process ends, however it ends, so that a file which
is found there means nothing by itself. Deleting one under the feet of somebody who has opened it
lets two in, one by the old file and one by a new one: so a device's file stays, and whoever has
locked a place's file looks whether it is still the one that is there.

It takes flock(2), and not the package filelock, which polls, takes 0.4 ms instead of 20
microseconds (a TensorRT session takes a turn for every run) and refuses another user's file in /tmp
(4.3.1, 2026-11-29). Without flock, on Windows, there are turns between the threads of a process
only.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latbench.errors import LatbenchError, UsageError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

LOCK_DIR = "LATBENCH_LOCK_DIR"
# What file systems say that have no locks, such as Lustre as it is mounted by default.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}

_threads: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)
_inside: set[Path] = set()  # each changed by the thread that has the lock of that path


@contextmanager
def sole_user(path: Path, taken: LatbenchError) -> Iterator[None]:
    """Holds the place at ``path``, by a hidden file beside it that goes at the end.

    Raises ``taken`` when somebody holds it already, in this process or another one, and UsageError
    when its folder cannot be written. Where the file system has no locks, nobody is refused.
    """
    file = path.with_name(f".{path.name}.lock")
    while True:
        with _opened(file, "name a folder that can be") as handle:
            if not _lock(handle, wait=False):
                raise taken
            if not _is_at(handle, file):
                continue  # it was the one of a user who has left since it was opened
            try:
                yield
            finally:
                with suppress(OSError):  # Windows deletes no open file
                    file.unlink()
            return


def turn_file(device: str) -> Path:
    """Returns the file that stands for ``device``, in the folder that LATBENCH_LOCK_DIR names, or
    else among the machine's temporary files."""
    safe = "".join(c if c.isalnum() or c == "." else "-" for c in device)
    return Path(os.environ.get(LOCK_DIR) or tempfile.gettempdir()) / f"latbench-{safe}.lock"


@contextmanager
def turn(device: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Waits until no other thread or process of the machine is inside for the same ``device``.

    ``waiting`` is called once, when it has to wait. A thread that is inside may enter once more.
    Takes about 20 microseconds when the device is free (2026-11-24). Raises UsageError when the
    folder of the locks cannot be used.
    """
    path = turn_file(device)
    own, waits = _threads[path], False
    if not own.acquire(blocking=False):
        waits = True
        waiting()
        own.acquire()
    try:
        if path in _inside:
            yield
            return
        with _opened(path, f"set {LOCK_DIR} to a folder that can be") as handle:
            if not _lock(handle, wait=False):
                if not waits:
                    waiting()
                _lock(handle, wait=True)
            _inside.add(path)
            try:
                yield
            finally:
                _inside.discard(path)
    finally:
        own.release()


@contextmanager
def _opened(path: Path, mend: str) -> Iterator[int]:
    """A handle of a file of ours, unlocked and closed afterwards."""
    try:
        # Each time anew: what a fork inherits would share its parent's lock.
        handle = _open(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; {mend} written") from error
    try:
        yield handle
    finally:
        # Unlocked explicitly, since a process that was forked meanwhile has the same open file.
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    link = getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | link, 0o644)  # NFS locks what may be written
    except PermissionError:
        return os.open(path, os.O_RDONLY | link)  # another user's file, in /tmp


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _lock(handle: int, wait: bool) -> bool:
    """Returns whether it is locked now; with ``wait`` after whatever time that takes."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
