"""Users' own networks: how fast ONNX files are read and answered, and how alike they are computed.

    python benchmarks/onnx_files.py [--backend NAME ...] [--quick] [--json FILE]

- reading ResNet-50's file (layers and shapes, weights invented, no runtime), in this process,
- ``latbench measure --onnx`` of SqueezeNet's file in a process of its own, from nothing to the
  answer,
- the largest difference of any output from plain ONNX Runtime's on the same file, over the graphs
  that ``onnx`` ships, on every backend that is ready; what a backend refuses is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from harness import Figure, Outcome, figure, main

from latbench.backends import list_backends, make_backend
from latbench.errors import LatbenchError
from latbench.export.parity import parity
from latbench.models import Model

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
FILES = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet",
    "squeezenet", "vgg19", "zfnet512",
)  # fmt: skip
QUICK = ("shufflenet", "squeezenet")
ALIKE, READ_S, ANSWER_S = 1e-4, 1.0, 10.0
COMPILERS = ("torch-compile", "executorch")  # minutes for one network


def file_of(name: str) -> Path:
    """The file of a published graph."""
    return LIGHT / f"light_{name}.onnx"


def read_seconds(name: str, repeats: int) -> list[float]:
    """How long reading takes, with every import done."""
    Model.from_onnx(file_of("squeezenet"))
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        Model.from_onnx(file_of(name))
        found.append(time.perf_counter() - start)
    return found


def answer_seconds(name: str) -> float:
    """How long the command takes from nothing to its answer."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "latbench", "measure", "--onnx", str(file_of(name)),
            "--store", str(Path(folder) / "s.sqlite"),
        ]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ)
        return time.perf_counter() - start


def differences(backend: str, models: list[Model]) -> tuple[list[float], list[str]]:
    """How far a backend is off in the files that it takes, and the names of the others."""
    runtime, found, refused = make_backend(backend), list[float](), list[str]()
    for model in models:
        try:
            with runtime.load(model) as session:
                session.run()
                found.append(parity(model, session.outputs(), runtime.tolerance)[0])
        except LatbenchError as error:
            refused.append(f"{model.name}: {error}")
    return found, refused


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All of it."""
    names = QUICK if quick else FILES
    large = names[0] if quick else "resnet50"
    seconds = read_seconds(large, 3 if quick else 10)
    shown: list[Figure] = [
        figure(
            f"{large}'s file: reading", float(np.median(seconds)), "s", len(seconds),
            at_most=READ_S,
        ),
        figure(
            "SqueezeNet's file: `measure --onnx` from nothing", answer_seconds("squeezenet"), "s",
            1, at_most=ANSWER_S,
        ),
    ]  # fmt: skip
    models = [Model.from_onnx(file_of(name)) for name in names]
    ready = [b for b, found in list_backends() if found.ready and b not in COMPILERS]
    for backend in arguments.backend or (["onnxruntime"] if quick else ready):
        found, refused = differences(backend, models)
        shown.append(
            figure(f"{backend}: largest difference of an output", max(found, default=float("nan")),
                   "share", len(found), at_most=ALIKE)
        )  # fmt: skip
        for sentence in refused:
            print(f"{backend} refused {sentence}")
    return Outcome(shown, None)


def options(parser: argparse.ArgumentParser) -> None:
    """The options besides those of every benchmark."""
    parser.add_argument("--backend", action="append", help="this one only; repeatable")


if __name__ == "__main__":
    main("Users' own networks", benchmark, options)
