"""DMaskingNAS: masks, drawn resolutions, and what is expected to be paid."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from own_spaces import small_blocks
from torch import Generator, Tensor

from latbench.networks.supernet_ops import Mask
from latbench.predictors.counted import counted_model
from latbench.search import LatencyPenalty, SearchConfig, parse_method
from latbench.search.penalty import Cost
from latbench.search.relaxations.dmasking import DMaskingRelaxation
from latbench.search.supernets.mixed import MaskModule, PassWeights
from latbench.spaces import make_space
from latbench.spaces.open_number import OpenNumber, of_each, open_number

SPACE = small_blocks(in_channels=1, classes=10, resolutions=(17, 24, 32))
i = SPACE.forest.index["resolution"]
SIZES = slice(*SPACE.forest.offsets[i : i + 2])


def relaxation(text: str = "dmasking") -> DMaskingRelaxation:
    made = parse_method(text).relaxation(SPACE, Generator().manual_seed(0))
    assert isinstance(made, DMaskingRelaxation)
    return made


@given(
    widths=st.lists(st.integers(1, 64), min_size=1, max_size=10, unique=True).map(sorted),
    seed=st.integers(0, 1000),
)
def test_a_mask_is_a_staircase_whose_sum_is_the_mean_width(widths: list[int], seed: int) -> None:
    g = torch.softmax(3 * torch.randn(len(widths), generator=Generator().manual_seed(seed)), 0)
    width = open_number(["w"], {(k,): w for k, w in enumerate(widths)})
    if not isinstance(width, OpenNumber):
        return  # of one option
    mask = MaskModule(Mask((width,)))(PassWeights({"w": g.unbind()}, {"w": []}, {}))
    assert (mask.diff() <= 1e-6).all()
    assert mask[0] == pytest.approx(1, abs=1e-5)
    assert float(mask.sum()) == pytest.approx(float(g @ torch.tensor(widths).float()), rel=1e-4)


def test_a_mask_of_two_choices_has_their_joint_odds() -> None:
    """An expansion of a width: the mean number of channels is the sum over both."""
    width = open_number(["w"], {(0,): 2, (1,): 4, (2,): 5})
    hidden = of_each(lambda w, e: w * e, width, open_number(["e"], {(0,): 1, (1,): 3}))
    assert isinstance(hidden, OpenNumber)
    w, e = torch.tensor([0.5, 0.2, 0.3]), torch.tensor([0.4, 0.6])
    rows = {"w": w.unbind(), "e": e.unbind()}
    mask = MaskModule(Mask((hidden,)))(PassWeights(rows, {"w": [], "e": []}, {}))
    mean = sum(
        float(w[a] * e[b]) * (2, 4, 5)[a] * (1, 3)[b]
        for a, b in itertools.product(range(3), range(2))
    )
    assert float(mask.sum()) == pytest.approx(mean, rel=1e-5)


def test_one_resolution_is_drawn_with_its_odds_and_all_else_is_mixed() -> None:
    made, stream = relaxation(), Generator().manual_seed(1)
    made.begin_epoch(0, 2)
    made.alpha.data[made.tables.rows[SPACE.forest.index["resolution"]]] = torch.tensor([0.0, 1, 2])
    counts, n = torch.zeros(3), 1500
    for _ in range(n):
        (weights,) = made.subgraphs(stream)
        row = weights.detach()[SIZES]
        assert sorted(row.tolist()) == [0, 0, 1]
        counts += row
        rest = torch.cat([weights[: SIZES.start], weights[SIZES.stop :]])
        assert ((rest > 0) & (rest < 1)).all()
    p = torch.softmax(torch.tensor([0.0, 1, 2]), 0)
    assert ((counts - n * p) / (n * p * (1 - p)).sqrt()).abs().max() < 4.5
    (weights,) = relaxation("dmasking(resolutions=mixed)").subgraphs(stream)
    assert (weights[SIZES] > 0).all()


def test_the_credit_of_a_draw_is_the_gradient_of_the_expected_loss() -> None:
    made, stream = relaxation(), Generator().manual_seed(2)
    rows = made.tables.rows[SPACE.forest.index["resolution"]]
    made.alpha.data[rows] = torch.tensor([0.5, 0.0, -0.5])
    losses = torch.tensor([1.0, 0.4, 0.1])
    p = torch.softmax(made.alpha.detach()[rows], 0)
    exact = p * (losses - p @ losses)
    total, n = torch.zeros(3), 6000
    made.credit(p @ losses)  # the first loss says nothing
    for _ in range(n):
        made.subgraphs(stream)
        credit = made.credit(losses[made._drawn])
        assert credit is not None
        (gradient,) = torch.autograd.grad(credit, made.alpha)
        total += gradient[rows]
        assert (gradient.index_fill(0, torch.arange(rows.start, rows.stop), 0) == 0).all()
    assert (total / n - exact).abs().max() < 0.05 * exact.abs().max()
    assert exact.abs().max() > 0.1
    assert relaxation("dmasking(resolutions=mixed)").credit(losses[0]) is None


def test_a_credit_is_over_the_mean_of_the_losses_before() -> None:
    made = relaxation()
    made.subgraphs(Generator().manual_seed(0))
    log_odds = torch.log_softmax(
        made.alpha[made.tables.rows[SPACE.forest.index["resolution"]]].detach(), 0
    )[made._drawn]
    credits = [made.credit(torch.tensor(loss)) for loss in (1.0, 2.0, 2.0)]
    found = [float((one / log_odds).detach()) for one in credits if one is not None]
    assert found == pytest.approx([0.0, 1.0, 0.9], abs=1e-5)


def test_the_mean_loss_is_in_a_checkpoint() -> None:
    made, other = relaxation(), relaxation()
    made.subgraphs(Generator().manual_seed(0))
    made.credit(torch.tensor(2.5))
    other.load_state_dict(made.state_dict())
    assert float(other.mean_loss) == 2.5


# -- what is paid ----------------------------------------------------------------------------------


def chain(**more: object) -> tuple[DMaskingRelaxation, LatencyPenalty, Tensor]:
    """A relaxation with parameters that are spread out, a penalty of parameters, and the costs of
    all networks."""
    space = small_blocks(in_channels=1, classes=10, blocks=("k3e3", "k3e3se"))
    made = DMaskingRelaxation(space, Generator().manual_seed(0)).double()
    made.alpha.data.mul_(1e3)
    model = counted_model(space, "macs")
    penalty = LatencyPenalty.of(model, SearchConfig(penalty_weight=0.7))
    every = [space.unrank(k) for k in range(space.size)]
    return made, penalty, torch.tensor(model.predict(every))


def mean_cost(made: DMaskingRelaxation, costs: Tensor) -> Tensor:
    """The mean over all networks of the space, each with the product of its options' odds."""
    space, forest = made.space, made.space.forest
    odds = made.tables.options(made.alpha, absent=False)
    p = [
        torch.stack([odds[forest.offsets[i] + k] for i, k in enumerate(a.code) if k >= 0]).prod()
        for a in map(space.unrank, range(space.size))
    ]
    return torch.stack(p) @ costs


