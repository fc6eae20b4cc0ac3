"""The multiplier on a task without images: a linear gain, and a latency that is linear too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from latbench.search.constraint import Constraint
from latbench.search.penalty import Cost, LatencyPenalty
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.spaces import darts

SPACE = darts()
# none, max pool, average pool, skip, sep 3x3, sep 5x5, dil 3x3, dil 5x5: what takes longer is worth
# more, with diminishing returns.
SECONDS = torch.tensor([0.0, 0.05, 0.05, 0.02, 1.0, 1.6, 0.6, 0.9])
WORTH = torch.tensor([0.0, 0.1, 0.1, 0.5, 0.8, 0.85, 0.6, 0.65])


class Seconds(nn.Module):
    """2 s, and what the operations take, ``factor`` times."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("cost", factor * SECONDS.repeat(28))
        self.overhead = 2.0 * factor

    def forward(self, x: Tensor) -> Tensor:
        return self.overhead + x @ self.get_buffer("cost")


@dataclass(frozen=True)
class Found:
    derived: float
    multiplier: float
    met: bool


def search(penalty: LatencyPenalty, scale: float, steps: int = 96, rate: float = 0.03) -> Found:
    """Steps of Adam down minus the worth (``scale`` is about its gradient's, in 1/1000)."""
    generator = Generator().manual_seed(3)
    made = DartsRelaxation(SPACE, generator)
    worth = WORTH.repeat(28) + 0.3 * torch.randn(224, generator=generator)
    constraint = Constraint(made, rate)
    optimizer = torch.optim.Adam(made.parameters(), rate, (0.5, 0.999), weight_decay=1e-3)

    def cost_of(architecture: Any) -> tuple[float, float]:
        return penalty.cost_of(architecture, torch.from_numpy(SPACE.one_hot(architecture)))

    def derived() -> tuple[float, float]:
        return cost_of(made.derive())

    for step in range(steps):
        constraint.observe(made, derived()[1], step // 12)
        loss = (
            -scale * (torch.softmax(made.alpha.view(28, 8), dim=-1) * worth.view(28, 8)).sum() / 28
        )
        loss = loss + penalty.term(made, generator, constraint).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    constraint.keep(made, derived()[1], step // 12)
    cost = cost_of(constraint.kept_or(made).derive())[0]
    return Found(cost, constraint.multiplier.item(), constraint.met)


@cache
def free() -> float:
    """What the search finds without a limit: about 18 s."""
    return search(LatencyPenalty(Seconds(), 1.0, 0.0, target=1e9), 1.0).derived


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("target", [14.0, 9.0])
def test_what_is_derived_keeps_the_target_and_hardly_more(target: float, scale: float) -> None:
    assert free() > 1.2 * target
    found = search(LatencyPenalty(Seconds(), 1.0, 0.0, target=target), scale)
    assert found.met
    # One operation is up to 1.6 s.
    assert target - 1.7 <= found.derived <= target


def test_a_loose_target_presses_nothing() -> None:
    found = search(LatencyPenalty(Seconds(), 1.0, 0.0, target=2 * free()), 1.0)
    assert (found.derived, found.multiplier) == (free(), 0.0)


def test_a_target_that_nothing_keeps_is_said_and_pressed_for() -> None:
    found = search(LatencyPenalty(Seconds(), 1.0, 0.0, target=1.0), 1.0)
    assert not found.met
    assert found.derived < 4
    assert found.multiplier > 1


def test_each_backend_has_its_own_target_and_the_tighter_one_decides() -> None:
    other = Cost(Seconds(10.0), reference=1.0, target=90.0)
    found = search(LatencyPenalty(Seconds(), 1.0, 0.0, target=14.0, others=(other,)), 1.0)
    assert 9.0 - 1.7 <= found.derived <= 9.0


def test_the_kept_architecture_is_the_closest_of_the_last_epoch_that_had_one() -> None:
    made = DartsRelaxation(SPACE, Generator().manual_seed(0))
    constraint = Constraint(made, 0.1)

    def observe(relative: float, epoch: int) -> float:
        with torch.no_grad():
            made.alpha.add_(1.0)
        constraint.observe(made, relative, epoch)
        return made.alpha.mean().item()

    assert constraint.kept_or(made) is made
    observe(0.99, 0)
    wanted = [observe(r, 1) for r in (0.7, 0.8, 0.6, 1.1)]
    assert constraint.kept.get_parameter("alpha").mean().item() == wanted[1]
    observe(1.2, 2)
    assert constraint.kept.get_parameter("alpha").mean().item() == wanted[1]
    assert constraint.met
    assert not any(p.requires_grad for p in constraint.parameters())


def test_the_pressure_rises_with_excess_and_never_becomes_a_reward() -> None:
    made = DartsRelaxation(SPACE, Generator().manual_seed(0))
    constraint = Constraint(made, 0.1)
    assert constraint.pressure() == 0
    constraint.observe(made, 1.5, 0)
    first = constraint.pressure()
    assert first == pytest.approx(0.1 * 10 * 0.5 + 3 * 0.5)
    constraint.observe(made, math.inf, 0)
    assert constraint.pressure() == pytest.approx(1.5 + 3)
    for _ in range(20):
        constraint.observe(made, 0.2, 0)
    assert constraint.pressure() == constraint.multiplier.item() == 0


def test_what_was_taken_down_during_warm_up_does_not_count() -> None:
    made = DartsRelaxation(SPACE, Generator().manual_seed(0))
    older, constraint = Constraint(made, 0.1), Constraint(made, 0.1, first=3)
    older.keep(made, 0.9, 2)  # as an older version wrote it into a checkpoint
    constraint.load_state_dict(older.state_dict())
    assert not constraint.met
    for epoch, met in ((2, False), (3, True)):
        constraint.keep(made, 0.5, epoch)
        assert constraint.met is met
        assert (constraint.kept_or(made) is made) is not met


def test_the_state_goes_through_a_state_dict() -> None:
    made = DartsRelaxation(SPACE, Generator().manual_seed(0))
    first, second = Constraint(made, 0.1), Constraint(made, 0.1)
    first.observe(made, 1.3, 0)
    first.observe(made, 0.9, 1)
    second.load_state_dict(first.state_dict())
    assert second.pressure() == first.pressure()
    assert second.met
    for constraint in (first, second):
        constraint.observe(made, 1.1, 1)
    assert second.pressure() == first.pressure()
