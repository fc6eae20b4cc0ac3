"""``docs/own-predictor.md``: its files and commands do what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import follow
from stored import SPACE, make_set, row

from latbench.errors import ParseError
from latbench.predictors.model import LatencyModel
from latbench.store import Store


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    with Store(tmp_path / "sample.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        for i in range(24):
            store.add(number, row(i, factor=1 + i / 7))
    out = follow("own-predictor.md", tmp_path)
    assert len(out.splitlines()[0].strip("[]").split()) == 3  # of try_it.py
    assert out.count("mean_predictor:Proportional") >= 2
    assert "saved in models/mine" in out
    with pytest.raises(ParseError, match="LATBENCH_TRUST=mean_predictor"):
        LatencyModel.load(tmp_path / "models" / "mine")
