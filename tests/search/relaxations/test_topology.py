"""Odds of sets of inputs: what they weigh, what is sampled and derived, and what pushes them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import straight_and_resumed
from own_spaces import one_hot_names
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.search import SearchConfig, search
from latbench.search.constraint import Constraint
from latbench.search.images.images import ImageData
from latbench.search.methods import parse_method
from latbench.search.penalty import LatencyPenalty
from latbench.search.relaxations.relaxation import AlphaRelaxation
from latbench.search.relaxations.topology import INVALID, Topology
from latbench.spaces import darts, nasbench201
from latbench.spaces.variables import One, Some

ANY = darts(channels=4, cells=3, resolution=8, in_channels=1, least_inputs=1, most_inputs=5)
PAIRS = darts(channels=4, cells=3, resolution=8, in_channels=1)
CONFIG = SearchConfig(
    epochs=2, batch=16, channels=4, cells=3, alpha_learning_rate=0.1, topology="any"
)
METHODS = ("darts", "darts-2nd", "pc-darts", "gdas", "msg-das", "fbnet")
SOMES = [v for v in ANY.forest.variables if isinstance(v, Some)]


def topology(space: Any = ANY, spread: float = 0.0, **settings: Any) -> Topology:
    made = Topology(space.forest, replace(CONFIG, **settings), Generator().manual_seed(0))
    made.beta.data.mul_(1e3 * spread)
    return made


def relaxation(
    method: str = "darts", spread: float = 0.0, space: Any = ANY, **settings: Any
) -> AlphaRelaxation:
    made = parse_method(method).relaxation(space, Generator().manual_seed(1))
    assert isinstance(made, AlphaRelaxation)
    for p in made.parameters():
        p.data.mul_(1e3 * spread)
    made.take_topology(topology(space, spread, **settings))
    return made


def few(digits: ImageData) -> ImageData:
    """Two batches, one a half."""
    images, labels = digits.train_images[torch.arange(32)], digits.train_labels[:32]
    return replace(digits, train_images=images, train_labels=labels)


def members(weights: Tensor, v: Some, space: Any = ANY) -> Tensor:
    start = space.forest.offsets[space.forest.index[v.name]]
    return weights[..., start : start + len(v.options)]


def weighed(made: Topology, space: Any = ANY) -> Tensor:
    return made.weighed(torch.ones(space.forest.offsets[-1])).detach()


def all_sets(n: int) -> list[tuple[int, ...]]:
    return [s for k in range(n + 1) for s in itertools.combinations(range(n), k)]


@pytest.mark.parametrize("v", SOMES[:4], ids=lambda v: f"{len(v.options)} inputs")
def test_equal_odds_of_any_number_of_inputs(v: Some) -> None:
    """2^(n-1) of 2^n - 1 sets contain an edge without the empty set, a half of all with it."""
    n = len(v.options)
    left_out = weighed(topology(topology_invalid="left out"))
    torch.testing.assert_close(members(left_out, v), torch.full((n,), 2 ** (n - 1) / (2**n - 1)))
    torch.testing.assert_close(members(weighed(topology()), v), torch.full((n,), 0.5))


@pytest.mark.parametrize("v", SOMES[:4], ids=lambda v: f"{len(v.options)} inputs")
def test_equal_odds_of_pairs_are_those_of_dots(v: Some) -> None:
    n = len(v.options)
    for space in (PAIRS, ANY):
        made = topology(space, topology="2", topology_invalid="left out")
        torch.testing.assert_close(members(weighed(made, space), v, space), torch.full((n,), 2 / n))


def test_pairs_weigh_edges_as_dots_does() -> None:
    """The sum of the softmax over the pairs that contain an edge, in DOTS' order of pairs."""
    made = topology(PAIRS, 0.5, topology_invalid="left out", topology_temperature=2.0)
    found = members(weighed(made, PAIRS), SOMES[3], PAIRS)
    # beta of the last node of the normal cell, by its own texts.
    q = made.probabilities()["normal.3"]
    assert set(q) == {f"{i}+{j}" for i, j in itertools.combinations(range(5), 2)}
    for edge in range(5):
        by_hand = sum(p for text, p in q.items() if str(edge) in text.split("+"))
        assert float(found[edge]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("asked", ["any", "2", "1-3"])
@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_edges_weigh_the_sum_over_all_sets_that_have_them(asked: str, temperature: float) -> None:
    made = topology(ANY, 1.0, topology=asked, topology_temperature=temperature)
    weights = weighed(made)
    start = 0
    for v in sorted(SOMES, key=lambda v: len(v.options)):  # both cells' nodes of one size together
        n = len(v.options)
        if v.name.startswith("normal"):
            block = made.beta.detach()[start : start + 2 * 2**n].view(2, 2**n)
            start += 2 * 2**n
        row = block[int(v.name.startswith("reduce"))]
        # The sets are numbered by their bits.
        p = torch.softmax(row.double() / temperature, -1)
        for j in range(n):
            by_hand = sum(float(p[s]) for s in range(2**n) if s >> j & 1)
            assert float(members(weights, v)[j]) == pytest.approx(by_hand, rel=1e-4)


def test_normalised_edges_sum_to_one() -> None:
    made = topology(ANY, 1.0, topology_normalised=True)
    for v in SOMES:
        assert float(members(weighed(made), v).sum()) == pytest.approx(1.0, rel=1e-5)


def pushed(made: Topology) -> tuple[float, Tensor]:
    loss = made.regulariser()
    (gradient,) = torch.autograd.grad(loss, made.beta)
    return float(loss.detach()), gradient


def masses(made: Topology) -> list[float]:
    return [of[INVALID] for of in made.probabilities().values()]


def test_the_regulariser_is_a_hinge_on_the_odds_of_valid_against_invalid() -> None:
    made = topology(ANY, 1.0, topology="1-2", topology_margin=2.0, topology_pressure=3.0)
    by_hand = sum(max(0.0, 2.0 - float(np.log((1 - wrong) / wrong))) for wrong in masses(made))
    loss, gradient = pushed(made)
    assert loss == pytest.approx(3 * by_hand, rel=1e-4)
    # Descending it takes odds from the invalid sets.
    before = sum(masses(made))
    made.beta.data -= 0.1 * gradient
    assert sum(masses(made)) < before


def test_the_regulariser_is_passive_once_the_margin_holds() -> None:
    made = topology(ANY, 0.0, topology="1-2", topology_temperature=1.0)
    loss, gradient = pushed(made)
    assert loss > 0
    start = 0
    for v in SOMES[:4]:
        n = len(v.options)
        for node in range(2):
            for s in range(2**n):
                valid = 1 <= s.bit_count() <= 2
                at = start + node * 2**n + s
                # Of two inputs three valid sets to one, of three six to two: log 3 is beyond 1.
                assert gradient[at] == 0 if n < 4 else (gradient[at] < 0) == valid
                made.beta.data[at] = 9.0 if valid else 0.0
        start += 2 * 2**n
    loss, gradient = pushed(made)
    assert loss == 0
    assert (gradient == 0).all()


def test_without_invalid_sets_nothing_is_pushed() -> None:
    made = topology(topology_invalid="left out")
    assert float(made.regulariser()) == 0
    assert all(INVALID not in of for of in made.probabilities().values())


def test_no_node_is_empty_even_where_the_empty_set_is_likeliest() -> None:
    made = relaxation(spread=1.0)
    assert made.topology is not None
    assert made.topology.beta.numel() == 2 * sum(2**n for n in (2, 3, 4, 5))
    for k in range(4):  # the empty set is number 0 of every node
        made.topology.beta.data[getattr(made.topology, f"places{k}")[:, 0]] = 99.0
    for architecture in (made.derive(), *map(decoded, made.sample(20, Generator().manual_seed(2)))):
        code = architecture.code
        for v in SOMES:
            assert code[ANY.forest.index[v.name]] > 0


def decoded(vector: Tensor) -> Any:
    """The architecture whose one-hot encoding a sample is."""
    forest, on = ANY.forest, vector.detach().numpy()
    columns = dict(zip(one_hot_names(ANY), on, strict=True))

    def choose(i: int) -> int:
        v = forest.variables[i]
        if isinstance(v, One):
            return next(k for k, o in enumerate(v.options) if columns[f"{v.name}={o}"])
        kept = (
            any(columns[f"{v.name}.{s}={o}"] for o in forest[f"{v.name}.{s}"].options)
            for s in v.options
        )
        return sum(1 << j for j, there in enumerate(kept) if there)

    made = ANY.of(forest.grow(choose))
    assert np.array_equal(ANY.one_hot(made), on)
    return made


@pytest.mark.parametrize("asked", ["any", "2", "1-3"])
def test_samples_are_what_could_be_derived(asked: str) -> None:
    made = relaxation("gdas", 0.5, topology=asked)
    sizes = set()
    for vector in made.sample(40, Generator().manual_seed(3)):
        code = decoded(vector).code
        for v in SOMES:
            size = code[ANY.forest.index[v.name]].bit_count()
            n, low, high = len(v.options), *{"any": (1, 5), "2": (2, 2), "1-3": (1, 3)}[asked]
            assert min(low, n) <= size <= min(high, n)
            sizes.add(size)
    assert len(sizes) == {"any": 5, "2": 1, "1-3": 3}[asked]


def test_sets_are_sampled_by_their_odds() -> None:
    made = relaxation("darts", 1.0, topology_temperature=2.0)
    assert made.topology is not None
    q = made.topology.probabilities()["normal.0"]
    valid = {text: p / (1 - q[INVALID]) for text, p in q.items() if text != INVALID}
    at = ANY.forest.index["normal.0"]
    codes = [decoded(s).code[at] for s in made.sample(1500, Generator().manual_seed(4))]
    for text, bits in (("0", 1), ("1", 2), ("0+1", 3)):
        assert codes.count(bits) / 1500 == pytest.approx(valid[text], abs=0.04)


def test_the_most_likely_valid_set_is_derived_with_the_best_operations() -> None:
    made = relaxation("pc-darts", 1.0)
    found = made.derive().code
    for name, of in made.set_probabilities().items():
        best = max((text for text in of if text != INVALID), key=of.__getitem__)
        assert found[ANY.forest.index[name]] == sum(1 << int(j) for j in best.split("+"))
        for j in best.split("+"):
            odds = made.probabilities()[f"{name}.{j}"]
            assert len(odds) == 7  # absences count for nothing
            assert found[ANY.forest.index[f"{name}.{j}"]] == int(odds.argmax())


# Sets are sampled by one piece of code, whatever the method.
@pytest.mark.parametrize("method", ["pc-darts"])
@pytest.mark.parametrize("spread", [0.01, 1.0])
def test_the_penaltys_gradient_points_where_the_expected_cost_rises(
    method: str, spread: float
) -> None:
    """Against finite differences with common random numbers, by the logits of sets."""
    made = relaxation(method, spread, topology_temperature=1.5)
    assert made.topology is not None
    stream, beta = Generator().manual_seed(3), made.topology.beta
    cost = torch.rand(ANY.one_hot(ANY.reference()).size, generator=stream)

    def expected() -> Tensor:
        return (made.sample(1500, Generator().manual_seed(5)) @ cost).mean()

    expected().backward()  # type: ignore[no-untyped-call]
    assert beta.grad is not None
    valid = torch.cat([getattr(made.topology, f"valid{k}").repeat(2) for k in range(4)])
    assert (beta.grad[~valid] == 0).all()  # what is never derived costs nothing
    gradients, differences = [], []
    for i in torch.randperm(len(beta), generator=stream)[:24].tolist():
        values = []
        for step in (0.5, -0.5):
            beta.data[i] += step
            with torch.no_grad():
                values.append(float(expected()))
            beta.data[i] -= step
        gradients.append(float(beta.grad[i]))
        differences.append(values[0] - values[1])
    found = torch.cosine_similarity(torch.tensor(gradients), torch.tensor(differences), dim=0)
    assert found > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_the_task_moves_operations_and_sets(method: str) -> None:
    made = relaxation(method, 0.3)
    assert made.topology is not None
    made.begin_epoch(0, 2)
    slope = torch.randn(ANY.forest.offsets[-1], generator=Generator().manual_seed(6))
    graphs = made.subgraphs(Generator().manual_seed(7))
    for graph in graphs:
        for v in SOMES:
            torch.testing.assert_close(members(graph, v), members(weighed(made.topology), v))
    torch.stack([(g * slope).sum() for g in graphs]).sum().backward()  # type: ignore[no-untyped-call]
    assert made.topology.beta.grad is not None
    assert (made.topology.beta.grad != 0).float().mean() > 0.9
    assert made.alpha.grad is not None
    absences = torch.tensor([row.start for row in made.tables.rows.values()])
    assert made.alpha.grad[absences].abs().max() < 1e-6
    assert (made.alpha.grad != 0).sum() > 50


# The others have the state of one of two.
@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=pytest.mark.slow) if m not in ("darts", "msg-das") else m
     for m in METHODS],
)  # fmt: skip
def test_a_search_goes_on_bit_for_bit(method: str, digits: ImageData, tmp_path: Path) -> None:
    config = replace(CONFIG, method=method, topology="1-3", topology_warmup_epochs=1)
    straight, resumed = straight_and_resumed(ANY, few(digits), config, tmp_path)
    assert straight.architecture == resumed.architecture
    assert straight.sets == resumed.sets
    for name, values in straight.course.items():
        assert np.array_equal(values, resumed.course[name])
    beta = straight.course["topology.beta"]
    assert (beta[0] != beta[1]).any()
    if method == "pc-darts":
        assert np.array_equal(straight.course["beta"][0], straight.course["beta"][1])


