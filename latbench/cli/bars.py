"""Progress bars with rate and time left, for anything that reports how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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

from latbench.cli.common import messages

Step = Callable[[int, int, str], None]  # done, total, note
NamedStep = Callable[[str, int, int], None]  # name, done, total


class _Rate(TextColumn):
    """Finished items a minute."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{60 * speed:.0f}/min" if speed else "", style="dim")


def _display() -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), BarColumn(),
        MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("[dim]{task.fields[note]}"),
        console=messages, disable=not messages.is_terminal,
    )  # fmt: skip


class Bars:
    """Bars on standard error, several at once from several threads. Off a terminal, each prints a
    line when it is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._display = _display()
        self._open = 0

    @contextmanager
    def bar(self, description: str) -> Iterator[Step]:
        """A bar; call what it gives with ``(done, total, note)``."""
        with self._lock:
            if self._open == 0:
                # Finished bars stay on the screen; a new display must not draw them again.
                self._display = _display()
                self._display.start()
            self._open += 1
            display = self._display
            task = display.add_task(description, total=None, note="")
        last = (0, 0, "")

        def step(done: int, total: int, note: str = "") -> None:
            nonlocal last
            last = (done, total, note)
            display.update(task, completed=done, total=total, note=note)

        try:
            yield step
        finally:
            with self._lock:
                self._open -= 1
                if self._open == 0:
                    display.stop()
            if not messages.is_terminal:
                note = f" ({last[2]})" if last[2] else ""
                messages.print(f"{description}: {last[0]} of {last[1]}{note}", highlight=False)


def across(names: Sequence[str], step: Step) -> NamedStep:
    """One bar over named jobs of equal length that report (name, done, total)."""

    def report(name: str, done: int, total: int) -> None:
        step(names.index(name) * total + done, len(names) * total, name)

    return report
