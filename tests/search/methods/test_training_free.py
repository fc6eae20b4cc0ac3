"""Searches by scores of networks at fresh weights, and random ones, through the loop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor, nn

from latbench.search import LatencyPenalty, SearchConfig, SinglePath, TrainingFree, search
from latbench.search.baselines.proxies import naswot, synflow
from latbench.search.config import CHECKPOINT, SCORES
from latbench.search.images.images import ImageData, search_halves
from latbench.spaces import nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
METHOD = TrainingFree(budget=12, population=4, images=8)
CONFIG = SearchConfig(METHOD, epochs=3, batch=16, channels=4, cells=1)


class Convolutions(nn.Module):
    """1 ms, and 1 ms more for every edge with a convolution of 3 x 3."""

    def forward(self, x: Tensor) -> Tensor:
        return 1e-3 + 1e-3 * x.reshape(-1, 6, 5)[:, :, 3].sum(-1)


def scores(folder: Path) -> dict[str, float | None]:
    lines = map(json.loads, (folder / SCORES).read_text().splitlines()[1:])
    return {line["architecture"]: line["score"] for line in lines}


def test_the_best_score_within_the_limit_is_found_and_nothing_trained(
    digits: ImageData, tmp_path: Path
) -> None:
    config = replace(CONFIG, target=3e-3)
    penalty = LatencyPenalty(Convolutions(), 4e-3, 0.0, config.penalty_samples, 3e-3)
    found = search(SPACE, digits, config, penalty, directory=tmp_path)
    assert (found.history, found.met, found.course) == ((), True, {})
    known = scores(tmp_path)
    assert len(known) == METHOD.budget
    assert max(text.count("nor_conv_3x3") for text in known) == 2
    for text, score in known.items():
        assert score == synflow(SPACE.build(SPACE.parse(text))) or score is None
    best = max(known, key=lambda text: known[text] or float("-inf"))
    assert str(found.architecture) == best


def test_naswot_looks_at_images_that_no_weight_is_trained_on(
    digits: ImageData, tmp_path: Path
) -> None:
    config = replace(CONFIG, method=replace(METHOD, score="naswot", evolve=False))
    search(SPACE, digits, config, directory=tmp_path)
    _, other = search_halves(64, config.seed)
    images = digits.train_images[other[: METHOD.images]]
    known = scores(tmp_path)
    for text, score in known.items():
        assert score == naswot(SPACE.build(SPACE.parse(text)), images) or score is None
    assert any(score is not None for score in known.values())
    sample = [a for _, a in SPACE.unique_samples(0, METHOD.budget)]
    assert list(map(SPACE.parse, known)) == sample  # a random search


def test_it_goes_on_where_it_stopped(digits: ImageData, tmp_path: Path) -> None:
    straight = search(SPACE, digits, CONFIG, directory=tmp_path / "a")

    def stop(networks: int, of: int) -> None:
        assert of == METHOD.budget
        if networks == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, digits, CONFIG, directory=tmp_path / "b", scored=stop)
    before = (tmp_path / "b" / SCORES).read_text()
    assert len(before.splitlines()) == 1 + 5
    resumed = search(SPACE, digits, CONFIG, directory=tmp_path / "b")
    assert resumed.architecture == straight.architecture
    assert (tmp_path / "b" / SCORES).read_text().startswith(before)
    assert scores(tmp_path / "b") == scores(tmp_path / "a")
    assert (tmp_path / "b" / CHECKPOINT).exists()


def test_single_paths_can_be_searched_at_random(digits: ImageData, tmp_path: Path) -> None:
    """The baseline of their evolution, with the same supernet."""
    method = SinglePath(budget=6, population=3, images=16, evolve=False)
    search(SPACE, digits, replace(CONFIG, method=method, epochs=1), directory=tmp_path)
    sample = [a for _, a in SPACE.unique_samples(0, method.budget)]
    assert list(map(SPACE.parse, scores(tmp_path))) == sample
