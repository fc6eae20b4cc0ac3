from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from latbench import locks
from latbench.errors import UsageError
from latbench.locks import LOCK_DIR, sole_user, turn, turn_file

fcntl = pytest.importorskip("fcntl", reason="turns between processes need flock")
ROOT = Path(__file__).parents[1]

# Enters, says so, and leaves when it is told to. Background jobs of a shell, and what they start,
# ignore SIGINT.
HOLDER = """
import signal, sys
from latbench.locks import turn
signal.signal(signal.SIGINT, signal.default_int_handler)
with turn(sys.argv[1]):
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(LOCK_DIR, str(tmp_path / "locks"))
    return "0000:3b:00.0"


def holder(device: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, device],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def enter(device: str, entered: threading.Event) -> threading.Thread:
    def inside() -> None:
        with turn(device):
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
    with turn(device):
        thread = enter(device, entered)
        assert not entered.wait(0.2)
    assert entered.wait(20)
    thread.join(20)


def test_devices_do_not_wait_for_each_other(device: str) -> None:
    with turn(device), turn(device + "1"):
        pass


def test_an_error_inside_lets_the_next_one_in(device: str) -> None:
    with pytest.raises(ZeroDivisionError), turn(device):
        raise ZeroDivisionError
    with turn(device):
        pass


def test_a_file_of_another_user_can_be_locked(device: str) -> None:
    path = turn_file(device)
    path.parent.mkdir()
    path.touch(mode=0o444)
    with turn(device):
        assert path.stat().st_size == 0


def test_the_name_is_one_file_name(device: str, tmp_path: Path) -> None:
    assert turn_file("a/../b:1") == tmp_path / "locks" / "latbench-a-..-b-1.lock"


def test_who_has_to_wait_says_so_once(device: str) -> None:
    said: list[str] = []
    with turn(device, waiting=lambda: said.append("free")):
        pass
    waits, entered = threading.Event(), threading.Event()

    def waiting() -> None:
        said.append("taken")
        waits.set()

    def inside() -> None:
        with turn(device, waiting=waiting):
            entered.set()

    with holder(device) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        thread = threading.Thread(target=inside, daemon=True)
        thread.start()
        assert waits.wait(20)
        other.kill()
        assert entered.wait(20)
        thread.join(20)
    assert said == ["taken"]


def test_who_waits_can_be_interrupted(device: str) -> None:
    says = "turn(sys.argv[1], lambda: print('waits', flush=True))"
    code = HOLDER.replace("turn(sys.argv[1])", says)
    with (
        turn(device),
        subprocess.Popen(
            [sys.executable, "-c", code, device],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT,
        ) as other,
    ):  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "waits\n"
        other.send_signal(signal.SIGINT)
        out, error = other.communicate(timeout=20)
    assert (out, error.splitlines()[-1]) == ("", "KeyboardInterrupt")


def test_a_thread_that_is_inside_may_enter_again(device: str) -> None:
    entered = threading.Event()
    with turn(device):
        with turn(device):
            pass
        thread = enter(device, entered)
        assert not entered.wait(0.1)  # the inner one has not let anybody in
    assert entered.wait(20)
    thread.join(20)


def test_a_folder_of_locks_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(LOCK_DIR, str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"file.*set LATBENCH_LOCK_DIR to a folder"), turn("cpu"):
        pass


TAKEN = UsageError("it is taken")

SOLE = """
import sys
from pathlib import Path
from latbench import locks
from latbench.errors import UsageError
from latbench.locks import sole_user
with sole_user(Path(sys.argv[1]), UsageError("taken")):
    print("in", flush=True)
    sys.stdin.readline()
"""


def test_a_second_user_is_refused_until_the_first_one_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "store.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", SOLE, str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(UsageError, match="it is taken"), sole_user(place, TAKEN):
            pass
        other.kill()
        other.wait(20)
        with sole_user(place, TAKEN):
            assert not place.exists()


def test_nobody_is_let_in_by_a_file_that_its_last_user_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B opens A's file, A leaves and deletes it, B locks what was deleted, C a new one: two in."""
    place, opened = tmp_path / "store.sqlite", locks._open
    a = sole_user(place, TAKEN)
    a.__enter__()

    def slow(path: Path) -> int:
        monkeypatch.setattr(locks, "_open", opened)
        handle = opened(path)
        a.__exit__(None, None, None)
        return handle

    monkeypatch.setattr(locks, "_open", slow)
    b, c = sole_user(place, TAKEN), sole_user(place, TAKEN)
    with b, pytest.raises(UsageError, match="it is taken"), c:
        pass
    assert list(tmp_path.iterdir()) == []


def test_many_threads_are_inside_one_after_another(tmp_path: Path) -> None:
    inside, most, entered = 0, 0, 0

    def enter_often(_: int) -> None:
        nonlocal inside, most, entered
        for _ in range(200):
            with suppress(UsageError), sole_user(tmp_path / "a", TAKEN):
                inside += 1
                most, entered = max(most, inside), entered + 1
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter_often, range(4)))
    assert most == 1
    assert entered > 0
    assert list(tmp_path.iterdir()) == []


def test_one_process_is_refused_as_two_are(tmp_path: Path) -> None:
    with (
        sole_user(tmp_path / "a", TAKEN),
        sole_user(tmp_path / "b", TAKEN),
        pytest.raises(UsageError, match="it is taken"),
        sole_user(tmp_path / "a", TAKEN),
    ):
        pass


def test_where_the_file_system_has_no_locks_nobody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with sole_user(tmp_path / "a", TAKEN), sole_user(tmp_path / "a", TAKEN), turn("nobody"):
        pass
