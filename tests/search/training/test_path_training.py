"""How often the supernet runs, with and without architecture parameters that move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from latbench.search import SearchConfig, search
from latbench.search import bilevel as bilevel_module
from latbench.search.images.images import ImageData
from latbench.search.relaxations.relaxation import Teacher
from latbench.search.training import path_training
from latbench.spaces import nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
CONFIG = SearchConfig(epochs=2, batch=16, channels=4, cells=1, alpha_learning_rate=0.1)
STEPS, MEASURED = [True, True], [False, False]  # of 32 images each: with and without a gradient


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each run of the supernet has a gradient."""
    seen: list[bool] = []
    run = path_training.task_loss

    def counted(*arguments: Any, **named: Any) -> Any:
        seen.append(torch.is_grad_enabled())
        return run(*arguments, **named)

    for module in (path_training, bilevel_module):
        monkeypatch.setattr(module, "task_loss", counted)
    return seen


@pytest.mark.parametrize("method", ["darts", "gdas", "darts-2nd"])
def test_resting_parameters_cost_no_pass_a_step(
    method: str, digits: ImageData, tmp_path: Path, passes: list[bool]
) -> None:
    config = replace(CONFIG, method=method, alpha_learning_rate=0.0)
    outcome = search(SPACE, digits, config, directory=tmp_path)
    assert passes == 2 * (STEPS + MEASURED)
    assert all(0 < epoch.validation_accuracy < 1 for epoch in outcome.history)


def test_a_warm_up_ends(digits: ImageData, tmp_path: Path, passes: list[bool]) -> None:
    search(SPACE, digits, replace(CONFIG, warmup_epochs=1), directory=tmp_path)
    assert passes == STEPS + MEASURED + 2 * STEPS


def test_the_accuracy_is_that_of_few_images_of_the_other_half(
    digits: ImageData, tmp_path: Path, passes: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_training, "VALIDATED", 10)
    config = replace(CONFIG, epochs=1, alpha_learning_rate=0.0)
    outcome = search(SPACE, digits, config, directory=tmp_path)
    assert passes == [*STEPS, False]
    share = 10 * outcome.history[0].validation_accuracy
    assert share == pytest.approx(round(share))


@pytest.mark.parametrize("method", ["darts", "gdas"])
def test_a_rest_leaves_the_weights_steps_as_they_were(
    method: str, digits: ImageData, tmp_path: Path
) -> None:
    """The random numbers of a step are those of one in which the parameters are looked at."""
    seen = []
    for i, changes in enumerate(({"warmup_epochs": 1}, {"alpha_learning_rate": 1e-30})):
        config = replace(CONFIG, method=method, **changes)  # type: ignore[arg-type]
        outcome = search(SPACE, digits, config, directory=tmp_path / str(i))
        seen.append(outcome.history[0].train_accuracy)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("method", ["gdas", "proxylessnas"])
def test_a_step_of_the_weights_leaves_those_that_did_not_run(
    method: str, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No decay, no momentum and no image for the batch norms of any option but the one that counts,
    also where a step of the architecture parameters runs two."""
    moved: list[dict[str, set[str]]] = []
    step = path_training.weight_step

    def compared(parts: Any, *rest: Any) -> int:
        before = {k: v.clone() for k, v in parts.supernet.state_dict().items()}
        right = step(parts, *rest)
        options: dict[str, set[str]] = {}
        for name, tensor in parts.supernet.state_dict().items():
            place, found, option = name.partition(".alternatives.")
            if found and not torch.equal(tensor, before[name]):
                options.setdefault(place, set()).add(option.partition(".")[0])
        moved.append(options)
        return right

    monkeypatch.setattr(bilevel_module, "weight_step", compared)
    search(SPACE, digits, replace(CONFIG, method=method), directory=tmp_path)
    assert len(moved) == 2 * len(STEPS)
    assert all(moved)
    assert all(len(options) == 1 for at in moved for options in at.values())


@pytest.mark.parametrize("every", [1, 2])
def test_the_whole_teaches_before_the_paths_run(
    every: int, digits: ImageData, tmp_path: Path, passes: list[bool]
) -> None:
    """Two paths a step of either kind, one after another, and the teacher without a gradient."""
    method = f"msg-das(guidance=1, guidance_every={every})"
    search(SPACE, digits, replace(CONFIG, method=method, epochs=1), directory=tmp_path)
    alpha = weights = [True, True]
    taught, alone = [*alpha, False, *weights], [*alpha, *weights]
    assert passes == (taught + taught if every == 1 else taught + alone)


def test_guidance_moves_the_weights(digits: ImageData, tmp_path: Path) -> None:
    found = [
        search(
            SPACE, digits, replace(CONFIG, method=f"msg-das(guidance={share})"),
            directory=tmp_path / str(share),
        ).course["alpha"]
        for share in (0, 1)
    ]  # fmt: skip
    assert (found[0] != found[1]).any()


def test_a_lesson_is_the_divergence_of_softened_logits() -> None:
    stream = torch.Generator().manual_seed(0)
    given, wanted = torch.randn(2, 6, 10, generator=stream)
    given.requires_grad_()
    lesson = path_training.Lesson(wanted, Teacher(torch.ones(1), 0.5, 3.0))
    p, q = torch.softmax(wanted / 3, 1), torch.softmax(given.detach() / 3, 1)
    by_hand = 0.5 * 9 * (p * (p / q).log()).sum(1).mean()
    loss = lesson.loss(given)
    torch.testing.assert_close(loss.detach(), by_hand)
    (gradient,) = torch.autograd.grad(loss, given)
    # Of KL by the logits: (q - p) / T a row; the mean is over the rows.
    torch.testing.assert_close(gradient, 0.5 * 9 * (q - p) / 3 / 6)
    assert float(path_training.Lesson(wanted, Teacher(torch.ones(1), 1, 1)).loss(wanted)) == 0
