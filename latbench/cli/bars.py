"""Progress bars with rate and time left, for anything that reports how far it is."""

from __future__ import annotations

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


class Bars:
    """Draws one bar at a time on standard error. Off a terminal it prints a line for each bar."""

    @contextmanager
    def bar(self, description: str) -> Iterator[Step]:
        """A bar; call what it gives with ``(done, total, note)``."""
        columns = (
            SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), BarColumn(),
            MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(), TextColumn("[dim]{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=messages, disable=not messages.is_terminal) as progress:
            task = progress.add_task(description, total=None, note="")
            last = [0, 0, ""]

            def step(done: int, total: int, note: str = "") -> None:
                last[:] = [done, total, note]
                progress.update(task, completed=done, total=total, note=note)

            yield step
        if not messages.is_terminal:
            note = f" ({last[2]})" if last[2] else ""
            messages.print(f"{description}: {last[0]} of {last[1]}{note}", highlight=False)


def across(names: Sequence[str], step: Step) -> NamedStep:
    """One bar over named jobs of equal length that report (name, done, total)."""

    def report(name: str, done: int, total: int) -> None:
        step(names.index(name) * total + done, len(names) * total, name)

    return report
