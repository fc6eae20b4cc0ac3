"""What others wrote is printed as it is: brackets are no markup, colons no emoji."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doc_pages import DOCS, files_of
from rich.console import Console
from stored import make_set, row

from latbench import progress as bars_module
from latbench.cli import common
from latbench.cli.common import show
from latbench.cli.rich_tables import Styled
from latbench.progress import Bars
from latbench.spaces import parse_space
from latbench.store import Store

Cli = Callable[..., tuple[int, str, str]]
# Opens a style, closes one that nobody opened, is an emoji.
DEVICE, LABEL = "[b]GPU[/] [/x] :key:", "[/]:x:"
SPACE = "bracketed:Bracketed(channels=4, stages=1, resolution=8)"
BACKEND = "bracketed:Labelled"
# The space of docs/own-space.md in a notation with brackets, and a backend with an option of text.
PLUGIN = f"""
import dataclasses, re
import my_space
from latbench.errors import ParseError
from latbench.testing.fake import FakeSession
from latbench.backends.base import Availability, Backend

class Bracketed(my_space.MySpace):
    def text(self, architecture):
        return "[a]|" + "|".join(f"[k{{k}}]" for k in architecture.code)
    def parse(self, text):
        found = re.fullmatch(r"\\[a\\]((\\|\\[k-?\\d\\]){{6}})", text)
        if not found: raise ParseError(f"{{text}} is no chain such as {{self.reference()}}")
        return self.of(tuple(map(int, re.findall(r"-?\\d", found[1]))))

@dataclasses.dataclass(frozen=True)
class Labelled(Backend):
    name = "labelled"
    simulated = True
    label: str = ""
    def device_name(self): return {DEVICE!r}
    def availability(self): return Availability(True, {LABEL!r})
    def load(self, model): return FakeSession(model, 1e-4 + 1e-10 * model.network.macs)
"""


def bare(text: str) -> str:
    """Without the white space that a terminal's width puts in."""
    return re.sub(r"[\s│┃]+", "", text)


@pytest.fixture
def plugin(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space and the backend, where Python finds them."""
    (tmp_path / "my_space.py").write_text(files_of(DOCS / "own-space.md")["my_space.py"])
    (tmp_path / "bracketed.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_space", "bracketed"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("LATBENCH_TRUST", "bracketed")


@pytest.mark.slow
def test_measure_shows_what_others_named(cli: Cli, plugin: None) -> None:
    measure = ("measure", "--space", SPACE, "--backend", BACKEND, "--option", f"label={LABEL}")
    code, out, err = cli(*measure, "-n", "2")
    assert code == 0, err
    assert f"label={LABEL}" in out
    assert bare(DEVICE) in bare(out)


@pytest.mark.parametrize("width", [None, "70"])
def test_commands_show_what_others_named(
    cli: Cli, plugin: None, monkeypatch: pytest.MonkeyPatch, width: str | None
) -> None:
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    space, device = parse_space(SPACE), bare(DEVICE)
    network = str(space.reference())
    described = {
        "backend": BACKEND, "device": DEVICE, "options": {"label": LABEL}, "canary": network,
    }  # fmt: skip
    with Store("s.sqlite", space) as opened:
        number = opened.add_set(make_set(**described))
        for index in range(24):
            named = str(space.unrank(index))
            opened.add(number, row(index, architecture=named, factor=1 + index / 24))
            opened.add(number, row(index, 1, architecture=named, factor=1 + index / 23))
        failed = row(24, architecture=str(space.unrank(24)), status="failed", estimate=None,
                     stop=None, visits=(), error=LABEL)  # fmt: skip
        opened.add(number, failed)
    ridge = ("--store", "s.sqlite", "--predictor", "ridge-cost")
    shown = {
        ("space", SPACE): [network],
        ("sample", "--space", SPACE, "-n", "2"): [str(space.sample(0, 0))],
        ("store", "s.sqlite"): [f"label={LABEL}", device],
        ("changes", "s.sqlite", "--sets", "1", "1"): ["[a]|[k", device],
        ("compare", *ridge): [device],
        ("fit", *ridge, "--out", "[m]"): [device, "[m]"],
        ("predict", "--model", "[m]", network): [network, device],
    }  # fmt: skip
    for command, texts in shown.items():
        code, out, err = cli(*command)
        assert code == 0, err
        for text in texts:
            assert bare(text) in bare(out), (command, out)
        assert f"1 x {LABEL}" in err or command[0] != "store"
    code, out, err = cli("measure", "--space", SPACE, "--backend", BACKEND, "[/x]")
    assert code == 2
    assert f"[/x] is no chain such as {network}" in err


@pytest.mark.parametrize(
    "command",
    [
        ("measure", "--backend", LABEL),
        ("space", LABEL),
        ("store", LABEL),
        ("fit", "--predictor", LABEL, "--out", "m"),
        ("measure", "--option", LABEL),
        ("run", LABEL),
        ("predict", "--model", LABEL, "-n", "1"),
        ("predict", "--model", "m", "--interval", LABEL),
    ],
)
def test_errors_name_what_was_typed(cli: Cli, command: tuple[str, ...]) -> None:
    code, _, err = cli(*command)
    assert code == 2
    assert LABEL in err
    assert "Traceback" not in err


def test_cells_headings_and_titles_are_plain_and_may_have_a_style(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=80, color_system="standard")
    monkeypatch.setattr(common, "console", terminal)
    rows = [{f"on {LABEL}": LABEL, "ready": Styled("yes", "green")} for _ in range(2)]
    show(rows, False, LABEL, {f"on {LABEL}": str, "ready": lambda cell: cell})
    out = file.getvalue()
    assert out.count(LABEL) == 4
    assert "\x1b[32myes" in out


def test_bars_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=200, color_system=None)
    monkeypatch.setattr(bars_module, "messages", terminal)
    with Bars().bar(LABEL) as step:
        step(1, 2, f"note {LABEL}")
    assert LABEL in file.getvalue()
    assert f"note {LABEL}" in file.getvalue()
