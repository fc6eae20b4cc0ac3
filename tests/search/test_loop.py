from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_modules import Convolutions

from latbench.errors import LatbenchError, UsageError
from latbench.results import SearchEpoch
from latbench.search import LatencyPenalty, SearchConfig, search
from latbench.search.images.images import ImageData
from latbench.search.loop import CHECKPOINT, SearchOutcome
from latbench.spaces import darts, make_space, nasbench201
from latbench.spaces.cells.genotypes import NONE, OPERATIONS

SPACE = darts(channels=4, cells=3, resolution=8, in_channels=1)
CONFIG = SearchConfig(
    epochs=3, batch=16, channels=2, cells=3, alpha_learning_rate=0.1, penalty_samples=4
)


def penalty(config: SearchConfig) -> LatencyPenalty:
    return LatencyPenalty(
        Convolutions((NONE, *OPERATIONS), 28), 10e-3, config.penalty_weight, config.penalty_samples
    )


def _equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def same(a: SearchOutcome, b: SearchOutcome) -> bool:
    return (
        _equal(a.probabilities, b.probabilities)
        and a.architecture == b.architecture
        and a.history == b.history
    )


@pytest.fixture(scope="module")
def tiny(digits: ImageData) -> ImageData:
    return digits


@pytest.fixture(scope="module")
def straight(tiny: ImageData, tmp_path_factory: pytest.TempPathFactory) -> SearchOutcome:
    torch.set_num_threads(1)
    config = replace(CONFIG, penalty_weight=0.5)
    return search(SPACE, tiny, config, penalty(config), directory=tmp_path_factory.mktemp("s"))


def test_the_outcome_is_an_architecture_of_the_space(straight: SearchOutcome) -> None:
    assert SPACE.parse(str(straight.architecture)) == straight.architecture
    assert SPACE.build(straight.architecture).output_shape == (1, 10)
    assert [epoch.epoch for epoch in straight.history] == [0, 1, 2]
    assert len(straight.probabilities) == 28
    assert {p.shape for p in straight.probabilities.values()} == {(8,)}
    assert all(SPACE.build(SPACE.parse(epoch.architecture)) for epoch in straight.history)
    last = straight.history[-1]
    assert last.architecture == str(straight.architecture)
    assert 0 <= last.train_accuracy <= 1
    assert 0 <= last.validation_accuracy <= 1
    assert 0 < last.entropy < math.log(8)
    assert 1e-3 < last.expected < 17e-3


@pytest.mark.slow  # a killed one is in the default suite
def test_an_interrupted_search_ends_as_if_it_had_not_been(
    tiny: ImageData, straight: SearchOutcome, tmp_path: Path
) -> None:
    config = replace(CONFIG, penalty_weight=0.5)

    def interrupt(epoch: SearchEpoch) -> None:
        if epoch.epoch == 1:
            with pytest.raises(UsageError, match="another search or training is at work"):
                search(SPACE, tiny, config, penalty(config), directory=tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, tiny, config, penalty(config), directory=tmp_path, progress=interrupt)
    torch.manual_seed(99)  # the caller's generator plays no part
    seen: list[SearchEpoch] = []
    resumed = search(SPACE, tiny, config, penalty(config), directory=tmp_path, progress=seen.append)
    assert same(resumed, straight)
    assert resumed.resumed_from == 2
    assert [epoch.epoch for epoch in seen] == [2]
    again = search(SPACE, tiny, config, penalty(config), directory=tmp_path)
    assert same(again, straight)
    assert again.resumed_from == 3


_CHILD = """
    import sys, torch
    sys.path.insert(0, sys.argv[2])
    torch.set_num_threads(1)
    from test_loop import CONFIG, SPACE, penalty, replace
    from latbench.search import load_images, search
    config = replace(CONFIG, penalty_weight=0.5)
    search(SPACE, load_images("digits", limit=64), config, penalty(config), directory=sys.argv[1],
           progress=lambda epoch: print("epoch", epoch.epoch, flush=True))
"""


@pytest.mark.slow  # 12 s; an interrupted one in test_target.py is not
def test_a_killed_search_ends_as_if_it_had_not_been(
    tiny: ImageData, straight: SearchOutcome, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_CHILD), str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "epoch 0\n"
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    config = replace(CONFIG, penalty_weight=0.5)
    resumed = search(SPACE, tiny, config, penalty(config), directory=tmp_path)
    assert 1 <= resumed.resumed_from < 3
    assert same(resumed, straight)


@pytest.mark.slow  # 6 s
def test_the_callers_random_state_is_neither_used_nor_moved(
    tiny: ImageData, tmp_path: Path
) -> None:
    config, outcomes = replace(CONFIG, epochs=1), []
    for run in range(2):
        torch.manual_seed(run)
        before = torch.get_rng_state()
        outcomes.append(search(SPACE, tiny, config, directory=tmp_path / str(run)))
        assert torch.equal(torch.get_rng_state(), before)
    assert _equal(outcomes[0].probabilities, outcomes[1].probabilities)
    other = search(SPACE, tiny, replace(config, seed=1), directory=tmp_path / "other")
    assert not _equal(outcomes[0].probabilities, other.probabilities)


