"""Uniform single path through the loop: training, limits, interruption, and what it costs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import (
    LatencyPenalty,
    SearchConfig,
    SinglePath,
    checkpoint,
    parse_method,
    search,
)
from latbench.search.baselines.scores import RememberedScore
from latbench.search.config import CHECKPOINT, SCORES
from latbench.search.images.images import ImageData, search_halves
from latbench.search.loop import SearchOutcome
from latbench.search.training import path_training
from latbench.spaces import nasbench201
from latbench.timing.metric import LATENCY, MACS

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
METHOD = SinglePath(budget=12, population=4, images=24, calibration=0)
CONFIG = SearchConfig(METHOD, epochs=2, batch=16, channels=4, cells=1, penalty_samples=4)


class Dear(nn.Module):
    """1 ms, and 1 ms more for every edge with one of the operations, by its number."""

    def __init__(self, operation: int) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return 1e-3 + 1e-3 * x.reshape(-1, 6, 5)[:, :, self.operation].sum(-1)


def cost(architecture: Any, operation: int) -> float:
    encoded = torch.from_numpy(SPACE.one_hot(architecture))
    return float(Dear(operation)(encoded))


def same(a: SearchOutcome, b: SearchOutcome) -> bool:
    known = [[replace(e, expected=0.0, entropy=0.0) for e in of.history] for of in (a, b)]
    return a.architecture == b.architecture and known[0] == known[1]


def test_it_trains_the_weights_and_chooses(digits: ImageData, tmp_path: Path) -> None:
    scored: list[tuple[int, int]] = []
    outcome = search(
        SPACE, digits, CONFIG, directory=tmp_path, scored=lambda *told: scored.append(told)
    )
    assert scored == [(n, METHOD.budget) for n in range(1, METHOD.budget + 1)]
    assert SPACE.parse(str(outcome.architecture)) == outcome.architecture
    assert outcome.course == {}
    assert outcome.met is None
    assert [e.epoch for e in outcome.history] == [0, 1]
    for epoch in outcome.history:
        assert 0 < epoch.train_accuracy < 1
        assert 0 <= epoch.validation_accuracy <= 1
        assert math.isnan(epoch.expected)
        assert math.isnan(epoch.entropy)
        assert epoch.architecture == ""
    tensors, values = checkpoint.read(tmp_path / CHECKPOINT)
    assert values["identity"]["config"]["method"] == str(METHOD)
    owners = {name.partition("/")[0] for name in tensors}
    assert owners == {
        "supernet",
        "relaxation",
        "weights",
    }  # no parameters, and no optimiser of them


def test_no_step_looks_at_the_validation_half(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps an epoch of 32 images, and after it the other 32 at once in two parts."""
    half, other = (set(part.tolist()) for part in search_halves(64, CONFIG.seed))
    seen: list[list[int]] = []
    drawn = path_training.draw_batch

    def watched(parts: Any, indices: Tensor, stream: Any) -> Any:
        seen.append(indices.tolist())
        return drawn(parts, indices, stream)

    passes: list[bool] = []
    lossy = path_training.task_loss

    def counted(*arguments: Any, **named: Any) -> Any:
        passes.append(torch.is_grad_enabled())
        return lossy(*arguments, **named)

    monkeypatch.setattr(path_training, "draw_batch", watched)
    monkeypatch.setattr(path_training, "task_loss", counted)
    search(SPACE, digits, replace(CONFIG, epochs=1), directory=tmp_path)
    assert {i for step in seen for i in step} == half
    assert not half & other
    assert passes == [True, True, False, False]


def test_the_paths_of_a_step_are_single(digits: ImageData, tmp_path: Path) -> None:
    """What a step does not run keeps its first weights, without decay or momentum."""
    config = replace(CONFIG, epochs=1, batch=32)
    search(SPACE, digits, config, directory=tmp_path)
    tensors, _ = checkpoint.read(tmp_path / CHECKPOINT)
    moved = [name for name in tensors if name.startswith("weights/")]
    trained = [name for name in tensors if name.startswith("supernet/") and "running" not in name]
    assert 0 < len(moved) < len([n for n in trained if "num_batches" not in n])


def test_an_interrupted_search_ends_as_if_it_had_not_been(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = search(SPACE, digits, CONFIG, directory=tmp_path / "a")

    def interrupt(epoch: SearchEpoch) -> None:
        raise KeyboardInterrupt

    for resumed_from in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, digits, CONFIG, directory=tmp_path / "b", progress=interrupt)
        assert len(checkpoint.read(tmp_path / "b" / CHECKPOINT)[1]["history"]) == resumed_from
    calls: list[Any] = []
    scored = RememberedScore.__call__

    def stopped(self: RememberedScore, architecture: Any) -> float:
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(architecture)
        return scored(self, architecture)

    with monkeypatch.context() as patch:
        patch.setattr(RememberedScore, "__call__", stopped)
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, digits, CONFIG, directory=tmp_path / "b")
    assert len((tmp_path / "b" / SCORES).read_text().splitlines()) == 1 + 5
    resumed = search(SPACE, digits, CONFIG, directory=tmp_path / "b")
    assert resumed.resumed_from == 2
    assert same(straight, resumed)
    scores = [(tmp_path / f / SCORES).read_text() for f in "ab"]
    assert scores[0] == scores[1]
    assert len(scores[0].splitlines()) == 1 + METHOD.budget


