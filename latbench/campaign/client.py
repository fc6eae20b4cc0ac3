"""The campaign's end of a worker: starts it, asks it, and notices when it dies or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from latbench.errors import BackendError, LatbenchError
from latbench.models.network_json import imported_modules
from latbench.plugins import TRUST, trusted_modules


class WorkerDied(LatbenchError):
    """The worker subprocess ended or hung while it was asked something."""


class RequestFailed(LatbenchError):
    """The worker answered with an error; it is still alive."""


def _describe_exit(code: int | None, log: str) -> str:
    if code is None:
        text = "the worker closed its channel"
    elif code < 0:
        name = signal.Signals(-code).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        text = f"the worker was killed by {name}{hint}"
    else:
        text = f"the worker exited with code {code}"
    return f"{text}; it last printed: {log}" if log else text


class WorkerClient:
    """One worker subprocess. ``close`` (or leaving the context) ends it."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        environment = dict(os.environ)
        # The child must find this very latbench, also when it is not installed.
        here = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(
            [*filter(None, [environment.get("PYTHONPATH")]), here]
        )
        environment[TRUST] = ",".join(sorted({*trusted_modules(), *imported_modules()}))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "latbench.campaign.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._buffer = b""

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def cpu_s(self) -> float:
        """Returns the processor time that the worker has taken so far; 0 when it is gone."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def ask(self, command: str, timeout_s: float, **request: Any) -> dict[str, Any]:
        """Sends one request and waits for its reply.

        Raises RequestFailed when the worker reports an error, WorkerDied when it ends or does not
        answer within ``timeout_s`` seconds (it is killed then).
        """
        assert self._process.stdin is not None
        try:
            line = json.dumps({"command": command, **request}) + "\n"
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except (BrokenPipeError, OSError) as error:
            raise self._died() from error
        reply: dict[str, Any] = json.loads(self._read_line(time.monotonic() + timeout_s, timeout_s))
        if "error" in reply:
            raise RequestFailed(reply["error"])
        return reply

    def _read_line(self, deadline: float, timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                self._process.kill()
                raise WorkerDied(f"no answer within {timeout_s:g} s; the worker was killed")
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise self._died()
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _died(self) -> WorkerDied:
        try:
            code: int | None = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = None
        return WorkerDied(_describe_exit(code, self._last_words()))

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def close(self) -> None:
        """Ends the worker and waits for it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # a broken pipe, flushed
                    stream.close()
        self._selector.close()
        self._log.close()


def start_worker(timeout_s: float, **request: Any) -> tuple[WorkerClient, dict[str, Any]]:
    """Starts a worker with its backend and canary loaded; returns it and what it says of its
    device.

    Raises BackendError when the backend cannot even run the canary.
    """
    worker = WorkerClient()
    try:
        return worker, worker.ask("start", timeout_s, **request)
    except (RequestFailed, WorkerDied) as error:
        worker.close()
        raise BackendError(
            f"backend {request['backend']!r} could not time the canary network: {error}"
        ) from error
    except BaseException:
        worker.close()
        raise
