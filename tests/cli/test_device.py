"""``latbench device`` and what ``latbench backends`` says about a GPU, as a user sees them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from latbench.cli.app import run


def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["latbench", *words])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stop:
        run()
    out, err = capsys.readouterr()
    assert not stop.value.code, err
    return out


def test_device_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = json.loads(cli(capsys, monkeypatch, "device", "--json"))
    assert {"cpu", "cores", "governor", "memory_gib", "versions", "throttling"} <= set(shown)
    assert set(shown["throttling"]) == {"sources", "reasons"}


def test_device_as_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = cli(capsys, monkeypatch, "device")
    for word in ("governor", "versions.torch", "throttling"):
        assert word in shown


def test_a_p100_is_shown(with_p100: Callable[..., Any]) -> None:
    code = (
        "import sys; from latbench.cli.app import run; "
        "sys.argv = ['latbench', 'device', '--json']; run()"
    )
    shown = with_p100(code, reasons=0x4)
    (gpu,) = shown["gpus"]
    assert (gpu["name"], gpu["compute_capability"]) == ("Tesla P100-PCIE-16GB", "6.0")
    assert "GPU 0: power cap" in shown["throttling"]["reasons"]


def test_backends_are_asked_for_cuda(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {r["backend"]: r for r in json.loads(cli(capsys, monkeypatch, "backends", "--json"))}
    for name in ("onnxruntime provider=cuda", "torch-eager device=cuda"):
        assert rows[name]["ready"] or rows[name]["note"]


def test_a_remedy_in_brackets_is_shown_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = next(
        r
        for r in json.loads(cli(capsys, monkeypatch, "backends", "--json"))
        if r["backend"] == "onnxruntime provider=cuda"
    )
    if "latbench[cuda]" not in row["note"]:
        pytest.skip("onnxruntime-gpu is installed here")
    assert "latbench[cuda]" in cli(capsys, monkeypatch, "backends")
