"""A torch module, measured as layers, is written as torch code again."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from importing.torch_networks import Encoder

from latbench.models import Model, export_model


@pytest.mark.slow  # torch exports the module, which takes seconds
def test_a_transformer_of_a_torch_module(tmp_path: Path) -> None:
    ids = torch.randint(0, 99, (1, 12))
    mask = (torch.arange(12) < 9).long()[None]
    given = (ids, mask, torch.zeros_like(ids))
    module = Encoder().eval()
    model = Model.from_torch(module, *given)
    paths: dict[str, Any] = {
        "onnx": tmp_path / "a.onnx", "torch": tmp_path / "a.py",
        "weights": tmp_path / "a.safetensors",
    }  # fmt: skip
    found = export_model(model, **paths)
    assert max(found.onnx_error or 0, found.torch_error or 0) < 1e-5
    assert paths["onnx"].read_bytes() == model.source
    text = paths["torch"].read_text()
    assert text.count("class ") == 3  # of attention, of products, and the network
    net = runpy.run_path(str(paths["torch"]))["load"](str(paths["weights"]))
    with torch.inference_mode():
        for got, expected in zip(net(*given), module(*given), strict=True):
            np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
    said = subprocess.run(
        [sys.executable, paths["torch"], paths["weights"]], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert said.stdout == "(1, 12, 48) (1, 48)\n"
