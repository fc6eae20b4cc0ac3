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
from latbench.cli.tables import Column, print_table
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


def sets(rows: int) -> list[Column]:
    """As ``latbench store`` lists them."""
    return table(
        set=[str(i + 1) for i in range(rows)],
        backend=["onnxruntime", "torch-compile", "torch-eager"][:rows],
        options=["defaults"] * rows, device=["AMD EPYC"] * rows, measured=["48"] * rows,
        failed=["0"] * rows, visits_rejected=["112", "96", "3"][:rows],
        noise_floor=["2.96 %"] * rows, canary=["0.2198 ms", "5.543 ms", "1.000 ms"][:rows],
    )  # fmt: skip


def test_a_table_that_fits_is_shown_whole() -> None:
    out = drawn(sets(3), 120)
    assert "in every row" not in out
    assert re.search(r"│ 2 +│ torch-compile │ defaults │ AMD EPYC │ 48 ", out)


def test_what_all_rows_share_stands_above_a_table_that_does_not_fit() -> None:
    out = drawn(sets(3), 80, "a store")
    lines = out.splitlines()
    assert lines[0] == "a store"
    assert lines[1].startswith("in every row: options: defaults; device: AMD EPYC; measured: 48;")
    assert max(map(len, lines)) <= 80
    assert re.search(r"│ 2 +│ torch-compile │ 96 +│ 5.543 ms +│", out)


def test_a_single_row_that_does_not_fit_stands_upright() -> None:
    out = drawn(sets(1), 80)
    assert "│ visits rejected │ 112         │" in out
    assert "in every row" not in out


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


def test_more_columns_than_fit_become_several_tables_with_the_first_column_in_each() -> None:
    figures = {f"metric_{i}": ["11.62 % (8.88 – 14.39)", f"{i}.00 % (8.98 – 14.49)"]
               for i in range(6)}  # fmt: skip
    out = drawn(table(predictor=["ridge-one-hot", "mlp"], **figures), 80)
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("│ ridge-one-hot │") == 3
    assert out.count("11.62 % (8.88 – 14.39)") == 6


def sweep(found_for: Sequence[str], goals: Sequence[str]) -> list[Column]:
    """As ``latbench search --sweep`` lists what it found."""
    figures = {f"on_backend_{i}": [f"{i}.{row}11 ms" for row in range(4)] for i in range(7)}
    return table(found_for=found_for, goal=goals, predicted=["0.2 ms"] * 3 + ["1 ms"], **figures)


def test_a_table_that_is_split_repeats_what_tells_its_rows_apart() -> None:
    backends, goals = ["onnxruntime", "torch-eager"] * 2, ["none", "none", "≤ 2 ms", "≤ 2 ms"]
    out = drawn(sweep(backends, goals), 80)
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("┃ found for") == out.count("┃ found for   ┃ goal   ┃") == 2
    assert len(re.findall("│ torch-eager │ ≤ 2 ms │", out)) == 2
    # As few as are needed: here the first column does.
    out = drawn(sweep(["a", "b", "c", "d"], goals), 60)
    assert out.count("│ d ") > 1
    assert out.count("goal") == 1


def test_rows_that_nothing_narrow_tells_apart_are_numbered() -> None:
    long = "twenty-six characters long"
    columns = table(a=[long] * 3, b=[long, long, long[::-1]], c=[long, "x", "x"], d=["1", "2", "3"])
    out = drawn(columns, 60)
    assert max(map(len, out.splitlines())) <= 60
    assert re.search(r"│ 3 +│ x +│ 3 │", out)
    assert out.count("┃ row ┃") > 1


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


def test_a_space_is_named_with_or_without_the_option(cli: Cli) -> None:
    code, out, _ = cli("space", "nasbench201", "--json")
    assert code == 0
    assert out == cli("space", "--space", "nasbench201", "--json")[1]
    assert '"value": "15,625"' in out
    code, _, err = cli("space", "nasbench201", "--space", "darts")
    assert code == 2
    assert "two spaces are named, 'nasbench201' and --space 'darts'" in " ".join(err.split())


WORDS = st.text("ab7~", min_size=1, max_size=40)
CELLS = st.lists(WORDS, min_size=0, max_size=6).map(" ".join)


@given(data=st.data(), width=st.integers(60, 160))
@settings(deadline=None, max_examples=60)
def test_no_word_is_ever_broken_or_lost(data: st.DataObject, width: int) -> None:
    rows = data.draw(st.integers(1, 4))
    cells = st.lists(CELLS, min_size=rows, max_size=rows)
    columns = [Column(f"h{i}", tuple(data.draw(cells)))
               for i in range(data.draw(st.integers(1, 8)))]  # fmt: skip
    out = drawn(columns, width)
    shown = set(re.split(r"[\s│;]+", out))
    for column in columns:
        for cell in column.cells:
            assert set(cell.split()) <= shown
    framed = [line for line in out.splitlines() if line[:1] in "┏┡└┌│┃"]
    assert max(map(len, framed)) <= width


def test_keys_become_headings_and_names_within_headings_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([{"median_latency_s": "1 ms", "Spearman trace_rt:TraceRT": "0.9"}], as_json=False)
    out = capsys.readouterr().out
    assert "median latency ┃" in out
    assert "Spearman trace_rt:TraceRT" in out
