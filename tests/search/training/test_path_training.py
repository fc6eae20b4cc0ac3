"""How often the supernet runs, with and without architecture parameters that move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latbench.search import SearchConfig, search
from latbench.search import bilevel as bilevel_module
from latbench.search.config import Precision
from latbench.search.images.images import ImageData
from latbench.search.relaxations.relaxation import Teacher
from latbench.search.training import path_training
from latbench.search.training.mixed_precision import Caster
from latbench.spaces import darts, nasbench201

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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_weights_step_in_turns_is_that_of_all_at_once(
    precision: Precision, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient of one step with guidance, sub-graphs one after another and together."""
    found: list[dict[str, torch.Tensor]] = []

    def move(self: Caster, module: torch.nn.Module, *arguments: Any) -> None:
        found.append(
            {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
        )

    monkeypatch.setattr(Caster, "move", move)
    for on in ("false", "true"):
        method = f"msg-das(subgraphs=3, at_once={on})"
        config = replace(CONFIG, method=method, epochs=1, warmup_epochs=0, precision=precision,
                         alpha_learning_rate=0.0)  # fmt: skip
        search(SPACE, digits, config, directory=tmp_path / on)
    one, together = found[0], found[len(found) // 2]
    assert one.keys() == together.keys()
    for name, gradient in one.items():
        scale = float(together[name].abs().max())
        close = 1e-5 if precision == "float32" else 0.05
        torch.testing.assert_close(gradient, together[name], rtol=0, atol=close * scale + 1e-9)


def _everything(precision: Precision, device: str, digits: ImageData, folder: Path) -> None:
    config = SearchConfig(
        method="msg-das", epochs=2, batch=16, channels=4, cells=3, alpha_learning_rate=0.1,
        precision=precision, device=device, topology="1-3", dropblock=0.3, dropblock_size=2,
    )  # fmt: skip
    space = darts(channels=4, cells=3, resolution=8, in_channels=1, least_inputs=1, most_inputs=5)
    found = search(space, digits, config, directory=folder)
    assert all(np.isfinite(values).all() for values in found.course.values())
    assert (found.course["topology.beta"][0] != found.course["topology.beta"][1]).any()


def test_subgraphs_topology_and_blocks_in_bfloat16(digits: ImageData, tmp_path: Path) -> None:
    _everything("bfloat16", "cpu", digits, tmp_path)


@pytest.mark.gpu
def test_subgraphs_topology_and_blocks_on_a_gpu(digits: ImageData, tmp_path: Path) -> None:
    precisions: tuple[Precision, ...] = ("float32", "float16")
    for precision in precisions:
        _everything(precision, "cuda", digits, tmp_path / precision)
