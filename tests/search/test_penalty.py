from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from latbench.errors import LatbenchError, UsageError
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search.config import SearchConfig
from latbench.search.penalty import Cost, LatencyPenalty
from latbench.search.relaxations.darts_relaxation import DartsRelaxation
from latbench.spaces import darts
from latbench.store.dataset import LatencyDataset


class Latency(nn.Module):
    """1 ms, and 0 to 0.1 ms for each edge by the number of its operation."""

    def __init__(self) -> None:
        super().__init__()
        self.cost = nn.Parameter(torch.arange(8.0).repeat(28) / 7)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.dropout(x) @ self.cost
        return 1e-3 + 1e-4 * score


SPACE = darts()


def relaxation() -> DartsRelaxation:
    return DartsRelaxation(SPACE, Generator().manual_seed(0))


def seeded() -> Generator:
    return Generator().manual_seed(5)


def test_it_is_made_from_a_model_and_a_searchs_settings() -> None:
    space = darts(channels=4, cells=3)
    sample = tuple(a for _, a in space.unique_samples(0, 30))
    counts = np.stack([space.counts(a) for a in sample])
    values = 5e-3 + 1e-5 * counts @ np.arange(counts.shape[1])
    dataset = LatencyDataset(space, sample, values, "fake", "device")
    model = LatencyModel.fit(dataset, make_predictor("ridge-counts"))
    config = SearchConfig(penalty_weight=0.3, penalty_samples=5)
    made = LatencyPenalty.of(model, config)
    assert (made.weight, made.samples, made.target) == (0.3, 5, None)
    assert made.reference == model.predict([space.reference()])[0]
    encoding = torch.from_numpy(space.one_hot(sample[3])).float()
    found = made.cost_of(sample[3], encoding)[0]
    assert found == pytest.approx(model.predict([sample[3]])[0], rel=1e-5)
    judge = LatencyModel.fit(dataset, make_predictor("ridge-cost"))
    judged = LatencyPenalty.of(model, config, judge=judge)
    assert judged.cost_of(sample[3], encoding)[0] == pytest.approx(judge.predict([sample[3]])[0])
    assert judged.fingerprint() != made.fingerprint()
    held = LatencyPenalty.of(model, SearchConfig(target=4e-3), reference=2.0)
    assert (held.weight, held.target, held.reference) == (0.0, 4e-3, 2.0)
    with pytest.raises(UsageError, match="no gradient"):
        LatencyPenalty.of(LatencyModel.fit(dataset, make_predictor("ridge-cost")), config)


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


class Scaled(nn.Module):
    """``factor`` times the number of the operations of an edge that are of one kind, and 1."""

    def __init__(self, operation: int, factor: float) -> None:
        super().__init__()
        self.operation, self.factor = operation, factor

    def forward(self, x: Tensor) -> Tensor:
        count = x.reshape(-1, 28, 8)[..., self.operation].sum(1)
        return self.factor * (1 + count)


def two(**settings: Any) -> LatencyPenalty:
    """A fast and a slow backend, which like other operations."""
    slow = Cost(Scaled(2, 10.0), reference=30.0, share=3.0)
    return LatencyPenalty(Scaled(1, 1.0), 3.0, 0.5, 32, others=(slow,), **settings)


def relative_costs() -> tuple[Tensor, Tensor]:
    x = relaxation().sample(32, seeded()).detach()
    return Scaled(1, 1.0)(x) / 3, Scaled(2, 10.0)(x) / 30


def test_the_worst_of_several_backends_is_taken_for_each_architecture() -> None:
    term = two().term(relaxation(), seeded())
    a, b = relative_costs()
    assert (a > b).any()
    assert (b > a).any()
    assert term.loss.item() == pytest.approx(0.5 * torch.maximum(a, b).mean().item())
    assert term.expected == pytest.approx(3 * a.mean().item())


def test_a_mean_over_backends_is_weighted_by_their_shares() -> None:
    a, b = relative_costs()
    loss = two(combine="mean").term(relaxation(), seeded()).loss
    assert loss.item() == pytest.approx(0.5 * (0.25 * a + 0.75 * b).mean().item())


