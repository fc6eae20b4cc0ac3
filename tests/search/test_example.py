"""``docs/search-example.md`` does what it says, in Python and on the command line."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from doc_pages import DOCS, blocks, commands
from sklearn.datasets import load_digits

from latbench.cli.app import run

PAGE = DOCS / "search-example.md"
METHODS = ("darts", "pc-darts", "gdas")
FEW = ("darts", "gdas")  # of the quick page
FAKE = "latbench.testing.fake:CostModelBackend"
# The page's own words, and what is quick.
QUICK = {
    "python": {
        "NETWORKS, IMAGES, EPOCHS = 40, 256, 4": "NETWORKS, IMAGES, EPOCHS = 12, 64, 1",
        'make_backend("onnxruntime", threads=1)': f'make_backend("{FAKE}")',
        'for method in ("darts", "pc-darts", "gdas")': 'for method in ("darts", "gdas")',
    },
    "sh": {
        "--backend onnxruntime --option threads=1 -n 40": f"--backend {FAKE} -n 20",
        "--predictor mlp": "--predictor ridge-counts",
        "--data digits": "--data few.npz",
        "epochs=2": "epochs=1",
    },
}
FOUND = re.compile(
    r"(\S+) +(weight|target): predicted ([\d.]+) us, (\d+)% of the reference, "
    r"entropy ([\d.]+), kept: (\w+)"
)
SIZES = [pytest.param(True, id="quick"), pytest.param(False, id="whole", marks=pytest.mark.slow)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.reshape(-1, 8, 8) / 16
    np.savez("few.npz", x_train=pixels[:64], y_train=labels[:64], x_test=pixels[64:128],
             y_test=labels[64:128])  # fmt: skip
    return tmp_path


def page(language: str, quick: bool) -> str:
    """All blocks in a language, as one text."""
    text = "\n".join(blocks(PAGE, language))
    for long, short in QUICK[language].items() if quick else ():
        assert long in text
        text = text.replace(long, short)
    return text


@pytest.mark.parametrize("quick", SIZES)
def test_in_python(quick: bool, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "example.py").write_text(page("python", quick))
    names = runpy.run_path("example.py")
    out = capsys.readouterr().out
    rows = FOUND.findall(out)
    methods = FEW if quick else METHODS
    assert [row[:2] for row in rows] == [(m, g) for m in methods for g in ("weight", "target")]
    for _, goal, _, share, entropy, kept in rows:
        assert 0 < float(entropy) <= np.log(8)
        assert kept in ({"None"} if goal == "weight" else {"True", "False"})
        assert kept != "True" or int(share) <= 90
    assert set(names["found"]) == {(m, g) for m in methods for g in ("weight", "target")}
    # Each search has its own checkpoint; one network more than the sample was measured.
    assert len(list(place.glob("example/*/search.safetensors"))) == 2 * len(methods)
    assert str(names["derived"]) in out
    assert 0.2 < names["measured"] / names["model"].predict([names["derived"]])[0] < 5


@pytest.mark.filterwarnings("ignore:no derived network kept the target:UserWarning")
@pytest.mark.slow  # 18 s; the page's Python runs in the default suite, and every command elsewhere
@pytest.mark.parametrize("quick", SIZES)
def test_on_the_command_line(
    quick: bool, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = list(commands(page("sh", quick)))
    assert [c[0] for c in called] == ["measure", "fit", "search", "search", "search"]
    methods = METHODS[:1] if quick else METHODS  # tests/cli/test_search.py has them all
    called = called[: 2 + len(methods)]
    for command in called:
        monkeypatch.setattr(sys, "argv", ["latbench", *command])
        with pytest.raises(SystemExit) as stop:
            run()
        assert not stop.value.code, capsys.readouterr().err
    for method in methods:
        results = [
            json.loads(path.read_text())["result"]
            for goal in ("weight-1", "target-90%")
            for path in (place / "example-cli" / method).glob(f"*/{goal}/result.json")
        ]
        assert len(results) == 2
        for result in results:
            assert 0.2 < result["measured"] / result["predicted"] < 5
        assert [r["penalty_weight"] for r in results] == [1, 0]
        assert results[1]["target"] > 0