def test_the_sets_rest_during_their_warm_up_and_cool_after(
    digits: ImageData, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=3, topology_warmup_epochs=2)
    found = search(ANY, few(digits), config, directory=tmp_path)
    beta, alpha = found.course["topology.beta"], found.course["alpha"]
    assert np.array_equal(beta[0], beta[1])
    assert (beta[1] != beta[2]).any()
    assert (alpha[0] != alpha[1]).any()
    made = topology()
    temperatures = []
    for epoch in range(3):
        made.begin_epoch(epoch, 3)
        temperatures.append(float(made.temperature))
    assert temperatures == pytest.approx([10.0, 1.0, 0.1], rel=1e-5)


def test_a_whole_number_is_a_temperature_like_any_other() -> None:
    made = topology(ANY, 1.0, topology_temperature=10, topology_final_temperature=0.1)
    made.begin_epoch(9, 10)
    assert float(made.temperature) == pytest.approx(0.1)
    assert torch.isfinite(made.regulariser())


def test_what_rests_was_not_found(digits: ImageData, tmp_path: Path) -> None:
    """A target that everything keeps, and sets that rest in the first of two epochs: what an epoch
    of resting sets derives does not count."""
    seen = list[tuple[int, bool]]()
    config = replace(CONFIG, target=1.0, topology_warmup_epochs=1)
    cost = torch.nn.Linear(ANY.one_hot(ANY.reference()).size, 1)
    torch.nn.init.constant_(cost.weight, 1e-3)
    penalty = LatencyPenalty(cost, 1.0, 0.0, config.penalty_samples, 1.0)
    keep = Constraint.keep

    def kept(self: Constraint, relaxation: Any, relative: float, epoch: int) -> None:
        keep(self, relaxation, relative, epoch)
        seen.append((epoch, self.met))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Constraint, "keep", kept)
        found = search(ANY, few(digits), config, penalty, directory=tmp_path)
    assert found.met
    assert {met for epoch, met in seen if epoch == 0} == {False}
    assert seen[-1] == (1, True)


def test_methods_without_a_place_for_sets_say_so() -> None:
    made = parse_method("proxylessnas").relaxation(nasbench201(), Generator().manual_seed(0))
    with pytest.raises(UsageError, match="'proxylessnas' cannot search by topology variables"):
        made.take_topology(topology())


def test_the_entropy_is_of_sets_as_well() -> None:
    made = relaxation(topology_invalid="left out")
    sets = [comb(n, k) for n in (2, 3, 4, 5) for k in range(1, n + 1)]
    assert sum(sets) == 56
    highest = 28 * np.log(7) + 2 * sum(np.log(2**n - 1) for n in (2, 3, 4, 5))
    assert made.entropy() == pytest.approx(highest / 36, rel=1e-3)