def test_the_same_backend_twice_is_the_backend_once() -> None:
    """So a weight means the same however many backends there are."""
    module = Latency()
    once = LatencyPenalty(module, 2e-3, 0.7, 6).term(relaxation(), seeded()).loss
    for combine in ("worst", "mean"):
        twice = LatencyPenalty(
            module, 2e-3, 0.7, 6, others=(Cost(module, 2e-3, share=5.0),), combine=combine
        )
        assert twice.term(relaxation(), seeded()).loss.item() == pytest.approx(once.item())


def test_a_weight_means_the_same_on_a_slower_device() -> None:
    gradients = []
    for factor in (1.0, 1000.0):
        made = relaxation()
        penalty = LatencyPenalty(Scaled(4, factor), 3 * factor, 0.7, 6)
        penalty.term(made, seeded()).loss.backward()  # type: ignore[no-untyped-call]
        assert made.alpha.grad is not None
        gradients.append(made.alpha.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_targets_take_the_place_of_references() -> None:
    x = relaxation().sample(1, seeded()).detach()[0]
    other = Cost(Scaled(2, 10.0), reference=30.0, target=20.0)
    held = LatencyPenalty(Scaled(1, 1.0), 3.0, 0.0, target=5.0, others=(other,))
    own, slow = Scaled(1, 1.0)(x[None]).item(), Scaled(2, 10.0)(x[None]).item()
    assert held.cost_of(None, x) == pytest.approx((own, max(own / 5, slow / 20)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"target": -1.0}, "target must be above 0, got -1.0"),
     ({"weight": 0.5, "target": 1.0}, "set the weight to 0, got 0.5"),
     ({"target": 1.0, "others": (Cost(Scaled(1, 1.0), 1.0),)}, "a target, or none of them"),
     ({"target": 1.0, "others": (Cost(Scaled(1, 1.0), 1.0, 1.0),), "combine": "mean"}, "'worst'"),
     ({"combine": "sum"}, "must be 'worst' or 'mean', got 'sum'")],
)  # fmt: skip
def test_impossible_combinations_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LatencyPenalty(Latency(), **{"reference": 1.0, "weight": 0.0, **settings})


def test_the_fingerprint_follows_every_backend() -> None:
    module, prints = Latency(), set()
    for others in ((), (Cost(module, 1.0),), (Cost(module, 2.0),), (Cost(Scaled(1, 1.0), 1.0),)):
        prints.add(LatencyPenalty(module, 1.0, 0.0, others=others).fingerprint())
    prints.add(LatencyPenalty(module, 1.0, 0.0, target=1.0).fingerprint())
    assert len(prints) == 5


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_the_gradient_agrees_with_finite_differences_of_the_expectation(scale: float) -> None:
    """Of a latency that is not linear, with common random numbers. A straight-through estimator
    is biased, so directions are compared: the cosine, and the sign along the gradient itself."""
    made = relaxation()
    with torch.no_grad():
        made.alpha.copy_(scale * torch.randn(224, generator=Generator().manual_seed(1)))
    cost = torch.rand(224, generator=Generator().manual_seed(2))
    penalty = LatencyPenalty(_Bent(cost), 1.0, 1.0, samples=3000)
    penalty.term(made, seeded()).loss.backward()  # type: ignore[no-untyped-call]
    assert made.alpha.grad is not None
    gradient, at, step = made.alpha.grad.clone(), made.alpha.detach().clone(), 0.5

    def expectation(alpha: Tensor) -> float:
        with torch.no_grad():
            made.alpha.copy_(alpha)
            return penalty.term(made, seeded()).loss.item()

    generator = Generator().manual_seed(4)
    directions = [torch.randn(224, generator=generator) for _ in range(12)]
    directions.append(gradient / gradient.norm() * 224**0.5)
    seen = torch.tensor([
        (expectation(at + step / 2 * d) - expectation(at - step / 2 * d)) / step
        for d in directions
    ])  # fmt: skip
    said = torch.tensor([(gradient * d).sum().item() for d in directions])
    assert torch.cosine_similarity(seen, said, dim=0) > 0.95
    assert 0.5 < seen[-1] / said[-1] < 1.5


class _Bent(nn.Module):
    """Rises less than in proportion, as a device with parallel units does."""

    def __init__(self, cost: Tensor) -> None:
        super().__init__()
        self.register_buffer("cost", cost)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(1 + x @ self.get_buffer("cost"))