@pytest.fixture(scope="module")
def liked(digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The operation that is found most often for accuracy alone."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("plain")
    outcome = search(SPACE, digits, replace(CONFIG, epochs=1), directory=folder)
    return int(SPACE.one_hot(outcome.architecture).reshape(6, 5).sum(0).argmax())


def test_a_target_is_kept(digits: ImageData, liked: int, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, target=1.5e-3)
    penalty = LatencyPenalty(Dear(liked), 4e-3, 0.0, config.penalty_samples, 1.5e-3)
    outcome = search(SPACE, digits, config, penalty, directory=tmp_path)
    assert outcome.met
    assert cost(outcome.architecture, liked) == pytest.approx(1e-3)


@pytest.mark.parametrize("name", ["single-path", "hurricane"])
def test_what_cannot_be_is_refused_before_anything_is_written(
    digits: ImageData, tmp_path: Path, name: str
) -> None:
    text = f"{name}(budget=12, population=4, images=24)"
    config = replace(CONFIG, method=text, target=1e-4)
    penalty = LatencyPenalty(Dear(2), 4e-3, 0.0, config.penalty_samples, 1e-4)
    for metric, said in ((None, r"0\.0001"), (LATENCY, r"0\.100 ms"), (MACS, "1.00e-10 M")):
        with pytest.raises(UsageError, match=f"{said} .*is below .* cost, 10\\.000 times as much"):
            search(SPACE, digits, config, replace(penalty, metric=metric), directory=tmp_path / "a")
    many = replace(CONFIG, method=f"{name}(population={SPACE.networks + 1})")
    with pytest.raises(UsageError, match=f"is more than the {SPACE.networks} different networks"):
        search(SPACE, digits, many, directory=tmp_path / "a")
    with pytest.raises(UsageError, match="lightest = 2 must be below heaviest = 1"):
        parse_method(f"{name}(lightest=2, heaviest=1)")
    assert list(tmp_path.iterdir()) == []


def test_whether_it_settled_is_told_by_the_same_paths_in_every_epoch(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 paths, and 32 images in the half: two images each."""
    seen, run = list[list[bytes]](), path_training.task_loss

    def spied(parts: Any, subgraphs: Any, batch: Any, *given: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            assert len(batch.images) == 2
            seen[-1].extend(w.numpy().tobytes() for w in subgraphs)
        return run(parts, subgraphs, batch, *given, **named)

    monkeypatch.setattr(path_training, "task_loss", spied)
    seen.append([])
    config = replace(CONFIG, method=replace(METHOD, settled=101.0), epochs=2)
    search(SPACE, digits, config, directory=tmp_path, progress=lambda _: seen.append([]))
    assert len(set(seen[0])) > 10
    assert seen[0] == seen[1]


def test_paths_are_trained_from_the_bins(
    digits: ImageData, liked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 2 to 3 ms, one or two of the edges with the operation, where the target is 2.5 ms."""
    seen, run = list[float](), path_training.task_loss

    def spied(parts: Any, subgraphs: Any, *given: Any, **named: Any) -> Any:
        seen.extend(float(w.view(6, 5)[:, liked].sum()) for w in subgraphs)
        return run(parts, subgraphs, *given, **named)

    monkeypatch.setattr(path_training, "task_loss", spied)
    method = replace(METHOD, bins=2, lightest=0.7, heaviest=1.3)
    config = replace(CONFIG, method=method, target=2.5e-3)
    penalty = LatencyPenalty(Dear(liked), 4e-3, 0.0, config.penalty_samples, 2.5e-3)
    search(SPACE, digits, config, penalty, directory=tmp_path)
    assert set(seen) == {1.0, 2.0}


def test_a_weight_is_a_price_of_accuracy(digits: ImageData, liked: int, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, penalty_weight=100.0)
    penalty = LatencyPenalty(Dear(liked), 4e-3, 100.0, config.penalty_samples)
    outcome = search(SPACE, digits, config, penalty, directory=tmp_path)
    assert outcome.met is None
    # Without a price the operation is on two of the six edges or more.
    assert cost(outcome.architecture, liked) < 2.5e-3
    scores = [
        json.loads(line)["score"] for line in (tmp_path / SCORES).read_text().splitlines()[1:]
    ]
    assert all(0 <= score <= 1 for score in scores)  # of the accuracy alone


def test_a_supernet_serves_another_search(digits: ImageData, tmp_path: Path) -> None:
    from latbench.search import read_supernet

    search(SPACE, digits, CONFIG, directory=tmp_path / "supernet")
    weights = read_supernet(tmp_path / "supernet" / CHECKPOINT)
    gdas = SearchConfig("gdas", epochs=1, batch=16, channels=4, cells=1)
    outcome = search(SPACE, digits, gdas, directory=tmp_path / "gdas", weights=weights)
    assert outcome.course["alpha"].shape == (1, 30)
    assert np.isfinite(outcome.history[0].entropy)
