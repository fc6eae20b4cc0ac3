"""Progress bars with rate and time left, for anything that reports how far it is."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Standard error, for people. A string is printed as it is: see latbench.cli.common.
messages = Console(stderr=True, markup=False, emoji=False, highlight=False)

Step = Callable[[int, int, str], None]  # done, total, note
NamedStep = Callable[[str, int, int], None]  # name, done, total


class ProgressBars(Protocol):
    """A protocol for drawing how far long work is; ``Bars`` is the one for terminals and
    notebooks."""

    def bar(self, description: str) -> AbstractContextManager[Step]:
        """Shows a bar, moved by calling what it gives with (done, total, note)."""


class _Rate(TextColumn):
    """Finished items a minute."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{60 * speed:.0f}/min" if speed else "", style="dim")


def _live() -> bool:
    """Returns whether bars can move: on a terminal, and in a notebook where rich has what it
    needs."""
    return messages.is_terminal or (messages.is_jupyter and find_spec("ipywidgets") is not None)


class Bars:
    """The bars on standard error, several at once from several threads. Where they cannot move,
    each prints a line every ``every_s`` seconds and one when it is done; nothing is seen unless
    ``shown``."""

    def __init__(self, shown: bool = True, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._shown = shown
        self._display = self._new()
        self._open = 0

    def _new(self) -> Progress:
        return Progress(
            SpinnerColumn(finished_text=Text("✓", style="green")),
            TextColumn("{task.description}", markup=False), BarColumn(),
            MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=messages, disable=not (self._shown and _live()),
        )  # fmt: skip

    @contextmanager
    def bar(self, description: str) -> Iterator[Step]:
        """Shows a bar; call what it gives with ``(done, total, note)``.

        A total of 0 with a note is one that is not known yet; the note says why.
        """
        with self._lock:
            if self._open == 0:
                # Finished bars stay on the screen; a new display must not draw them again.
                self._display = self._new()
                self._display.start()
            self._open += 1
            display = self._display
            task = display.add_task(description, total=None, note="")
        last: tuple[int, int, str] | None = None
        begin = said = time.monotonic()
        before = 0  # what was done when it began

        def step(done: int, total: int, note: str = "") -> None:
            nonlocal last, said, begin, before
            unknown, news = bool(note) and not total, last is None or last[2] != note
            if last is not None and last[1] and last[1] != total:  # other things are counted now
                begin, before = time.monotonic(), done
            last = (done, total, note)
            display.update(task, completed=done, total=None if unknown else total, note=note)
            if unknown and news:
                self._say(description, last)
            now = time.monotonic()
            if now - said >= self._every_s and done < total and (done or note):
                said = now
                more = done - before
                left_s = (now - begin) * (total - done) / more if more else 0.0
                left = f", about {math.ceil(left_s / 60)} min left" if more else ""
                self._say(description, last, left)

        try:
            yield step
        finally:
            with self._lock:
                self._open -= 1
                if self._open == 0:
                    display.stop()
            if last is not None:
                self._say(description, last)

    def _say(self, description: str, last: tuple[int, int, str], left: str = "") -> None:
        """A line for a bar that cannot move."""
        if self._shown and not _live():
            done, total, note = last
            counts = f"{done} of {total}" if total else "" if note else "nothing to do"
            noted = f" ({note})" if counts and note else note
            said = f"{description}: {counts}{noted}{left}"
            messages.print(said, soft_wrap=True)


def across(names: Sequence[str], step: Step) -> NamedStep:
    """Moves one bar over named jobs of equal length that report (name, done, total)."""

    def report(name: str, done: int, total: int) -> None:
        step(names.index(name) * total + done, len(names) * total, name)

    return report


class _Doing(Protocol):
    """How far a campaign is."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def note(self) -> str: ...


def of_campaign(step: Step) -> Callable[[_Doing], None]:
    """Shows a campaign's progress on a bar, with what there is to say about it."""
    return lambda progress: step(progress.done, progress.total, progress.note)