def test_the_penalty_is_the_mean_over_all_networks() -> None:
    made, penalty, costs = chain()
    stream = Generator().manual_seed(0)
    exact = mean_cost(made, costs).detach()
    assert penalty.expected(made, stream) == pytest.approx(float(exact), rel=1e-4)
    term = penalty.term(made, stream)
    assert float(term.loss.detach()) == pytest.approx(
        0.7 * float(exact) / penalty.reference, rel=1e-4
    )
    assert float(costs.mean()) != pytest.approx(float(exact), rel=0.05)  # as of equal odds
    sampled = made.sample(4000, Generator().manual_seed(1)).float()
    (cost,) = penalty.costs
    assert float(cost.of(sampled).mean().detach()) == pytest.approx(float(exact), rel=0.05)


def test_its_gradient_is_that_of_the_mean() -> None:
    made, penalty, costs = chain()
    term = penalty.term(made, Generator())
    (found,) = torch.autograd.grad(term.loss, made.alpha)
    wanted = torch.autograd.grad(0.7 * mean_cost(made, costs) / penalty.reference, made.alpha)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)
    assert (wanted != 0).float().mean() > 0.9
    step = 1e-3  # and by finite differences, of a few
    for k in range(0, len(made.alpha), 7):
        values = []
        for sign in (-1, 1):
            moved = made.alpha.detach().clone()
            moved[k] += sign * step
            with torch.no_grad():
                kept, made.alpha.data = made.alpha.data, moved
                values.append(float(mean_cost(made, costs)))
                made.alpha.data = kept
        slope = 0.7 * (values[1] - values[0]) / (2 * step) / penalty.reference
        assert float(wanted[k]) == pytest.approx(slope, rel=1e-2, abs=1e-7)


def test_of_several_backends_the_expected_costs_are_combined() -> None:
    made, penalty, costs = chain()
    parameters = counted_model(made.space, "parameters")
    every = [made.space.unrank(k) for k in range(made.space.size)]
    means = [float(mean_cost(made, c)) for c in (costs, torch.tensor(parameters.predict(every)))]
    other = Cost(parameters.as_module(), means[1] / 2, share=3.0)
    first = (penalty.module, means[0])
    worst = LatencyPenalty(*first, 1.0, others=(other,))
    assert float(worst.term(made, Generator()).loss.detach()) == pytest.approx(2, rel=1e-3)
    mean = LatencyPenalty(*first, 1.0, others=(other,), combine="mean")
    assert float(mean.term(made, Generator()).loss.detach()) == pytest.approx(7 / 4, rel=1e-3)


def test_of_an_mlp_samples_are_paid_for() -> None:
    made, penalty, _ = chain()
    made.alpha.data.mul_(1e-3)
    width = len(made.space.one_hot(made.space.reference()))
    module = torch.nn.Sequential(torch.nn.Linear(width, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    sampled = LatencyPenalty(module, 1.0, 1.0, samples=3)
    (a, b) = (
        float(sampled.term(made.float(), Generator().manual_seed(k)).expected) for k in (0, 1)
    )
    assert a != b
    (c, d) = (float(penalty.term(made, Generator().manual_seed(k)).expected) for k in (0, 1))
    assert c == d


def test_in_a_space_that_chooses_sets_samples_are_paid_for() -> None:
    space = make_space("darts", {"channels": 4, "cells": 3, "resolution": 8})
    assert parse_method("fbnet").relaxation(space, Generator()).expected_odds() is None
