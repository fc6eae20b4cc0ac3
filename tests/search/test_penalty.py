from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor, nn

from latbench.errors import LatbenchError, UsageError
from latbench.search.darts import DartsRelaxation
from latbench.search.penalty import LatencyPenalty


class Latency(nn.Module):
    """1 ms, and 0 to 0.1 ms for each edge by the number of its operation."""

    def __init__(self) -> None:
        super().__init__()
        self.cost = nn.Parameter(torch.arange(8.0).repeat(28) / 7)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.dropout(x) @ self.cost
        return 1e-3 + 1e-4 * score


def relaxation() -> DartsRelaxation:
    return DartsRelaxation(Generator().manual_seed(0))


def seeded() -> Generator:
    return Generator().manual_seed(5)


def test_the_term_is_the_mean_over_samples_relative_to_the_reference() -> None:
    module, made = Latency(), relaxation()
    penalty = LatencyPenalty(module, reference=2e-3, weight=0.5, samples=6)
    term = penalty.term(made, seeded())
    expected = module.eval()(made.sample(6, seeded())).mean().item()
    assert term.expected == pytest.approx(expected)
    assert term.loss.item() == pytest.approx(0.5 * expected / 2e-3)
    term.loss.backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    assert made.alpha.grad.abs().max() > 0


def test_the_callers_module_is_left_alone_and_gets_no_gradient() -> None:
    module = Latency().train()
    penalty = LatencyPenalty(module, 1e-3, 1.0)
    penalty.term(relaxation(), seeded()).loss.backward()  # type: ignore[no-untyped-call]
    assert module.training
    assert module.cost.requires_grad
    assert module.cost.grad is None
    assert not penalty.module.training
    assert not any(p.requires_grad for p in penalty.module.parameters())


def test_steps_down_the_penalty_lower_the_expected_latency() -> None:
    made, penalty = relaxation(), LatencyPenalty(Latency(), 1e-3, 1.0, samples=32)
    before = penalty.expected(made, seeded())
    optimizer, generator = torch.optim.Adam(made.parameters(), 0.1), seeded()
    for _ in range(30):
        optimizer.zero_grad()
        penalty.term(made, generator).loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = penalty.expected(made, seeded())
    assert after - 1e-3 < 0.5 * (before - 1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [((0.0, 1.0, 1), "reference must be above 0, got 0.0"), ((1.0, -1.0, 1), "0 or more, got -1.0"),
     ((1.0, 1.0, 0), "at least 1 sample"), ((1.0, float("nan"), 1), "got nan")],
)  # fmt: skip
def test_impossible_settings_are_refused(values: tuple[float, float, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LatencyPenalty(Latency(), *values)


def test_a_module_that_answers_nonsense_is_refused() -> None:
    two = nn.Linear(224, 2)
    with pytest.raises(LatbenchError, match=r"shape \(8, 2\) for 8"):
        LatencyPenalty(two, 1.0, 1.0).term(relaxation(), seeded())
    broken = nn.Linear(224, 1)
    nn.init.constant_(broken.bias, float("nan"))
    with pytest.raises(LatbenchError, match="predicted nan; fit the predictor again"):
        LatencyPenalty(broken, 1.0, 1.0).term(relaxation(), seeded())


def test_the_fingerprint_follows_parameters_and_settings() -> None:
    module = Latency()
    prints = [LatencyPenalty(module, 1.0, 1.0).fingerprint() for _ in range(2)]
    module.cost.data[3] += 1
    prints += [LatencyPenalty(module, 1.0, weight).fingerprint() for weight in (1.0, 2.0)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
