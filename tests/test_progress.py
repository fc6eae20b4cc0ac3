"""Progress where bars cannot move: a line when the work is done, or nothing at all."""

from __future__ import annotations

import pytest

from latbench import progress as bars
from latbench.campaign import Progress
from latbench.progress import Bars, messages, of_campaign


def test_off_a_terminal_a_line_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().bar("work") as step:
        of_campaign(step)(Progress(done=3, total=7, failed=2))
    assert capsys.readouterr().err == "work: 3 of 7 (2 failed)\n"


def test_off_a_terminal_a_line_now_and_then_says_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bars(every_s=0.0).bar("work") as step:
        for done in (0, 1, 4):
            step(done, 4, "")
    first, last = capsys.readouterr().err.splitlines()
    assert first == "work: 1 of 4, about 1 min left"
    assert last == "work: 4 of 4"


def test_what_is_known_before_the_first_is_done_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bars(every_s=0.0).bar("search") as step:
        step(0, 8, "")
        step(0, 8, "about 3 min left")
        step(8, 8, "")
    assert capsys.readouterr().err == "search: 0 of 8 (about 3 min left)\nsearch: 8 of 8\n"


def test_a_campaign_that_waits_for_another_one_says_so_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bars().bar("work") as step:
        report = of_campaign(step)
        report(Progress(0, 0, 0, waiting=True))
        assert capsys.readouterr().err == "work: waiting for another campaign on this device\n"
        report(Progress(0, 7, 0))
        report(Progress(7, 7, 0))
    assert capsys.readouterr().err == "work: 7 of 7\n"


def test_a_bar_that_waited_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_force_terminal", True)
    shown = Bars()
    with shown.bar("work") as step:
        step(0, 0, "waiting")
        (task,) = shown._display.tasks
        assert (task.total, task.finished) == (None, False)
        step(1, 2, "")
        assert (task.total, task.finished) == (2, False)


def test_nothing_to_do_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().bar("work") as step:
        step(0, 0, "")
    assert capsys.readouterr().err == "work: nothing to do\n"


def test_what_never_began_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Bars().bar("work"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


def test_nothing_is_seen_unless_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(shown=False).bar("work") as step:
        step(3, 7, "")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_has_bars_where_it_has_widgets(
    widgets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "is_jupyter", True)
    monkeypatch.setattr(bars, "find_spec", lambda name: object() if widgets else None)
    assert bars._live() == widgets
    assert Bars()._new().disable != widgets
    assert Bars(shown=False)._new().disable
