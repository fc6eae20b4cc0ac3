"""Saved predictors and the versions of what they read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from quick_predictors import QUICK

from latbench.errors import ParseError
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.store.dataset import LatencyDataset


@pytest.mark.parametrize("name", ["ridge-layers", "gnn", "mlp", "ridge-one-hot", "ridge-cost"])
def test_a_model_from_before_encodings_had_versions(
    name: str, dataset: LatencyDataset, tmp_path: Path
) -> None:
    """Those of the encodings that have changed since are refused, the others are read."""
    model = LatencyModel.fit(dataset, make_predictor(name, **QUICK.get(name, {})))
    model.save(tmp_path / "m")
    path = tmp_path / "m" / "card.json"
    card = json.loads(path.read_text())
    assert card.pop("format_version") == 2
    changed = card.pop("encoding_version") != 1
    assert changed == (card["encoding"] in ("layers", "graph"))
    path.write_text(json.dumps(card | {"format_version": 1}))
    if changed:
        with pytest.raises(ParseError, match=r"version 1 of the .*; fit it again from its store$"):
            LatencyModel.load(tmp_path / "m")
        return
    loaded = LatencyModel.load(tmp_path / "m")
    expected = model.predict(dataset.architectures)
    assert np.array_equal(loaded.predict(dataset.architectures), expected)
    loaded.save(tmp_path / "again")
    again = json.loads((tmp_path / "again" / "card.json").read_text())
    assert (again["format_version"], again["encoding_version"]) == (2, 1)
