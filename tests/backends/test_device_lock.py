from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from latbench.backends.device_lock import exclusive, lock_path

ROOT = Path(__file__).parents[2]

# Enters, says so, and leaves when it is told to.
HOLDER = """
import sys
from latbench.backends.device_lock import exclusive
with exclusive(sys.argv[1]):
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def device() -> Iterator[str]:
    name = f"0000:{uuid.uuid4().hex[:8]}:00.0"
    yield name
    lock_path(name).unlink(missing_ok=True)


def holder(device: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, device],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def enter(device: str, entered: threading.Event) -> threading.Thread:
    def inside() -> None:
        with exclusive(device):
            entered.set()

    thread = threading.Thread(target=inside, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("die", [False, True], ids=["leaves", "dies"])
def test_processes_take_turns(device: str, die: bool) -> None:
    with holder(device) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        entered = threading.Event()
        thread = enter(device, entered)
        assert not entered.wait(0.2)
        if die:
            other.kill()
        else:
            other.communicate("\n", timeout=20)
        assert entered.wait(20)
        thread.join(20)


def test_threads_take_turns(device: str) -> None:
    entered = threading.Event()
    with exclusive(device):
        thread = enter(device, entered)
        assert not entered.wait(0.2)
    assert entered.wait(20)
    thread.join(20)


def test_devices_do_not_wait_for_each_other(device: str) -> None:
    with exclusive(device), exclusive(device + "1"):
        lock_path(device + "1").unlink()


def test_an_error_inside_lets_the_next_one_in(device: str) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(device):
        raise ZeroDivisionError
    with exclusive(device):
        pass


def test_a_file_of_another_user_can_be_locked(device: str) -> None:
    path = lock_path(device)
    path.touch(mode=0o444)
    with exclusive(device):
        assert path.stat().st_size == 0


def test_the_name_is_one_file_name(device: str) -> None:
    assert lock_path("a/../b:1").name == "latbench-device-a-..-b-1.lock"
