"""Small ONNX files for tests, written in onnx' own text form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from latbench.importing.reading import Imported, read_onnx_bytes


def model(text: str, opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    """A model of a graph's text, with stored tensors by name."""
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    made = parser.parse_model(header + text)
    made.graph.initializer.extend(numpy_helper.from_array(w, n) for n, w in weights.items())
    return made


def read(text: str, opset: int = 17, **weights: np.ndarray) -> Imported:
    """What is read of a graph's text."""
    return read_onnx_bytes(model(text, opset, **weights).SerializeToString(), "a.onnx")


def kinds(imported: Imported) -> list[str]:
    """The layer kinds by name, in order."""
    return [type(layer.op).__name__ for layer in imported.network.layers]


def saved(folder: Path, made: onnx.ModelProto, name: str = "net.onnx") -> Path:
    """The file of a model."""
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Values from a normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