def test_the_penalty_lowers_the_latency_of_what_is_found(tiny: ImageData, tmp_path: Path) -> None:
    latency = Convolutions((NONE, *OPERATIONS), 28)
    found = {}
    for weight in (0.0, 20.0):
        config = replace(CONFIG, epochs=2, batch=8, penalty_weight=weight)
        outcome = search(SPACE, tiny, config, penalty(config), directory=tmp_path / f"{weight}")
        derived = torch.from_numpy(SPACE.one_hot(outcome.architecture))
        found[weight] = (outcome.history[-1].expected, float(latency(derived)))
    assert found[20.0][0] < 0.7 * found[0.0][0]
    assert found[20.0][1] < found[0.0][1]


def test_without_a_penalty_the_expected_latency_is_unknown_even_after_resuming(
    tiny: ImageData, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    for _ in range(2):
        outcome = search(SPACE, tiny, config, directory=tmp_path)
        assert math.isnan(outcome.history[0].expected)


def test_the_architecture_rests_during_warm_up(tiny: ImageData, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2, warmup_epochs=1)
    outcome = search(SPACE, tiny, config, directory=tmp_path)
    assert outcome.history[0].entropy == pytest.approx(math.log(8), abs=1e-4)
    assert outcome.history[1].entropy < math.log(8) - 1e-3
    assert outcome.history[0].validation_accuracy > 0


def test_without_a_learning_rate_the_architecture_rests_and_the_weights_train(
    tiny: ImageData, tmp_path: Path
) -> None:
    """What trains a supernet for other searches: no epoch's architecture differs from the first."""
    config = replace(CONFIG, epochs=2, alpha_learning_rate=0.0)
    outcome = search(SPACE, tiny, config, directory=tmp_path)
    first, last = outcome.course["alpha"]
    assert np.array_equal(first, last)
    rising = replace(CONFIG, epochs=2, warmup_epochs=1)
    warm = search(SPACE, tiny, rising, directory=tmp_path / "warm")
    assert warm.history[0].train_accuracy == outcome.history[0].train_accuracy


def test_a_checkpoint_of_another_search_is_refused(tiny: ImageData, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1)
    search(SPACE, tiny, config, directory=tmp_path)
    with pytest.raises(UsageError, match=r"its config.epochs is 1, this one's is 2"):
        search(SPACE, tiny, replace(config, epochs=2), directory=tmp_path)
    other = darts(channels=5, cells=3, resolution=8, in_channels=1)
    with pytest.raises(UsageError, match=r"its space.config.channels is 4, this one's is 5"):
        search(other, tiny, config, directory=tmp_path)
    with pytest.raises(UsageError, match="its penalty is None"):
        search(SPACE, tiny, config, penalty(config), directory=tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(LatbenchError, match="delete it to start over"):
        search(SPACE, tiny, config, directory=tmp_path)


def test_what_does_not_fit_is_refused_before_anything_is_written(
    tiny: ImageData, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    layers = make_space("isolated_layers")
    with pytest.raises(UsageError, match="'isolated_layers': single layers have no supe"):
        search(layers, tiny, CONFIG, directory=target)
    partial = replace(CONFIG, method="pc-darts")
    with pytest.raises(UsageError, match="'pc-darts' cannot search the space 'nasbench201'"):
        search(nasbench201(), tiny, partial, directory=target)
    with pytest.raises(UsageError, match="cannot run 1/4 of 2 channels"):
        search(SPACE, tiny, partial, directory=target)
    with pytest.raises(UsageError, match=r"\(3, 32, 32\) in 10 classes.*\(1, 8, 8\) in 10"):
        search(darts(), tiny, CONFIG, directory=target)
    asked = replace(CONFIG, penalty_weight=0.3)
    with pytest.raises(UsageError, match=r"asks for a penalty of weight 0\.3.*has weight 0\.0"):
        search(SPACE, tiny, asked, directory=target)
    with pytest.raises(UsageError, match=r"has weight 0\.3 with 4"):
        search(SPACE, tiny, CONFIG, penalty(asked), directory=target)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="cannot use the device 'cuda'"):
            search(SPACE, tiny, replace(CONFIG, device="cuda"), directory=target)
    assert not target.exists()


def test_a_loss_that_explodes_is_reported(tiny: ImageData, tmp_path: Path) -> None:
    spoiled = replace(tiny, train_images=tiny.train_images[torch.arange(64)] * math.inf)
    with pytest.raises(LatbenchError, match="validation loss became nan; lower"):
        search(SPACE, spoiled, CONFIG, directory=tmp_path)
