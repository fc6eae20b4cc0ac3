"""A search with a target, through the loop and its checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cost_modules import Convolutions
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.results import SearchEpoch
from latbench.search import LatencyPenalty, SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.search.loop import SearchOutcome
from latbench.spaces import darts
from latbench.spaces.cells.genotypes import NONE, OPERATIONS

SPACE = darts(channels=4, cells=3, resolution=8, in_channels=1)
CONFIG = SearchConfig(
    epochs=3, batch=16, channels=2, cells=3, alpha_learning_rate=0.3, penalty_samples=4, target=5e-3
)


def penalty(config: SearchConfig = CONFIG) -> LatencyPenalty:
    return LatencyPenalty(
        Convolutions((NONE, *OPERATIONS), 28),
        10e-3,
        config.penalty_weight,
        config.penalty_samples,
        config.target,
    )


def cost(outcome: SearchOutcome) -> float:
    return float(
        Convolutions((NONE, *OPERATIONS), 28)(torch.from_numpy(SPACE.one_hot(outcome.architecture)))
    )


@pytest.fixture(scope="module")
def straight(digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> SearchOutcome:
    torch.set_num_threads(1)
    return search(SPACE, digits, CONFIG, penalty(), directory=tmp_path_factory.mktemp("s"))


def test_the_derived_network_keeps_the_target(straight: SearchOutcome) -> None:
    assert straight.met is True
    assert 3e-3 < cost(straight) <= 5.001e-3
    assert all(e.multiplier is not None and e.multiplier >= 0 for e in straight.history)
    assert all(e.derived is not None and 1e-3 <= e.derived <= 17e-3 for e in straight.history)
    assert any(e.multiplier for e in straight.history)


def test_an_interrupted_search_ends_as_if_it_had_not_been(
    digits: ImageData, straight: SearchOutcome, tmp_path: Path
) -> None:
    def interrupt(epoch: SearchEpoch) -> None:
        if epoch.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, digits, CONFIG, penalty(), directory=tmp_path, progress=interrupt)
    resumed = search(SPACE, digits, CONFIG, penalty(), directory=tmp_path)
    assert resumed.resumed_from == 2
    assert resumed.history == straight.history
    assert resumed.architecture == straight.architecture
    for name, odds in straight.probabilities.items():
        assert np.array_equal(resumed.probabilities[name], odds)
    again = search(SPACE, digits, CONFIG, penalty(), directory=tmp_path)
    assert (again.architecture, again.met) == (straight.architecture, True)


def test_the_architecture_and_the_multiplier_rest_during_warm_up(
    digits: ImageData, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=2, warmup_epochs=1, target=1e-6)
    outcome = search(SPACE, digits, config, penalty(config), directory=tmp_path)
    assert outcome.met is False
    assert [bool(e.multiplier) for e in outcome.history] == [False, True]


class Apart(nn.Module):
    """1 ms for one architecture, 20 ms for any other."""

    def __init__(self, architecture: object) -> None:
        super().__init__()
        self.register_buffer("one", torch.from_numpy(SPACE.one_hot(architecture)))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        same = (x * self.get_buffer("one")).sum(-1) / self.get_buffer("one").sum()
        return 20e-3 - 19e-3 * (same > 0.99).to(x.dtype) + 0 * x.sum(-1)


def test_what_warm_up_was_left_with_has_not_met_the_target(
    digits: ImageData, tmp_path: Path
) -> None:
    """Only the architecture that the search begins with keeps the target, and the first steps leave
    it: nothing was found, whether the search is interrupted or not."""
    config = replace(CONFIG, epochs=2, warmup_epochs=1, alpha_learning_rate=1.0)
    start = SPACE.parse(
        search(SPACE, digits, config, penalty(config), directory=tmp_path / "start")
        .history[0].architecture
    )  # fmt: skip
    only = LatencyPenalty(Apart(start), 10e-3, 0.0, config.penalty_samples, config.target)

    def interrupt(epoch: SearchEpoch) -> None:
        if epoch.epoch == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, digits, config, only, directory=tmp_path / "w", progress=interrupt)
    for resumed in (1, 2):
        outcome = search(SPACE, digits, config, only, directory=tmp_path / "w")
        assert [e.derived for e in outcome.history] == pytest.approx([1e-3, 20e-3])
        assert (outcome.resumed_from, outcome.met) == (resumed, False)
        assert str(outcome.architecture) == outcome.history[-1].architecture != str(start)


def test_settings_and_penalty_must_agree(digits: ImageData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"weight 0\.0 and target 0\.005 with 4.*has weight 0\.0 "):
        search(SPACE, digits, CONFIG, directory=tmp_path)
    other = penalty(replace(CONFIG, target=6e-3))
    with pytest.raises(UsageError, match=r"but the penalty given has .*target 0\.006"):
        search(SPACE, digits, CONFIG, other, directory=tmp_path)
    with pytest.raises(UsageError, match="set penalty_weight to 0"):
        replace(CONFIG, penalty_weight=0.5)
    with pytest.raises(UsageError, match="target must be above 0"):
        replace(CONFIG, target=0.0)
