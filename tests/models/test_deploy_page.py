"""``docs/deploy.md`` does what it says: a search's network, in plain ONNX Runtime."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, blocks, commands, files_of

from latbench.cli.app import run

PAGE = DOCS / "deploy.md"
# The page's own words, and what is quick.
QUICK = {
    "(8 16 24 32)": "(4 8)",
    "epochs=2": "epochs=1",
    "--train-epochs 5": "--train-epochs 2",
}
FEW = {":1400": ":200", "1400:": "1400:1500"}
SIZES = [pytest.param(True, id="quick"), pytest.param(False, id="whole", marks=pytest.mark.slow)]


@pytest.mark.parametrize("quick", SIZES)
def test_a_found_network_has_the_accuracy_that_was_printed(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files_of(PAGE).items():
        for long, short in FEW.items() if quick else ():
            text = text.replace(long, short)
        Path(name).write_text(text)
    runpy.run_path("images.py")
    script = re.sub(r"^python .*$", "", "\n".join(blocks(PAGE, "sh")), flags=re.MULTILINE)
    for long, short in QUICK.items() if quick else ():
        script = script.replace(long, short)
    for words in commands(script):
        monkeypatch.setattr(sys, "argv", ["latbench", *words])
        with pytest.raises(SystemExit) as stop:
            run()
        assert stop.value.code in (0, None), words
    out = capsys.readouterr().out
    assert "trained: found/counted/target-90%/model-0\n" in out
    (printed,) = set(re.findall(r"accuracy ([\d.]+%) on the test images of digits\.", out))
    assert f" {printed.removesuffix('%')} % " in out  # in the table of the search
    runpy.run_path("deployed.py")
    assert capsys.readouterr().out == f"accuracy {printed}, {printed} was told\n"
    monkeypatch.setattr(sys, "argv", ["net.py", "net.safetensors"])
    runpy.run_path("net.py", run_name="__main__")
    assert capsys.readouterr().out == "(1, 10)\n"


def test_the_python_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = blocks(PAGE, "python")
    exec(compile(text, str(PAGE), "exec"), {})  # noqa: S102
    onnx_error, torch_error = map(float, capsys.readouterr().out.split())
    assert max(onnx_error, torch_error) < 1e-5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.onnx", "mine.py"]
