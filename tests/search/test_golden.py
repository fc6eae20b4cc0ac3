"""Searches end as they did before spaces stated themselves by variables (2026-11-29).

``golden.json`` was written by the code of then (commit aa7f1e2): every loss of three steps and the
derived architecture, on 48 of scikit-learn's digits. A processor with other instructions rounds
otherwise: by 1e-7 in the second step on one with AVX2 alone (2026-11-30).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latbench.search import SearchConfig, bilevel, loop
from latbench.search.images.images import load_images
from latbench.search.training import path_training
from latbench.spaces import make_space

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.mark.parametrize("label", GOLDEN)
def test_three_steps_are_what_they_were(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, (name, method) = GOLDEN[label], label.split()
    cells = 3 if name == "darts" else 1
    size = 16 if name == "darts" else 8
    space = make_space(name, {"in_channels": 1, "resolution": size, "channels": 8, "cells": cells})
    data = load_images("digits", resolution=size, limit=48)
    config = SearchConfig(method=method, epochs=1, batch=8, channels=4, cells=cells, seed=3)
    losses, task_loss = list[float](), path_training.task_loss

    def spied(*given: Any, **named: Any) -> Any:
        loss, right = task_loss(*given, **named)
        losses.append(float(loss))
        return loss, right

    for module in (path_training, bilevel):
        monkeypatch.setattr(module, "task_loss", spied)
    found = loop.search(space, data, config, directory=tmp_path)
    assert losses == pytest.approx(golden["losses"], rel=1e-5)
    assert str(found.architecture) == golden["architecture"]
