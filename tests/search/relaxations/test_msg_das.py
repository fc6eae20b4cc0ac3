"""Several sub-graphs that exclude each other: how they are drawn, and what moves the parameters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from own_spaces import small_blocks
from scipy import stats
from torch import Generator, Tensor, nn

from latbench.errors import UsageError
from latbench.search import SearchConfig, search
from latbench.search.bilevel import _gradients_in_turns
from latbench.search.images.images import ImageData
from latbench.search.methods import parse_method
from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.search.relaxations.msg_das import MsgDasRelaxation
from latbench.search.searchability import check_searchable
from latbench.search.supernets.searchable import make_supernet
from latbench.spaces import AnySpace, darts, make_space, nasbench201
from latbench.spaces.variables import One

SPACES: dict[str, AnySpace] = {
    "darts": darts(channels=4, cells=3, resolution=8, in_channels=1),
    "nasbench201": nasbench201(channels=4, cells=1, resolution=8, in_channels=1),
    "proxyless": make_space("proxyless", {"resolution": 32}),
}
SPACE = SPACES["nasbench201"]  # five operations on every edge, and nothing else
CONFIG = SearchConfig(epochs=2, batch=16, channels=4, cells=1, alpha_learning_rate=0.1)


def relaxation(
    space: AnySpace = SPACE, draws: int = 2, spread: float = 1.0, temperature: float = 10.0
) -> MsgDasRelaxation:
    made = MsgDasRelaxation(space, Generator().manual_seed(0), draws, temperature, guidance=0.0)
    made.alpha.data.mul_(1e3 * spread)
    return made


def drawn(made: MsgDasRelaxation, n: int) -> Tensor:
    """The operations of the first edge in ``(n, sub-graphs)``."""
    stream = Generator().manual_seed(1)
    rows = [torch.stack([g[:5] for g in made.subgraphs(stream)]).detach() for _ in range(n)]
    return torch.stack(rows).argmax(-1)


@pytest.mark.parametrize("name", SPACES)
def test_no_option_is_in_two_subgraphs_of_a_draw(name: str) -> None:
    made, forest = relaxation(SPACES[name], draws=3), SPACES[name].forest
    for seed in range(20):
        graphs = torch.stack(made.subgraphs(Generator().manual_seed(seed))).detach()
        assert ((graphs == 0) | (graphs == 1)).all()
        for i, v in enumerate(forest.variables):
            rows = graphs[:, forest.offsets[i] : forest.offsets[i + 1]]
            if isinstance(v, One) and len(v.options) >= 3:
                assert (rows.sum(0) <= 1).all()
                assert (rows.sum(1) >= (0 if name == "darts" else 1)).all()  # none has no column


def test_a_variable_of_few_options_begins_anew() -> None:
    space = small_blocks()
    made = MsgDasRelaxation(space, Generator().manual_seed(0), 4, guidance=0.0)
    forest = space.forest
    few = [i for i, v in enumerate(forest.variables) if isinstance(v, One) and len(v.options) == 2]
    assert few
    graphs = torch.stack(made.subgraphs(Generator().manual_seed(2))).detach()
    for i in few:
        rows = graphs[:, forest.offsets[i] : forest.offsets[i + 1]]
        assert (rows[:2].sum(0) == 1).all()
        assert (rows[2:].sum(0) == 1).all()


def test_the_first_is_drawn_by_the_odds_and_the_second_among_the_rest() -> None:
    """Chi-square tests of the first option, and of the ordered pair, whose odds are those of
    sampling without replacement: p_i p_j / (1 - p_i)."""
    made, n = relaxation(), 6000
    found = drawn(made, n)
    p = torch.softmax(made.alpha.detach()[:5].double(), -1).numpy()
    first = np.bincount(found[:, 0].numpy(), minlength=5)
    assert stats.chisquare(first, n * p / p.sum()).pvalue > 1e-3
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    expected = np.array([p[i] * p[j] / (1 - p[i]) for i, j in pairs])
    counts = Counter(map(tuple, found.tolist()))
    told = np.array([counts[pair] for pair in pairs])
    assert stats.chisquare(told, n * expected / expected.sum()).pvalue > 1e-3
    # Inclusion among the first two.
    included = np.array([p[i] + sum(p[j] * p[i] / (1 - p[j]) for j in range(5) if j != i)
                         for i in range(5)])  # fmt: skip
    share = (first + np.bincount(found[:, 1].numpy(), minlength=5)) / n
    assert np.abs(share - included).max() < 0.025


@pytest.mark.parametrize("name", SPACES)
def test_one_subgraph_is_that_of_gdas(name: str) -> None:
    one = relaxation(SPACES[name], draws=1)
    gdas = GdasRelaxation(SPACES[name], Generator().manual_seed(0))
    gdas.alpha.data.mul_(1e3)
    slope = torch.randn(SPACES[name].forest.offsets[-1], generator=Generator().manual_seed(3))
    for made in (one, gdas):
        made.begin_epoch(1, 3)
        (graph,) = made.subgraphs(Generator().manual_seed(5))
        (graph * slope).sum().backward()  # type: ignore[no-untyped-call]
    assert one.alpha.grad is not None
    assert gdas.alpha.grad is not None
    assert torch.equal(one.alpha.grad, gdas.alpha.grad)


def test_one_subgraph_searches_as_gdas_bit_for_bit(digits: ImageData, tmp_path: Path) -> None:
    found = [
        search(SPACE, digits, replace(CONFIG, method=method), directory=tmp_path / str(i))
        for i, method in enumerate(("gdas", "msg-das(subgraphs=1, guidance=0)"))
    ]
    assert np.array_equal(found[0].course["alpha"], found[1].course["alpha"])
    assert found[0].history == found[1].history


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_the_gradient_is_that_of_the_softmax_over_what_is_left(temperature: float) -> None:
    made = relaxation(temperature=temperature)
    graphs = made.subgraphs(Generator().manual_seed(4))
    taken, used = (int(g[:5].detach().argmax()) for g in graphs)
    (gradient,) = torch.autograd.grad(graphs[1][used], made.alpha)
    # The same noise again, for the softmax by hand.
    logits = made.drawn(Generator().manual_seed(4)).detach()[:5].requires_grad_()
    mask = torch.arange(5) == taken
    p = torch.softmax((logits / temperature).masked_fill(mask, -torch.inf), -1)
    (by_hand,) = torch.autograd.grad(p[used], logits)
    assert torch.isfinite(gradient).all()
    assert gradient[5:].abs().max() == 0
    # The logits are a log-softmax of alpha, whose gradient keeps the mean of that by the logits.
    odds = torch.softmax(made.alpha.detach()[:5], -1)
    torch.testing.assert_close(gradient[:5], by_hand - odds * by_hand.sum())


@pytest.mark.parametrize("name", SPACES)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    made = relaxation(SPACES[name], spread=0.3)
    slope = torch.randn(SPACES[name].forest.offsets[-1], generator=Generator().manual_seed(3))
    total = torch.stack([(g * slope).sum() for g in made.subgraphs(Generator().manual_seed(5))])
    (gradient,) = torch.autograd.grad(total.sum(), made.alpha)
    assert (gradient != 0).all()


def test_one_after_another_has_the_gradient_of_all_at_once(
    digits: ImageData, tmp_path: Path
) -> None:
    config = replace(CONFIG, method="msg-das(subgraphs=3, at_once=true)", precision="float32")
    both = [
        search(SPACE, digits, replace(config, method=str(config.method).replace("true", on)),
               directory=tmp_path / on)
        for on in ("true", "false")
    ]  # fmt: skip
    # Adam's first steps have the size of the learning rate whatever the gradient's, so that a
    # gradient of nearly zero may move a parameter either way.
    near = np.isclose(both[0].course["alpha"], both[1].course["alpha"], atol=1e-3)
    assert near.mean() > 0.95
    assert [e.train_accuracy for e in both[0].history] == pytest.approx(
        [e.train_accuracy for e in both[1].history], abs=0.05
    )


class _Parts:
    """What the gradients need of a search: the supernet and settings, nothing of its data."""

    def __init__(self, made: MsgDasRelaxation, net: nn.Module) -> None:
        from latbench.search.training.mixed_precision import Caster

        self.relaxation, self.supernet = made, net
        self.caster, self.config = Caster("float32", "cpu"), SearchConfig()


@pytest.mark.parametrize("name", ["darts", "nasbench201"])
def test_gradients_in_turns_are_those_of_the_mean_loss(name: str) -> None:
    from latbench.search.training.path_training import StepBatch, task_loss

    space = SPACES[name]
    made = relaxation(space, draws=3, spread=0.3)
    torch.manual_seed(0)
    net = make_supernet(space, replace(CONFIG, cells=3 if name == "darts" else 1), made)
    parts, stream = _Parts(made, net), Generator().manual_seed(7)
    batch = StepBatch(torch.randn(16, 1, 8, 8, generator=stream), torch.arange(16) % 10)
    graphs = made.subgraphs(Generator().manual_seed(8))
    more = 0.3 * made.alpha.square().sum()
    loss, logits = task_loss(parts, graphs, batch)  # type: ignore[arg-type]
    (whole,) = torch.autograd.grad(loss + more, made.alpha, retain_graph=True)
    turns = [[graph] for graph in graphs]
    found, (gradient,) = _gradients_in_turns(parts, turns, batch, more, [made.alpha])  # type: ignore[arg-type]
    torch.testing.assert_close(gradient, whole, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(found, logits)


@pytest.mark.parametrize(
    ("name", "method", "topology", "says"),
    [
        ("nasbench201", "msg-das(subgraphs=6)", None, "has 5 operations; set subgraphs to at most"),
        ("darts", "msg-das(subgraphs=9)", None, "has 8 operations; set subgraphs to at most 8"),
        ("darts", "msg-das(subgraphs=8)", "any", "has 7 operations; set subgraphs to at most 7"),
        ("blocks", "msg-das", None, "its guidance mixes several options, .*; take guidance=0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(name: str, method: str, topology: str | None, says: str) -> None:
    space = small_blocks() if name == "blocks" else SPACES[name]
    config = replace(CONFIG, method=method, topology=topology, cells=3)
    with pytest.raises(UsageError, match=says) as error:
        check_searchable(space, config)
    assert "\n" not in str(error.value)


def test_the_most_that_exclude_each_other_are_possible() -> None:
    check_searchable(SPACES["darts"], replace(CONFIG, method="msg-das(subgraphs=8)", cells=3))
    made = relaxation(SPACES["darts"], draws=8)
    graphs = torch.stack(made.subgraphs(Generator().manual_seed(1))).detach()
    rows = graphs[:, SPACES["darts"].forest.offsets[1] :][:, :7]
    assert (rows.sum(0) == 1).all()  # each of seven once, and none in the eighth


def test_guidance_teaches_in_every_nth_step() -> None:
    made = parse_method("msg-das(guidance=0.5, guidance_temperature=2, guidance_every=3)")
    relaxed = made.relaxation(SPACE, Generator().manual_seed(0))
    taught = [relaxed.teacher(step) for step in range(7)]
    assert [t is not None for t in taught] == [True, False, False, True, False, False, True]
    teacher = taught[0]
    assert teacher is not None
    assert (teacher.share, teacher.temperature) == (0.5, 2.0)
    assert not teacher.weights.requires_grad
    odds = torch.cat(list(relaxed.probabilities().values()))
    torch.testing.assert_close(teacher.weights, odds)
