"""What a shell offers after a tab, by the protocol that `--install-completion` sets up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RUN = """
import sys
sys.argv = ["latbench"]
from latbench.__main__ import main
try:
    main()
finally:
    print(*(m for m in ("torch", "sklearn", "onnx", "scipy") if m in sys.modules), file=sys.stderr)
"""


def offered(line: str) -> list[str]:
    """The words offered for the last one of a line, in bash; nothing heavy was imported for it."""
    words = line.split(" ")
    environment = os.environ | {
        "_LATBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip()
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("latbench mea", {"measure", "measure-actively"}),
        ("latbench measure --back", {"--backend"}),
        ("latbench measure --backend onn", {"onnxruntime"}),
        ("latbench compare-backends --backend torch-", {"torch-compile", "torch-eager"}),
        ("latbench fit --predictor mlp", {"mlp", "mlp-ensemble", "mlp-one-hot"}),
        ("latbench measure --space n", {"nasbench201", "nats-size"}),
        ("latbench measure --network mobilenet_v1", {"mobilenet_v1"}),
        ("latbench show mobilenet_v1", {"mobilenet_v1"}),
        ("latbench search --method p", {"pc-darts", "proxylessnas"}),
        ("latbench search --method s", {"single-path"}),
        ("latbench fit --metric e", {"energy"}),
    ],
)  # fmt: skip
def test_names_are_offered(line: str, words: set[str]) -> None:
    assert set(offered(line)) == words
