from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from own_spaces import small_blocks

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.spaces import AnySpace, nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
CONFIG = SearchConfig(epochs=2, batch=32, channels=4, cells=1)


CHAIN = small_blocks(in_channels=1, classes=10, resolutions=(8,), resolution=8)


@pytest.mark.parametrize(
    ("space", "method", "option"),
    [(SPACE, "darts", "odds/1.0/nor_conv_3x3"), (CHAIN, "dmasking", "odds/1.width/12")],
)
def test_every_epoch_is_logged_once(
    space: AnySpace, method: str, option: str, digits: ImageData, tmp_path: Path
) -> None:
    """With the odds of every option."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(CONFIG, method=method)

    def interrupt(epoch: SearchEpoch) -> None:
        raise KeyboardInterrupt

    out, logs = tmp_path / "out", tmp_path / "logs"
    with pytest.raises(KeyboardInterrupt):
        search(space, digits, config, directory=out, log_dir=logs, progress=interrupt)
    outcome = search(space, digits, config, directory=out, log_dir=logs)
    seen = EventAccumulator(str(logs)).Reload()
    entropies = [(e.step, e.value) for e in seen.Scalars("search/entropy")]
    assert entropies == [(e.epoch, pytest.approx(e.entropy)) for e in outcome.history]
    assert "search/expected" not in seen.Tags()["scalars"]
    assert {"parameters/alpha", "probabilities"} <= set(seen.Tags()["histograms"])
    told = [tag for tag in seen.Tags()["scalars"] if tag.startswith("odds/")]
    assert len(told) == sum(map(len, outcome.probabilities.values()))
    _, name, value = option.split("/")
    place = space.forest[name].options.index(value) - len(space.forest[name].options)
    assert [e.step for e in seen.Scalars(option)] == [0, 1]
    assert seen.Scalars(option)[-1].value == pytest.approx(outcome.probabilities[name][place])


def test_without_tensorboard_it_says_what_to_install(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = replace(CONFIG, epochs=1)
    with pytest.raises(UsageError, match=r"pip install 'latbench\[tensorboard\]'"):
        search(SPACE, digits, config, directory=tmp_path, log_dir=tmp_path / "logs")
