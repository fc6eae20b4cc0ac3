"""Tables break no word and lose no text, at any width."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from latbench.cli.common import show
from latbench.cli.rich_tables import Column, print_table
from latbench.spaces import darts, known_name, nasbench201

Cli = Callable[..., tuple[int, str, str]]
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
OTHER = CELL.replace("3x3", "1x1")


def drawn(columns: Sequence[Column], width: int, title: str = "") -> str:
    """What a terminal of that width shows."""
    file = io.StringIO()
    print_table(Console(file=file, width=width, force_terminal=True, color_system=None),
                title, columns)  # fmt: skip
    return Text.from_ansi(file.getvalue()).plain


def table(**columns: Sequence[str]) -> list[Column]:
    return [Column(name.replace("_", " "), tuple(cells)) for name, cells in columns.items()]


def test_architectures_that_do_not_fit_are_numbered_and_listed_to_be_copied() -> None:
    columns = table(architecture=[CELL, "DARTS_V2", OTHER, CELL], latency=["1 ms"] * 4)
    out = drawn(columns, 80)
    assert re.findall(r"│ (\w+) +│ 1 ms", out) == ["1", "DARTS_V2", "2", "1"]
    assert out.splitlines()[-2:] == [f"1  {CELL}", f"2  {OTHER}"]
    assert f"│ {OTHER} │ 1 ms    │" in drawn(columns, 120)


def test_a_note_with_an_address_is_pointed_at_and_a_plain_note_wraps_between_words() -> None:
    note = "install it, see https://pytorch.org/get-started/locally/"
    plain = "the Python package is not installed; install it " * 2
    out = drawn(table(backend=["torch-eager", "tensorrt"], note=[note, plain]), 50)
    assert re.search(r"torch-eager │ see 1 ", out)
    assert out.splitlines()[-1] == f"1  {note}"
    assert "│ tensorrt    │ the Python package" in out


def test_what_is_too_wide_wraps_between_words() -> None:
    figures = {f"metric_{i}": ["11.62 % (8.88 – 14.39)", f"{i}.00 %"] for i in range(5)}
    out = drawn(table(predictor=["ridge-one-hot", "mlp"], **figures), 80)
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("ridge-one-hot") == 1
    assert out.count("11.62") == out.count("14.39)") == 5


def test_where_words_would_break_every_row_stands_upright() -> None:
    columns = {f"condition_{i}": ["long-and-unbroken", "another"] for i in range(8)}
    out = drawn(table(name=["first", "second"], **columns), 80)
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("long-and-unbroken") == 8
    assert out.count("condition 7 │ ") == 2


def test_nothing_that_a_pipe_gets_is_wrapped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    code, out, _ = cli("sample", "--space", "darts", "-n", "2")
    architectures = [str(a) for _, a in darts().unique_samples(0, 2)]
    assert code == 0
    assert all(any(a in line and line.endswith("│") for line in out.splitlines())
               for a in architectures)  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    assert f"2  {architectures[1]}" in cli("sample", "--space", "darts", "-n", "2")[1].splitlines()


def test_a_published_architecture_goes_by_its_name(cli: Cli) -> None:
    assert known_name(str(darts().parse("PC_DARTS_CIFAR"))) == "PC_DARTS_CIFAR"
    assert known_name(str(nasbench201().reference())) == CELL
    assert re.search(r"reference +│ DARTS_V2 ", cli("space")[1])
    assert '"value": "normal:|sep_conv_3x3~0' in cli("space", "--json")[1]


CELLS = st.text("ab7~[]/: ", max_size=20)


@given(data=st.data(), width=st.integers(60, 160))
@settings(deadline=None, max_examples=60)
def test_no_character_is_ever_lost(data: st.DataObject, width: int) -> None:
    rows = data.draw(st.integers(1, 4))
    cells = st.lists(CELLS, min_size=rows, max_size=rows)
    columns = [
        Column(f"h{i}", tuple(data.draw(cells))) for i in range(data.draw(st.integers(1, 6)))
    ]
    out = drawn(columns, width)
    for sign in "ab7~[]/:":
        expected = sum(cell.count(sign) for c in columns for cell in c.cells)
        assert out.count(sign) == expected
    assert max(map(len, out.splitlines())) <= width


def test_keys_become_headings_and_names_within_headings_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([{"median_latency_s": "1 ms", "Spearman trace_rt:TraceRT": "0.9"}], as_json=False)
    out = capsys.readouterr().out
    assert "median latency ┃" in out
    assert "Spearman trace_rt:TraceRT" in out
