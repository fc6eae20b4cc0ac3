from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.spaces import nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
CONFIG = SearchConfig(epochs=2, batch=32, channels=4, cells=1)


def test_every_epoch_is_logged_once(digits: ImageData, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def interrupt(epoch: SearchEpoch) -> None:
        raise KeyboardInterrupt

    out, logs = tmp_path / "out", tmp_path / "logs"
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, digits, CONFIG, directory=out, log_dir=logs, progress=interrupt)
    outcome = search(SPACE, digits, CONFIG, directory=out, log_dir=logs)
    seen = EventAccumulator(str(logs)).Reload()
    entropies = [(e.step, e.value) for e in seen.Scalars("search/entropy")]
    assert entropies == [(e.epoch, pytest.approx(e.entropy)) for e in outcome.history]
    assert "search/expected" not in seen.Tags()["scalars"]
    assert {"parameters/alpha", "probabilities"} <= set(seen.Tags()["histograms"])


def test_without_tensorboard_it_says_what_to_install(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = replace(CONFIG, epochs=1)
    with pytest.raises(UsageError, match=r"pip install 'latbench\[tensorboard\]'"):
        search(SPACE, digits, config, directory=tmp_path, log_dir=tmp_path / "logs")
